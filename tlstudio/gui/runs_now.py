"""Looks every few seconds, off the GUI thread, at what other processes do in the workspace: which runs go on, which wait."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import Task, run_in_background

if TYPE_CHECKING:
    from tlstudio.runs.store import RunInfo

_EVERY_MS = 2000


@dataclass(frozen=True, kw_only=True)
class Now:
    """What goes on in a workspace beside this window.

    Args:
        going: runs that other processes train.
        waiting: the queue, the next one first.
        holder: who else works off the queue; empty where nobody does.
    """

    going: tuple[RunInfo, ...] = ()
    waiting: tuple[RunInfo, ...] = ()
    holder: str = ""


class RunsNow(QObject):
    """Tells when something of it changes, while a widget's window can be seen."""

    changed = Signal(object)
    """Now."""
    looked = Signal(object)
    """Now: a look that nobody was waiting to repeat is over, whether or not it found something new."""

    def __init__(self, context: AppContext, widget: QWidget) -> None:
        super().__init__(widget)
        self._context, self._widget = context, widget
        self._known: dict[Path, RunInfo] = {}
        self._looking: Task | None = None
        self._again = False
        self._telling = False
        self.now = Now()
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self._look_if_seen)
        self._timer.start()
        context.runs_changed.connect(self.look)

    @Slot()
    def look(self) -> None:
        """Look at once; whoever asks while one looks is answered by another look."""
        if self._telling:  # what others shall read anew was just looked at
            return
        if self._looking is not None:
            self._again = True
            return
        workspace, known = self._context.workspace, self._known
        self._looking = run_in_background(self, lambda _task: _look(workspace, known), done=self._seen, failed=self._failed)

    @Slot()
    def _look_if_seen(self) -> None:
        if self._widget.window().isVisible() and self._looking is None:
            self.look()

    def _seen(self, now: Now) -> None:
        self._looking = None
        before, self.now = self.now, now
        self._known = {info.folder: info for info in now.going}
        if now != before:
            self.changed.emit(now)
        if _ids(now) != _ids(before):
            self._telling = True
            self._context.runs_changed.emit()
            self._telling = False
        if self._again:
            self._again = False
            self.look()
        else:
            self.looked.emit(now)

    def _failed(self, error: BaseException) -> None:
        self._looking = None
        self._context.problem.emit(error)


def _look(workspace: Path, known: dict[Path, RunInfo]) -> Now:
    """Runs that are known already are not read again: their events may be many."""
    from tlstudio.runs import queue  # the list of runs is nothing for the first paint
    from tlstudio.runs.lock import queue_holder
    from tlstudio.runs.store import read_run

    going = [known.get(folder) or read_run(folder) for folder in queue.at_work(workspace)]
    return Now(
        going=tuple(sorted((info for info in going if info is not None), key=lambda info: info.created)),
        waiting=tuple(queue.waiting(workspace)),
        holder=queue_holder(workspace),
    )


def _ids(now: Now) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(info.id for info in now.going), frozenset(info.id for info in now.waiting)
