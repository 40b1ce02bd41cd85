"""Help > Copy diagnostics, and Help > Save diagnostics…: what is needed to report a fault, also when its dialog is closed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import Task, run_in_background

if TYPE_CHECKING:
    from tlstudio.registry import Catalog


class Diagnostics(QObject):
    """Remembers the last problem of this session, and hands it on with all that belongs to it."""

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._widget = context, parent
        self._last: object = None
        self.device = ""
        self.question: QMessageBox | None = None
        self._gathering: Task | None = None
        context.problem.connect(self._remember)
        context.run_event.connect(self._hear)

    @Slot(object)
    def _remember(self, error: object) -> None:
        self._last = error

    @Slot(object)
    def _hear(self, event: object) -> None:
        from tlstudio.api.events import RunFailed

        if isinstance(event, RunFailed):
            self._last = event

    def copy(self) -> None:
        """Put versions, what computes, the plugins that failed and the last problem on the clipboard."""
        from tlstudio.gui.problems import describe, diagnostics

        plugins = () if self._context.catalog is None else self._context.catalog.plugins
        failed = [f"The plugin {record.name} failed: {record.error}" for record in plugins if record.status == "failed"]
        more = [line for line in (self.device, *failed) if line]
        last = None if self._last is None else describe(self._last)
        QGuiApplication.clipboard().setText(diagnostics(last, more))
        self._context.message.emit(self.tr("Copied: paste it into your report."))

    def save(self) -> None:
        """Show what a file of diagnostics would have in it, and save it where the user says."""
        catalog, workspace, device = self._context.catalog, self._context.workspace, self.device
        if catalog is None or self.question is not None or self._gathering is not None:
            return
        self._context.message.emit(self.tr("Collecting what a report needs …"))
        self._gathering = run_in_background(
            self, lambda _task: _gather(catalog, workspace, device), done=self._ask, failed=self._failed
        )

    def _failed(self, error: BaseException) -> None:
        self._gathering = None
        self._context.problem.emit(error)

    def _ask(self, parts: dict[str, str]) -> None:
        self._gathering = None
        box = self.question = QMessageBox(self._widget)
        box.setWindowTitle(self.tr("Save diagnostics"))
        box.setText(self.tr("Nothing is sent: a zip file is saved, which you can look into and send along with a report."))
        lines = [f"{name}  ({max(1, round(len(text) / 1024))} KB)" for name, text in parts.items()]
        lines += ["", self.tr("No images, no weights; classes are counted, and your folder is written as ~."),
                  self.tr("Messages and notes may name files and people: look into it before you send it.")]  # fmt: skip
        box.setInformativeText("\n".join(lines))
        save = box.addButton(self.tr("Save…"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)

        def answered() -> None:
            self.question = None
            box.deleteLater()
            if box.clickedButton() is save:
                self._choose(parts)

        box.finished.connect(lambda _result: answered())
        box.open()

    def _choose(self, parts: dict[str, str]) -> None:
        suggestion = str(Path.home() / "tlstudio-diagnostics.zip")
        name, _ = QFileDialog.getSaveFileName(self._widget, self.tr("Save diagnostics"), suggestion, "*.zip")
        if name:
            file = Path(name if name.lower().endswith(".zip") else name + ".zip")

            def write(_task: Task) -> None:
                from tlstudio.registry import diagnostics

                diagnostics.write(file, parts)

            said = self.tr("Saved in {file}").format(file=file)
            run_in_background(
                self, write, done=lambda _none: self._context.message.emit(said), failed=self._context.problem.emit
            )  # fmt: skip


def _gather(catalog: Catalog, workspace: Path, device: str) -> dict[str, str]:
    """In the background: examines the machine, which takes as long as its weights take to be read."""
    from tlstudio.registry.diagnostics import gather
    from tlstudio.registry.examine import examine

    return gather({**examine(catalog, workspace), "device": device}, workspace)
