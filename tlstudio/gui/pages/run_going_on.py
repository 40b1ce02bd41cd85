"""Going on with a run: a bar that says where the chosen run stands, and offers to resume it, to extend it, or to train from it.

Whether its newest checkpoint is intact is looked at in the background.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from tlstudio.api.config import parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.data.moved import current
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, GoOn
from tlstudio.gui.pages.moved_images import MovedImages
from tlstudio.gui.pages.run_images import show_images_of
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.registry import Catalog
from tlstudio.runs.continued import continued
from tlstudio.runs.standing import Standing, standing_of
from tlstudio.runs.store import RunInfo


class GoingOn(QObject):
    """What can be done to go on with a run; asks what it must, and has the Train page do it."""

    changed = Signal()
    """A model begins to be made of what a run has learned, or that has come to its end."""

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._widget = context, parent
        self.keeping = False
        """Whether a model is being made of what a run has learned; one at a time."""

    def possible(self) -> bool:
        """Whether a run could begin now."""
        return self._context.may_start()

    def resume(self, run: RunInfo) -> None:
        """Go on as it was meant."""
        self._send(GoOn(run=run))

    def extend(self, standing: Standing) -> None:
        """Ask how many epochs more, then go on."""
        from tlstudio.gui.pages.extend_dialog import ExtendDialog

        try:
            config = parse_config(standing.run.config)
        except ConfigError as error:
            self._context.problem.emit(error)
            return
        dialog = ExtendDialog(standing, config, self._widget)
        dialog.accepted.connect(lambda: self._send(GoOn(run=standing.run, epochs=dialog.epochs())))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def keep(self, run: RunInfo, then: Callable[[], object]) -> None:
        """Make a model of what a run that broke off has learned; in the background, since torch may not be there yet."""
        catalog, workspace = self._context.catalog, self._context.workspace
        if catalog is None or self.keeping:
            return
        self.keeping = True
        self.changed.emit()
        run_in_background(
            self, lambda _task: _kept(run.folder, catalog, workspace), done=lambda _file: self._ended(then),
            failed=lambda error: self._ended(lambda: self._context.problem.emit(error)),
        )  # fmt: skip

    def _ended(self, then: Callable[[], object]) -> None:
        self.keeping = False
        self.changed.emit()
        self._context.runs_changed.emit()
        then()

    def continue_with(self, run: RunInfo) -> None:
        """Fill the Train page with the run's settings and its result as weights, to be changed before a new run begins."""
        if not run.model_file.is_file():
            self.keep(run, lambda: self.continue_with(run))
            return
        try:
            config = continued(run)
        except ConfigError as error:
            self._context.problem.emit(error)
            return
        show_images_of(self._context, run)
        self._context.page_requested.emit("train")
        self._context.config_requested.emit(config)

    def _send(self, wish: GoOn) -> None:
        if self.possible():
            self._context.page_requested.emit("train")
            self._context.going_on_requested.emit(wish)


