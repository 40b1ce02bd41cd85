"""Does a run again as it was, and says before if anything here is not as the run recorded it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMessageBox, QWidget

from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.run_images import show_images_of
from tlstudio.gui.pages.runs_model import title_of_run
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.runs.store import RunInfo

_SHOWN = 12


class Reproducer(QObject):
    """Looks at the images in the background, asks where something differs, and has the Train page start."""

    changed = Signal()
    """It began to look, or is done."""

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._widget = context, parent
        self._task: Task | None = None

    @property
    def busy(self) -> bool:
        """Whether it looks at a run's images."""
        return self._task is not None

    def may_start(self) -> bool:
        """Whether a run could start now."""
        return not self.busy and self._context.may_start()

    def start(self, run: RunInfo) -> None:
        """Do it again."""
        from tlstudio.engine.reproduce import changes_since

        catalog, workspace = self._context.catalog, self._context.workspace
        if not self.may_start() or catalog is None:
            return
        self._context.message.emit(self.tr("Comparing with what the run recorded …"))
        self._task = run_in_background(
            self, lambda _task: changes_since(run, catalog, workspace),
            done=lambda found: self._looked(run, found), failed=self._failed,
        )  # fmt: skip
        self.changed.emit()

    def _looked(self, run: RunInfo, found: list[str]) -> None:
        self._task = None
        self.changed.emit()
        if found and not self._ask(run, found):
            return
        if not found:
            self._context.message.emit(self.tr("Same settings, versions, images and split as then."))
        show_images_of(self._context, run)
        self._context.page_requested.emit("train")
        self._context.reproduction_requested.emit(run)

    def _ask(self, run: RunInfo, found: list[str]) -> bool:
        lines = [f"• {line}" for line in found[:_SHOWN]] + ["…"] * (len(found) > _SHOWN)
        box = QMessageBox(self._widget)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Reproduce"))
        box.setText(self.tr("“{name}” cannot be done again exactly. This differs:").format(name=title_of_run(run)))
        box.setInformativeText("\n".join(lines))
        start = box.addButton(self.tr("Train all the same"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(start)
        box.exec()
        return box.clickedButton() is start

    def _failed(self, error: BaseException) -> None:
        self._task = None
        self.changed.emit()
        self._context.problem.emit(error)
