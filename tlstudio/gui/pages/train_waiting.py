"""The queue on the Train page: runs are added to it, ordered, taken out; the next begins by itself when a run has ended.

Not after the user stopped or cancelled one: then it waits for a click. What waits stays when the window closes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt, Slot
from PySide6.QtWidgets import QMenu, QToolButton

from tlstudio.api.config import TrainConfig, parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.api.events import RunFailed, RunFinished
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.runs_now import Now
from tlstudio.gui.thread import queued
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from tlstudio.gui.pages.train import TrainPage
    from tlstudio.gui.pages.train_repeat import Repeater
    from tlstudio.gui.pages.train_waiting_list import WaitingList
    from tlstudio.runs.store import RunInfo


class Waiting(QObject):
    """Other ways to start, beside Start; and a button that opens the list of waiting runs while there are any."""

    def __init__(self, page: TrainPage, context: AppContext) -> None:
        super().__init__(page)
        self._page, self._context = page, context
        self.preparing = False
        """Whether the form has the settings of another run than the one that is going: whoever begins leaves them there."""
        self._due = False  # the next begins as soon as it is known which that is
        self._first = ""  # of those that wait, whatever the order
        self._begun = ""
        self.more = QToolButton()
        self.more.setToolTip(self.tr("Other ways to start"))
        self.more.setAccessibleName(self.tr("Other ways to start"))
        theme.set_icon(self.more, "caret-down")
        self.more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu = QMenu(self.more)
        self.background = self.menu.addAction(self.tr("Start in the background"), page.elsewhere.start)
        self.background.setToolTip(self.tr("In a process of its own, which goes on when the window is closed"))
        self.prepare = self.menu.addAction(self.tr("Prepare another run"), self.begin_preparing)
        self.add = self.menu.addAction(self.tr("Add to queue"), self.add_to_queue)
        self.repeat = self.menu.addAction(self.tr("Train several times…"), self.ask_repeat)
        self.repeat.setToolTip(self.tr("The same settings over seeds or folds, as a group of runs with mean and interval"))
        self.menu.setToolTipsVisible(True)
        self.more.setMenu(self.menu)
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.button = QToolButton()
        self.button.setToolTip(self.tr("Runs that wait for their turn"))
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        theme.set_icon(self.button, "queue")
        self.button.clicked.connect(self.open)
        self.button.hide()
        self._list: WaitingList | None = None
        page.monitor.add_ways(self.more, self.button)
        page.elsewhere.runs.changed.connect(self._show)
        page.elsewhere.runs.looked.connect(self._begin_what_is_due)
        page.run_ended.connect(self._run_ended)
        context.run_active_changed.connect(self._show)
        self.menu.aboutToShow.connect(self._enable)
        self._enable()

    @property
    def list(self) -> WaitingList:
        """The list over the page; made when it is first asked for."""
        from tlstudio.gui.pages.train_waiting_list import WaitingList

        if self._list is None:
            self._list = WaitingList(self._page)
            self._list.ordered.connect(self._order)
            self._list.cancelled.connect(self._cancel)
            self._list.start_wanted.connect(self.start_next)
        return self._list

    @cached_property
    def repeater(self) -> Repeater:
        """Asks how the settings are to be repeated; made when it is first asked for."""
        from tlstudio.gui.pages.train_repeat import Repeater

        return Repeater(self._page, self._context)

    # What the user does

    def may_start(self) -> bool:
        """Whether the next could begin now."""
        now = self._page.elsewhere.runs.now
        return bool(now.waiting) and not now.holder and self._context.may_start()

    def may_add(self) -> bool:
        """Whether the settings of the form are those of another run than the one that is going."""
        return self._context.catalog is not None and (self.preparing or not self._page.is_running())

    @Slot()
    def begin_preparing(self) -> None:
        """Let the settings be changed for another run, while one is going."""
        self.preparing = self._page.is_running()
        self._page.form.set_locked(False)
        self._enable()
        self._context.message.emit(
            self.tr("These settings are for another run. “Add to queue” puts it behind the one that is going.")
        )

    @Slot()
    def add_to_queue(self) -> None:
        """Put a run with the settings of the form at the end of the queue."""
        catalog, config = self._context.catalog, self._page.runnable()
        if catalog is None or config is None:
            return
        workspace = self._context.workspace

        def added(_made: object) -> None:
            self._context.message.emit(self.tr("The run waits in the queue."))
            self._context.runs_changed.emit()

        run_in_background(
            self, lambda _task: _enqueue(config, catalog, workspace), done=added, failed=self._context.problem.emit
        )

    @Slot()
    def ask_repeat(self) -> None:
        """Ask how often the settings of the form shall be trained, over seeds or over folds."""
        self.repeater.ask()

    def begin_soon(self, run: str) -> None:
        """Begin a waiting run as soon as none is going, before others that wait; it has been added just now.

        Args:
            run: its id.
        """
        self._due, self._first = True, run
        self._page.elsewhere.runs.look()

    @Slot()
    def open(self) -> None:
        """Show the list above its button."""
        self._fill(self.list)
        self.list.adjustSize()
        corner = self.button.mapToGlobal(QPoint(self.button.width(), 0))
        self.list.move(corner - QPoint(self.list.width(), self.list.height() + theme.HALF))
        self.list.show()

    @Slot()
    def start_next(self) -> bool:
        """Begin the run that is the next; returns whether one began."""
        return self.may_start() and self._start(self._page.elsewhere.runs.now.waiting[0])

    def _start(self, run: RunInfo) -> bool:
        try:
            config = self._as_asked(run)
        except ConfigError as error:
            self._context.problem.emit(error)
            return False
        if self._list is not None:
            self._list.hide()
        self._begun = run.id
        if run.group:
            from tlstudio.gui.pages.runs_model import group_text

            which, _, group = group_text(run).partition(" · ")
            self._context.message.emit(self.tr("Now: {which} of the group {group}.").format(which=which, group=group))
        return self._page.follow(queued(run.folder), config, run=run.id)

    def _as_asked(self, run: RunInfo) -> TrainConfig:
        """What the form shows of a run: where that repeats the settings in the form, these; its seed or fold is not of them."""
        from tlstudio.runs.groups import repeats

        with contextlib.suppress(ConfigError):
            asked = self._page.form.config()
            if repeats(run, asked):
                return asked
        return parse_config(run.config)

    # What happens

    @Slot(object)
    def _run_ended(self, end: RunFinished | RunFailed | None) -> None:
        """The next shall begin; not after the user ended this one by hand, or when it is only watched no longer.

        Which one that is, is looked up first: others may have added runs, or have begun them. The page has asked for that.
        """
        self._due = isinstance(end, RunFailed) or (isinstance(end, RunFinished) and end.outcome == "completed")
        self._first = self._first if self._due else ""
        self.preparing = self.preparing and self._due

    @Slot(object)
    def _begin_what_is_due(self, now: Now) -> None:
        """Begin the next, when no other process trains; one that could not begin the last time waits for a click."""
        if not self._due or now.going:
            return
        self._due, first, self._first = False, self._first, ""
        run = next((run for run in now.waiting if run.id == first), now.waiting[0] if now.waiting else None)
        if run is not None and run.id != self._begun and self.may_start():
            self._start(run)
        self.preparing = self.preparing and self._page.is_running()

    @Slot(object)
    def _show(self, _changed: object = None) -> None:
        now = self._page.elsewhere.runs.now
        count = len(now.waiting)
        self.button.setText(self.tr("{n} waiting").format(n=count))
        self.button.setVisible(count > 0)
        if self._list is not None:
            self._fill(self._list)
            self._list.setVisible(self._list.isVisible() and count > 0)
        self._enable()

    def _fill(self, shown: WaitingList) -> None:
        now = self._page.elsewhere.runs.now
        shown.show_runs(now.waiting, holder=now.holder, may_start=self.may_start())

    @Slot()
    def _enable(self) -> None:
        running, ready = self._page.is_running(), self._context.catalog is not None
        self.background.setEnabled(ready and not running)
        self.prepare.setVisible(running and not self.preparing)
        self.add.setEnabled(self.may_add())
        self.repeat.setEnabled(self.may_add())

    @Slot(object)
    def _order(self, runs: Sequence[RunInfo]) -> None:
        from tlstudio.runs import queue

        self._do(lambda: queue.arrange(runs))

    @Slot(object)
    def _cancel(self, run: RunInfo) -> None:
        from tlstudio.runs import queue

        workspace = self._context.workspace
        self._do(lambda: queue.cancel(workspace, run))

    def _do(self, work: Callable[[], object]) -> None:
        run_in_background(self, lambda _task: work(), done=self._done, failed=self._context.problem.emit)

    def _done(self, _result: object) -> None:
        self._context.runs_changed.emit()


def _enqueue(config: TrainConfig, catalog: Catalog, workspace: Path) -> object:
    from tlstudio.engine.run import make_run

    return make_run(config, catalog, workspace, waits=True)