class GoingOnBar(QFrame):
    """Says where one run stands, with the buttons that go with it. Always as high, so that nothing jumps."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("infoBar")
        self._context = context
        self._actions = GoingOn(context, self)
        self._run: RunInfo | None = None
        self._looking: Task | None = None
        self._gone = ""
        self.moved = MovedImages(context, self)
        """Finds images that are gone from their place."""
        self.standing: Standing | None = None
        """Of the run that is shown; ``None`` while nobody knows."""
        picture = QLabel()
        theme.set_icon(picture, "clock-counter-clockwise", "muted")
        self.text = QLabel(textFormat=Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.resume = _button(self.tr("Resume"), "play", self.tr("Go on with this run where its newest checkpoint is"))
        self.extend = _button(self.tr("Extend …"), "fast-forward", self.tr("Give this run more epochs, and go on with it"))
        self.other = _button(
            self.tr("Continue with other settings …"), "git-branch",
            self.tr("Begin a new run from this run's model: its settings fill the Train page, to be changed"),
        )  # fmt: skip
        self.keep = _button(
            self.tr("Keep the model"), "floppy-disk",
            self.tr("Make a model of what it has learned so far, to predict and to evaluate with; it can go on all the same"),
        )  # fmt: skip
        self.find = _button(
            self.tr("Find the images …"), "magnifying-glass", self.tr("Say where the folder of this run's images is now")
        )
        self.find.clicked.connect(lambda: self._run is not None and self.moved.ask(self._gone, self._run.folder))
        self.moved.remembered.connect(self._look)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, 4, 2 * theme.GRID, 4)
        layout.setSpacing(theme.GRID)
        for widget in (picture, self.text, self.find, self.resume, self.extend, self.keep, self.other):
            layout.addWidget(widget, 1 if widget is self.text else 0)
        self.resume.clicked.connect(self.go_on)
        self.extend.clicked.connect(self.go_on)
        self.keep.clicked.connect(self.keep_model)
        self._actions.changed.connect(self._keeping_changed)
        self.other.clicked.connect(self.continue_with)
        context.run_active_changed.connect(lambda _active: self._enable())
        context.catalog_changed.connect(lambda _catalog: self._enable())
        self.setMinimumHeight(self.sizeHint().height())
        self._show(None)

    def show_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show where the chosen run stands, if it is one; of several, how many they are."""
        self.show_run(runs[0] if len(runs) == 1 else None)
        if len(runs) != 1:
            self.text.setText(self.tr("{n} runs are chosen.").format(n=len(runs)) if runs else "")

    def show_run(self, run: RunInfo | None) -> None:
        """Show another run; ``None`` for none."""
        if run == self._run:
            return
        if self._looking is not None:
            self._looking.cancel()
        same = run is not None and self._run is not None and run.id == self._run.id
        self._run, self._looking = run, None
        if run is None or not same or run.status in ("running", "queued"):
            self._show(None)
        if run is None:
            self.text.setText("")
        elif run.status == "running":
            self.text.setText(self.tr("This run is going."))
        elif run.status == "queued":
            self.text.setText(self.tr("This run waits for its turn."))
        else:
            self._look()

    @Slot()
    def _keeping_changed(self) -> None:
        self._enable()
        if not self._actions.keeping:
            self._look()

    @Slot()
    def _look(self) -> None:
        run, workspace = self._run, self._context.workspace
        if self._looking is not None:
            self._looking.cancel()
        if run is not None and run.status not in ("running", "queued"):
            self._looking = run_in_background(
                self, lambda _task: (standing_of(run), gone(run, workspace)), done=lambda found: self._looked(*found),
                failed=self._context.problem.emit,
            )  # fmt: skip

    def can(self, what: str) -> bool:
        """Whether resume, extend, keep or continue is possible now."""
        if what == "keep":
            return self._may_keep()
        if not self._actions.possible() or self._run is None:
            return False
        if what == "continue":
            return self._has_model() or self._may_keep()
        return self.standing is not None and not self._gone and self.standing.finished == (what == "extend")

    @Slot()
    def go_on(self) -> None:
        """Resume the run, or ask how far to extend it where it is finished."""
        if self.can("extend") and self.standing is not None:
            self._actions.extend(self.standing)
        elif self.can("resume") and self._run is not None:
            self._actions.resume(self._run)

    @Slot()
    def continue_with(self) -> None:
        """Fill the Train page with what continues it."""
        if self.can("continue") and self._run is not None:
            self._actions.continue_with(self._run)

    @Slot()
    def keep_model(self) -> None:
        """Make a model of what the run has learned so far."""
        if self.can("keep") and self._run is not None:
            self._actions.keep(self._run, self._model_kept)

    def _model_kept(self) -> None:
        self._context.message.emit(self.tr("What it has learned so far is its model now: predict and evaluate with it."))

    def _has_model(self) -> bool:
        return self._run is not None and self._run.status != "running" and self._run.model_file.is_file()

    def _without_model(self) -> bool:
        """Whether it has learned something of which nobody has made a model."""
        return self.standing is not None and self.standing.step > 0 and not self._has_model()

    def _may_keep(self) -> bool:
        return self._without_model() and self._context.catalog is not None and not self._actions.keeping

    def _looked(self, standing: Standing | None, gone: str) -> None:
        self._looking = None
        self._show(standing, gone)
        if gone:
            self.text.setText(self.tr("Its images are not in {path} any more.").format(path=gone))
            self.text.setToolTip(self.text.text())
        elif standing is None:
            self.text.setText(self.tr("It has no checkpoint to go on from."))

    def _show(self, standing: Standing | None, gone: str = "") -> None:
        self.standing, self._gone = standing, gone
        self.find.setVisible(bool(gone))
        self.text.setText(where_text(standing) if standing is not None else "")
        self.text.setToolTip(self.text.text())
        if standing is not None:
            self.resume.setText(self.tr("Resume") if standing.step else self.tr("Begin anew"))
        self.resume.setVisible(standing is not None and not standing.finished and not gone)
        self.extend.setVisible(standing is not None and standing.finished and not gone)
        self.keep.setVisible(self._without_model())
        self.other.setVisible(self._has_model() or self._without_model())
        self._enable()

    def _enable(self) -> None:
        for button, what in ((self.resume, "resume"), (self.extend, "extend"), (self.keep, "keep"), (self.other, "continue")):
            button.setEnabled(self.can(what))


def _kept(folder: Path, catalog: Catalog, workspace: Path) -> Path:
    from tlstudio.engine.keep import keep_model

    return keep_model(folder, catalog, workspace)


def gone(run: RunInfo, workspace: Path) -> str:
    """Where the images of a run were, if neither they are there nor the workspace knows where they went; else nothing."""
    path = run.config.get("data", {}).get("path")
    now = current(path, workspace) if isinstance(path, str) else None
    return path if isinstance(path, str) and now is not None and not os.path.exists(now) else ""


def where_text(standing: Standing) -> str:
    """Where a run stands, in a sentence or two."""
    if standing.finished:
        return _tr("Finished after {n} epochs. It can have more.").format(n=standing.run.epochs_done)
    began = {
        "interrupted": _tr("Interrupted"), "stopped": _tr("Stopped"), "cancelled": _tr("Cancelled"), "failed": _tr("Failed"),
    }.get(standing.run.status, "")  # fmt: skip
    if not standing.step:
        return _tr("{how} before its first checkpoint.").format(how=began)
    if standing.epoch >= standing.epochs:
        return _tr("{how} after its last epoch of {all}. It can be brought to its end.").format(how=began, all=standing.epochs)
    return _tr("{how}. It can go on in epoch {n} of {all}, after step {step}.").format(
        how=began, n=standing.epoch + 1, all=standing.epochs, step=f"{standing.step:,}"
    )


def above(page: QWidget, bar: QWidget) -> QWidget:
    """A bar above a page, as one widget."""
    both = QWidget()
    column = QVBoxLayout(both)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(bar)
    column.addWidget(page, 1)
    return both


def _button(text: str, icon: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    theme.set_icon(button, icon)
    return button


def _tr(text: str) -> str:
    return QCoreApplication.translate("GoingOn", text)
