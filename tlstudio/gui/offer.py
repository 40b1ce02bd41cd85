"""After a start: offers the run that broke off, or was left when the window closed, in a bar that is in nobody's way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, GoOn
from tlstudio.gui.widgets.background import run_in_background

if TYPE_CHECKING:
    from tlstudio.gui.memory import Memory
    from tlstudio.runs.standing import Standing


class OfferBar(QFrame):
    """One sentence and three buttons; hidden while there is nothing to offer."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("infoBar")
        self.picture = QLabel()
        self.text = QLabel(textFormat=Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.resume = QPushButton(self.tr("Resume"))
        self.show_it = QPushButton(self.tr("Show"))
        self.later = QPushButton(self.tr("Not now"))
        self.resume.setToolTip(self.tr("Go on where the newest checkpoint is, to the same result as without the break"))
        self.show_it.setToolTip(self.tr("Look at its curves and settings on the Runs page"))
        self.later.setToolTip(self.tr("Do not offer this run again; it stays on the Runs page"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, 4, 2 * theme.GRID, 4)
        layout.setSpacing(theme.GRID)
        for widget in (self.picture, self.text, self.resume, self.show_it, self.later):
            layout.addWidget(widget, 1 if widget is self.text else 0)
        self.hide()

    def show_text(self, text: str) -> None:
        """Offer something."""
        theme.set_icon(self.picture, "clock-counter-clockwise", "muted")
        self.text.setText(text)
        self.text.setToolTip(text)
        self.show()


class Offer(QObject):
    """Finds what can be offered in the background, and does what the user answers.

    Args:
        context: what the pages share.
        memory: knows which runs were left, and which the user does not want to hear of again.
    """

    def __init__(self, context: AppContext, memory: Memory, parent: QObject) -> None:
        super().__init__(parent)
        self._context, self._memory = context, memory
        self.bar = OfferBar()
        self._first: Standing | None = None
        self._others: list[str] = []
        self.bar.resume.clicked.connect(self._resume)
        self.bar.show_it.clicked.connect(self._show)
        self.bar.later.clicked.connect(self._decline)
        context.run_event.connect(self._hear)
        context.run_active_changed.connect(self._run_changed)

    def look(self) -> None:
        """Look for runs of the workspace that were broken off."""
        workspace, left, declined = self._context.workspace, self._memory.left(), set(self._memory.declined())
        run_in_background(
            self, lambda _task: _find(workspace, left, declined),
            done=lambda found: self._offer(*found) if workspace == self._context.workspace else None,
        )  # fmt: skip

    def _offer(self, first: Standing | None, others: list[str]) -> None:
        self._first, self._others = first, others
        if first is None or self._context.run_active:
            self.bar.hide()
            return
        from tlstudio.gui.pages.runs_model import title_of_run

        name, where = title_of_run(first.run), {"n": min(first.epoch + 1, first.epochs), "all": first.epochs}
        if not first.step:
            text = self.tr("The run “{name}” was interrupted before its first checkpoint.").format(name=name)
        elif first.run.status == "interrupted":
            text = self.tr("The run “{name}” was interrupted in epoch {n} of {all}.").format(name=name, **where)
        else:
            text = self.tr("The run “{name}” was saved in epoch {n} of {all} as the window closed.").format(name=name, **where)
        if others:
            text += " " + self.tr("Others that did not end: {n}.").format(n=len(others))
        self.bar.resume.setText(self.tr("Resume") if first.step else self.tr("Begin anew"))
        self.bar.show_text(text)

    @Slot()
    def _resume(self) -> None:
        self.bar.hide()
        if self._first is None:
            return
        if self._context.data is None:
            from tlstudio.gui.pages.run_images import show_images_of

            show_images_of(self._context, self._first.run)
        self._context.page_requested.emit("train")
        self._context.going_on_requested.emit(GoOn(run=self._first.run))

    @Slot()
    def _show(self) -> None:
        if self._first is not None:
            self._context.page_requested.emit("runs")
            self._context.run_requested.emit(self._first.run.id)

    @Slot()
    def _decline(self) -> None:
        self.bar.hide()
        for run in (*self._others, *([self._first.run.id] if self._first is not None else [])):
            self._memory.decline(run)

    @Slot(object)
    def _run_changed(self, active: bool) -> None:
        if active:
            self.bar.hide()

    @Slot(object)
    def _hear(self, event: object) -> None:
        from tlstudio.api.events import RunStarted

        if isinstance(event, RunStarted):
            self._memory.forget_run(event.run)


def _find(workspace: Path, left: list[str], declined: set[str]) -> tuple[Standing | None, list[str]]:
    """The newest run that may be offered, and the ids of the others."""
    from tlstudio.runs.standing import broken_off, standing_of

    infos = [info for info in broken_off(workspace, left) if info.id not in declined]
    first = next((standing for info in infos if (standing := standing_of(info)) is not None), None)
    return first, [info.id for info in infos if first is not None and info.id != first.run.id]
