"""The train page: the form at the left; stage strip, curves and monitor at the right. It starts, steers and watches one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMessageBox, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.api.config import DataConfig, TrainConfig, parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.engine.control import Control
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, GoOn, OpenedData
from tlstudio.gui.pages.train_elsewhere import Elsewhere
from tlstudio.gui.pages.train_empty import nothing_to_train_on
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.pages.train_monitor import RunMonitor
from tlstudio.gui.pages.train_network import NetworkView
from tlstudio.gui.pages.train_rate import RateSearch
from tlstudio.gui.pages.train_shown import RunShown
from tlstudio.gui.pages.train_situation import SituationLook
from tlstudio.gui.pages.train_told import config_of
from tlstudio.gui.pages.train_waiting import Waiting
from tlstudio.gui.run_session import RunSession
from tlstudio.gui.thread import Runner, find_rate, going_on, reproducing, train
from tlstudio.gui.widgets.first_paint import after_first_paint
from tlstudio.gui.widgets.plots import RunCurves
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from tlstudio.runs.store import RunInfo


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
        self._runner = runner
        self.session = RunSession(context, self)
        self.rate_search = RateSearch(context, finder, self)
        self._painted = False
        self._stack = QStackedWidget(self)
        self._work = QWidget(self._stack)
        self.form = TrainForm(self)
        self.network = NetworkView(self._work)
        self.network.make_drawable(self.form, lambda: context.workspace)
        self.curves = RunCurves(self._work)
        self.monitor = RunMonitor(self._work)
        self.shown = RunShown(self, context)
        self.empty = nothing_to_train_on(context)
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
    def reproduce(self, run: RunInfo) -> bool:
        """Do a run again as it was; the form shows its settings."""
        try:
            config = parse_config(run.config)
        except ConfigError as error:
            self._context.problem.emit(error)
            return False
        return self.follow(reproducing(run), config)

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
        self._begin(runner, config, run=run, control=control)
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

    def _begin(self, runner: Runner, config: TrainConfig, *, run: str = "", control: Control | None = None) -> None:
        self._stack.setCurrentWidget(self._work)
        self.shown.begin(patience=config.run.patience)
        self.form.set_locked(not self.waiting.preparing)
        self.network.set_running(True)
        self.session.begin(runner, config, run=run, control=control)
        self._context.set_run_active(True)

    def runnable(self) -> TrainConfig | None:
        """The settings of the form, as a run may have them now or later; where none may, the reason is shown."""
        config = self._config_of_form()
        if config is not None and not self.session.running and self.network.problems:  # during a run those of its network
            self._say(self.tr("The strategy does not fit the network. See the marked fields."))
            return None
        return config

    @Slot()
    def find_rate(self) -> None:
        """Search for a learning rate for the settings of the form."""
        if self.session.running:
            self._say(self.tr("A learning rate is searched for when no run is going."))
        elif (config := self._config_of_form()) is not None:
            self.rate_search.begin(config)

    def stop(self, keep: bool = True) -> None:
        """End after the current step; keep the best model so far, or nothing."""
        if self.session.running:
            self.session.stop(keep=keep)
            self.monitor.set_state("stopping")

    def leave(self) -> str:
        """Save the run where it is and end it, for the window closes; returns its id, by which it goes on later."""
        if self.session.running:
            self.session.leave()
            self.monitor.set_state("stopping")
        return self.session.run

    @Slot()
    def pause(self) -> None:
        """Hold after the current step."""
        if self.monitor.state == "running":
            self.session.pause()
            self.monitor.set_state("paused")

    @Slot()
    def resume(self) -> None:
        """Go on; a run that is held since it cannot be saved tries to be."""
        if self.monitor.state in ("paused", "held"):
            self.session.resume()
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
        """Whether a run is going or shown; while it is, the window must not go."""
        return self.session.running

    def is_watching(self) -> bool:
        """Whether the run that is shown is one of another process, which goes on when the window goes."""
        return self.session.watching

    @Slot()
    def stop_watching(self) -> None:
        """Let the run of another process go on alone; the page is free for another."""
        if self.session.watching:
            self.session.leave()

    def set_data(self, data: DataConfig, summary: str = "") -> None:
        """Train on these images from now on."""
        self.form.set_data(data, summary)
        self._show_work()

    @Slot(object)
    def set_config(self, config: TrainConfig) -> None:
        """Put these settings into the form, such as those of an earlier run; not while a run is going."""
        if not self.session.running:
            self.form.set_config(config)
            self._show_work()

    def wait_for_end(self, seconds: float) -> bool:
        """Wait for the run without the event loop; whether it ended in that time. For the end of the session only."""
        return self.session.wait(seconds)

    def shut_down(self) -> None:
        """Cancel and wait for the run; for the very end of the program."""
        self.rate_search.shut_down()
        self.stop_watching() if self.session.watching else self.session.stop(keep=False)
        self.session.wait()

    def showEvent(self, event: QShowEvent) -> None:
        """Only a page that is looked at looks at the network."""
        super().showEvent(event)
        for button in self.findChildren(QPushButton):
            button.ensurePolished()  # those of a run as well, now and not when it starts
        self._look_at_network()

    # The run

    @Slot()
    def _on_ended(self) -> None:
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

    def _config_of_form(self) -> TrainConfig | None:
        """The settings of the form; where nothing may begin with them, the reason is shown."""
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
        if not self.session.running:
            self.monitor.show_problem(problem)
        else:
            self._context.message.emit(problem)

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
        self.form.set_training_images(opened.training_images)
        self.set_data(opened.config, summary)

    def _first_painted(self) -> None:
        self._painted = True
        self._look_at_network()

    @Slot()
    def _look_at_network(self) -> None:
        """Show what the form would train, but not before the first paint: it imports torch, which takes the interpreter."""
        if self.isVisible() and not self.session.running:
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
        return self.isVisible() and not self.session.running

    def _show_work(self) -> None:
        has_data = self.form.value("data.path") is not None or self.form.value("data.dataset") is not None
        self._stack.setCurrentWidget(self._work if has_data or self.session.running else self.empty)

    def _go_to_run(self, page: str) -> None:
        self._context.page_requested.emit(page)
        self._context.run_requested.emit(self.monitor.progress.run)

    def _connect(self) -> None:
        context = self._context
        self.session.event.connect(self.shown.feed)
        self.session.ended.connect(self._on_ended)
        context.catalog_changed.connect(self._catalog_arrived)
        context.data_changed.connect(self._data_arrived)
        context.config_requested.connect(self.set_config)
        context.reproduction_requested.connect(self.reproduce)
        context.going_on_requested.connect(self.go_on)
        self.situation = SituationLook(self, context, self.form, self._may_look)
        self.situation.failed.connect(self.network.show_unchosen)
        self.network.planned.connect(lambda: self.form.set_plans(self.network.plans))
        self.form.set_recent(self._recent_backbones)
        self.form.changed.connect(self._look_at_network)
        self.form.changed.connect(self._show_work)
        self.form.rate_wanted.connect(self.find_rate)
        self.rate_search.chosen.connect(self.form.set_learning_rate)
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
