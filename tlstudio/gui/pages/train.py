"""The train page: the form at the left; stage strip, curves and monitor at the right. It starts, steers and watches one run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMessageBox, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.api.config import SAMPLE_DATASET, DataConfig, TrainConfig
from tlstudio.api.dataset import TRAIN, ImageSet
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.events import (
    CheckpointSaved,
    EpochDone,
    EpochStarted,
    Event,
    Prepared,
    RunFailed,
    RunResumed,
    RunStarted,
    StepDone,
)
from tlstudio.engine.control import Control, Watcher
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, GoOn, OpenedData
from tlstudio.gui.pages.train_elsewhere import Elsewhere
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.pages.train_monitor import RunMonitor
from tlstudio.gui.pages.train_network import NetworkView
from tlstudio.gui.pages.train_situation import SituationLook
from tlstudio.gui.pages.train_told import Told, config_of
from tlstudio.gui.pages.train_waiting import Waiting
from tlstudio.gui.thread import Runner, TrainThread, find_rate, going_on, train
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.gui.widgets.first_paint import after_first_paint
from tlstudio.gui.widgets.plots import RunCurves
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from tlstudio.gui.pages.rate_dialog import RateDialog

_OF_GOING_ON = (RunResumed, CheckpointSaved, EpochStarted, StepDone, EpochDone)
"""Events that a run which is held for want of room, or of its images, tells once it goes on."""
_FIELD_LINE = re.compile(r"^([a-z_]+(?:\.[a-z0-9_]+)+): (.+)$")


class TrainPage(QWidget):
    """Settings, one run at a time, and what it tells.

    Args:
        context: what the pages share.
        runner: what trains; by default the engine.
        finder: what searches for a learning rate.
    """

    run_ended = Signal(object)
    """RunFinished | RunFailed | None: the thread of a run is gone; another may start, the window may close."""

    def __init__(
        self, context: AppContext, parent: QWidget | None = None, *, runner: Runner = train, finder: Runner = find_rate
    ) -> None:
        super().__init__(parent)
        self._context = context
        self._runner, self._finder = runner, finder
        self.rate_dialog: RateDialog | None = None
        """The search for a learning rate, while it is open."""
        self._thread: TrainThread | None = None
        self._control: Control | None = None
        self._run = ""
        self._told: Told | None = None
        self._ended: set[str] = set()
        self._painted = False
        self._stack = QStackedWidget(self)
        self._work = QWidget(self._stack)
        self.form = TrainForm(self)
        self.network = NetworkView(self._work)
        self.network.make_drawable(self.form, lambda: context.workspace)
        self.curves = RunCurves(self._work)
        self.monitor = RunMonitor(self._work)
        self.empty = self._make_empty()
        self._build()
        self._connect()
        after_first_paint(self, self._first_painted)
        if context.catalog is not None:
            self._catalog_arrived(context.catalog)
        if context.data is not None:
            self._data_arrived(context.data)

    # What others may ask

    @Slot()
    def start(self) -> bool:
        """Train with the settings of the form; returns whether a run began. Problems are shown at their fields."""
        config = self.runnable() if self._context.may_start() else None
        if config is None:
            return False
        self.waiting.preparing = False  # they are those of this run now
        self._begin(self._runner, config)
        return True

    @Slot(object)
    def start_with(self, config: TrainConfig) -> bool:
        """Train with exactly these settings, such as those of an earlier run; the form shows them."""
        return self.follow(self._runner, config)

    def follow(self, runner: Runner, config: TrainConfig, *, run: str = "", control: Control | None = None) -> bool:
        """Show a run with these settings as ``runner`` tells of it; of one that was going before it tells a `Told` first.

        Args:
            runner: called inside the thread; the buttons of the page reach it through its ``control``.
            config: the settings of the run.
            run: its id, where it has one.
            control: `Watcher` for the run of another process.
        """
        if not self._context.may_start():
            return False
        if not self.waiting.preparing:
            self.form.set_config(config)
        self._ended.discard(run)
        self._begin(runner, config, control)
        return True

    @Slot(object)
    def go_on(self, wish: GoOn) -> bool:
        """Go on with a run where its newest checkpoint is."""
        try:
            config = config_of(wish, self._context.workspace)
        except ConfigError as error:
            self._context.problem.emit(error)
            return False
        return self.follow(going_on(wish.run.id, wish.run.folder, wish.epochs), config)

    def _begin(self, runner: Runner, config: TrainConfig, control: Control | None = None) -> None:
        catalog = self._context.catalog
        assert catalog is not None
        self._stack.setCurrentWidget(self._work)
        self.curves.clear()
        self.monitor.begin(patience=config.run.patience)
        self.form.set_locked(not self.waiting.preparing)
        self.network.set_running(True)
        self._run, self._told = "", None
        self._control = control or Control()
        self._thread = TrainThread(runner, config, catalog, self._context.workspace, self._control, self)
        self._thread.event.connect(self._on_event)
        self._thread.finished.connect(self._on_finished)
        self._context.set_run_active(True)
        self._thread.start()

    def runnable(self) -> TrainConfig | None:
        """The settings of the form, as a run may have them now or later; where none may, the reason is shown."""
        config = self._config_of_form()
        if config is not None and self._thread is None and self.network.problems:  # during a run those of its network
            self._say(self.tr("The strategy does not fit the network. See the marked fields."))
            return None
        return config

    @Slot()
    def find_rate(self) -> None:
        """Search for a learning rate for the settings of the form."""
        if self._thread is not None:
            self._say(self.tr("A learning rate is searched for when no run is going."))
        catalog, config = self._context.catalog, self._config()
        if self.rate_dialog is not None or catalog is None or config is None:
            return
        from tlstudio.gui.pages.rate_dialog import RateDialog

        self.rate_dialog = RateDialog(self._finder, config, catalog, self._context.workspace, self)
        self.rate_dialog.chosen.connect(self.form.set_learning_rate)
        self.rate_dialog.finished.connect(self._rate_dialog_closed)
        self.rate_dialog.open()

    def stop(self, keep: bool = True) -> None:
        """End after the current step; keep the best model so far, or nothing."""
        if self._control is None:
            return
        if keep:
            self._control.stop()
        else:
            self._control.cancel()
        self.monitor.set_state("stopping")

    def leave(self) -> str:
        """Save the run where it is and end it, for the window closes; returns its id, by which it goes on later."""
        if self._control is not None:
            self._control.leave()
            self.monitor.set_state("stopping")
        return self._run

    @Slot()
    def pause(self) -> None:
        """Hold after the current step."""
        if self._control is not None and self.monitor.state == "running":
            self._control.pause()
            self.monitor.set_state("paused")

    @Slot()
    def resume(self) -> None:
        """Go on; a run that is held since it cannot be saved tries to be."""
        if self._control is not None and self.monitor.state in ("paused", "held"):
            self._control.resume()
            if self.monitor.state == "paused":
                self.monitor.set_state("running")

    def toggle_pause(self) -> None:
        """Hold the run, or let it go on."""
        if self.monitor.state in ("paused", "held"):
            self.resume()
        else:
            self.pause()

    def undo(self) -> None:
        """Take the last change of the drawn strategy back."""
        self.network.undo()

    def redo(self) -> None:
        """Make it again."""
        self.network.redo()

    def is_running(self) -> bool:
        """Whether the thread of a run exists; while it does, the window must not go."""
        return self._thread is not None

    def is_watching(self) -> bool:
        """Whether the run that is shown is one of another process, which goes on when the window goes."""
        return self._thread is not None and isinstance(self._control, Watcher)

    @Slot()
    def stop_watching(self) -> None:
        """Let the run of another process go on alone; the page is free for another."""
        if isinstance(self._control, Watcher):
            self._control.leave()

    def set_data(self, data: DataConfig, summary: str = "") -> None:
        """Train on these images from now on."""
        self.form.set_data(data, summary)
        self._show_work()

    @Slot(object)
    def set_config(self, config: TrainConfig) -> None:
        """Put these settings into the form, such as those of an earlier run; not while a run is going."""
        if self._thread is None:
            self.form.set_config(config)
            self._show_work()

    def wait_for_end(self, seconds: float) -> bool:
        """Wait for the thread without the event loop; whether it ended in that time. For the end of the session only."""
        return self._thread is None or self._thread.wait(round(1000 * seconds))

    def shut_down(self) -> None:
        """Cancel and wait for the thread; for the very end of the program."""
        if self.rate_dialog is not None:
            self.rate_dialog.shut_down()
        if self._thread is not None and self._control is not None:
            self.stop_watching() if self.is_watching() else self._control.cancel()
            self._thread.wait()

    def showEvent(self, event: QShowEvent) -> None:
        """Only a page that is looked at looks at the network."""
        super().showEvent(event)
        for button in self.findChildren(QPushButton):
            button.ensurePolished()  # those of a run as well, now and not when it starts
        self._look_at_network()

    # The run

    @Slot(object)
    def _on_event(self, event: Event | Told) -> None:
        if isinstance(event, Told):
            self._show_told(event)
            return
        if not self._is_current(event):
            return
        if isinstance(event, RunStarted):
            self._run = event.run
            self._context.runs_changed.emit()
        self.curves.feed(event)
        if self.monitor.state == "held" and isinstance(event, _OF_GOING_ON) and self._control is not None:
            self.monitor.set_state("paused" if self._control.paused else "running")
        self.monitor.feed(event)
        if isinstance(event, Prepared | EpochStarted):
            self._show_stages(event)
        elif isinstance(event, RunFailed):
            self.form.show_problems(_field_problems(event))
        self._context.run_event.emit(event)

    def _show_told(self, told: Told) -> None:
        """What a run told before one looked; its events follow without a seam."""
        self._run, self._told = told.run, told
        self._ended.discard(told.run)
        self.curves.set_data(told.curves)
        self.monitor.show_told(told.progress, told.notes)
        if told.stages:
            self.network.show_states(told.stages, running=True, epoch=max(0, told.progress.epoch))
            self.network.preview.follow(self.form, [told.stages])

    def _show_stages(self, event: Prepared | EpochStarted) -> None:
        """What learns now; in an epoch that goes on, what the epoch began with."""
        if isinstance(event, EpochStarted):
            self.network.show_states(event.stages, running=True, epoch=event.epoch)
        elif self._told is None or not self._told.stages:
            self.network.show_states(event.stages, running=True, epoch=None)

    def _is_current(self, event: Event) -> bool:
        """Whether an event belongs to the run that is going; a late one of another run does not."""
        if event.run in self._ended and event.run:
            return False
        if self._run:
            return event.run in (self._run, "") and not (event.run == "" and not isinstance(event, RunFailed))
        return self._thread is not None and isinstance(event, RunStarted | RunFailed)

    @Slot()
    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        self._control = None
        if thread is None:
            return
        thread.wait()
        thread.deleteLater()
        if self._run:
            self._ended.add(self._run)
        end = self.monitor.progress.end
        self.monitor.set_state("idle")
        self.form.set_locked(False)
        self.network.set_running(False)
        self._context.set_run_active(False)
        self._context.runs_changed.emit()
        self.run_ended.emit(end)

    @Slot()
    def _ask_cancel(self) -> None:
        """Cancel at once while nothing is learnt yet; afterwards ask, since the model would be gone."""
        if self.monitor.progress.epochs_done:
            answer = QMessageBox.question(
                self,
                self.tr("Cancel the run?"),
                self.tr("The model trained so far is not kept. “Stop and keep” ends the run and keeps the best model."),
                QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
                QMessageBox.StandardButton.No,
            )
            if answer != QMessageBox.StandardButton.Yes:
                return
        self.stop(keep=False)

    # Settings, data and network

    def _config(self) -> TrainConfig | None:
        """What a run may begin with now; where nothing may, the reason is shown."""
        return None if self._thread is not None else self._config_of_form()

    def _config_of_form(self) -> TrainConfig | None:
        try:
            config = self.form.config()
        except ConfigError as error:
            self._say(self.tr("{title} See the marked fields.").format(title=error.title))
            return None
        if config.data.path is None and config.data.dataset is None:
            self._say(self.tr("Open a folder of images first."))
            return None
        return config

    def _say(self, problem: str) -> None:
        """Say why nothing begins: beside Start, or where a run is going, whose state stands there, in the status bar."""
        if self._thread is None:
            self.monitor.show_problem(problem)
        else:
            self._context.message.emit(problem)

    @Slot()
    def _rate_dialog_closed(self) -> None:
        self.rate_dialog = None

    @Slot(object)
    def _catalog_arrived(self, catalog: Catalog) -> None:
        self.form.set_catalog(catalog)
        self.network.look_at_saved()
        self._look_at_network()

    @Slot(object)
    def _data_arrived(self, opened: OpenedData) -> None:
        images = opened.images
        summary = self.tr("{classes} classes, {n} images").format(classes=len(images.classes), n=f"{len(images):,}")
        self.network.set_images(images)
        self.form.set_training_images(_training_images(images, opened.config))
        self.set_data(opened.config, summary)

    def _first_painted(self) -> None:
        self._painted = True
        self._look_at_network()

    @Slot()
    def _look_at_network(self) -> None:
        """Show what the form would train, but not before the first paint: it imports torch, which takes the interpreter."""
        if self.isVisible() and self._thread is None:
            epochs = self.form.value("run.epochs")
            if isinstance(epochs, int) and 1 <= epochs <= 10_000:
                self.curves.expect(epochs)
            if self._painted:
                self.situation.follow()
                self.network.follow(self.form)

    def _recent_backbones(self) -> Sequence[str]:
        from tlstudio.runs.store import recent_backbones  # the list of runs is nothing for the first paint

        return recent_backbones(self._context.workspace)

    def _may_look(self) -> bool:
        return self.isVisible() and self._thread is None

    def _show_work(self) -> None:
        has_data = self.form.value("data.path") is not None or self.form.value("data.dataset") is not None
        self._stack.setCurrentWidget(self._work if has_data or self._thread else self.empty)

    def _go_to_run(self, page: str) -> None:
        self._context.page_requested.emit(page)
        self._context.run_requested.emit(self.monitor.progress.run)

    def _try_sample(self) -> None:
        self._context.page_requested.emit("data")
        self._context.data_requested.emit(DataConfig(dataset=SAMPLE_DATASET))

    def _connect(self) -> None:
        context = self._context
        context.catalog_changed.connect(self._catalog_arrived)
        context.data_changed.connect(self._data_arrived)
        context.config_requested.connect(self.set_config)
        context.start_requested.connect(self.start_with)
        context.going_on_requested.connect(self.go_on)
        self.situation = SituationLook(self, context, self.form, self._may_look)
        self.situation.failed.connect(self.network.show_unchosen)
        self.network.planned.connect(lambda: self.form.set_plans(self.network.plans))
        self.form.set_recent(self._recent_backbones)
        self.form.changed.connect(self._look_at_network)
        self.form.changed.connect(self._show_work)
        self.form.rate_wanted.connect(self.find_rate)
        self.form.data_wanted.connect(lambda: context.page_requested.emit("data"))
        self.curves.problem.connect(context.problem)
        self.network.problem.connect(context.problem)
        self.network.layers_shown.connect(lambda on: self._middle.setCurrentWidget(self.network.tree if on else self.curves))
        monitor = self.monitor
        monitor.still_changed.connect(context.run_still_changed)
        monitor.again_wanted.connect(self.resume)
        monitor.start_wanted.connect(self.start)
        monitor.pause_wanted.connect(lambda on: self.pause() if on else self.resume())
        monitor.stop_wanted.connect(lambda: self.stop(keep=True))
        monitor.cancel_wanted.connect(self._ask_cancel)
        monitor.result.predict_wanted.connect(lambda: self._go_to_run("predict"))
        monitor.result.show_wanted.connect(lambda: self._go_to_run("runs"))
        monitor.failure.details_wanted.connect(context.problem)

    def _make_empty(self) -> EmptyState:
        empty = EmptyState(
            "graduation-cap",
            self.tr("Nothing to train on yet"),
            self.tr("Open images sorted into classes; then one click on Start trains a model on them."),
        )
        empty.add_button(self.tr("Open a folder of images"), lambda: self._context.page_requested.emit("data"), "folder-open")
        empty.add_button(
            self.tr("Try the sample"), self._try_sample, "sparkle", self.tr("Small images of digits, ready to train")
        )
        return empty

    def _build(self) -> None:
        column = QVBoxLayout(self._work)
        column.setContentsMargins(2 * theme.GRID, theme.GRID, 2 * theme.GRID, theme.GRID)
        column.setSpacing(theme.GRID + theme.HALF)
        column.addWidget(self.network)
        self._middle = QStackedWidget()
        self._middle.addWidget(self.curves)
        self._middle.addWidget(self.network.tree)
        column.addWidget(self._middle, 1)
        column.addWidget(self.monitor)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self._work)
        self.elsewhere = Elsewhere(self, self._context, column)
        self.waiting = Waiting(self, self._context)
        line = QFrame()
        line.setFixedWidth(1)
        line.setProperty("line", True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.form, 0)
        layout.addWidget(line)
        layout.addWidget(self._stack, 1)
        layout.setAlignment(self.form, Qt.AlignmentFlag(0))


def _training_images(images: ImageSet, config: DataConfig) -> int:
    """About how many are trained on; the run counts them."""
    if images.splits is not None and config.split == "auto" and (own := int((images.splits == TRAIN).sum())):
        return own
    return round(len(images) * (1.0 - config.val_fraction))


def _field_problems(event: RunFailed) -> list[Problem]:
    """The problems of a configuration that the engine found, from the lines of its message."""
    lines = (_FIELD_LINE.match(line) for line in event.detail.splitlines())
    return [Problem(field=found[1], message=found[2]) for found in lines if found]
