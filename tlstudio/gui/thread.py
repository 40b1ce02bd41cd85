"""The thread a run trains in: it pulls events from a generator and emits them. It shows nothing and owns no widget.

torch is imported in here, never in the window's own thread. Receivers run in the main thread because the worker has no slots.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QThread, Signal

from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import Event, RateFound, RunFailed, RunFinished
from tlstudio.engine.control import Control, Watcher
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from tlstudio.gui.pages.train_told import Told
    from tlstudio.runs.store import RunInfo

Runner = Callable[[TrainConfig, Catalog, Path, Control], "Iterator[Event | Told]"]
"""What trains: ``runner(config, catalog, workspace, control)`` yields the events of a run; of one that was going before,
a `Told` of all that was comes first."""

_STEPS_WATCHED = 4000  # of a run so far; its plot is a few hundred pixels wide
_STACK_BYTES = 16 * 2**20  # macOS gives a thread 512 KB, too little for numpy's and torch's deep calls
_NICENESS = 5
_SWITCH_SECONDS = 0.0001
"""How long this thread may keep Python's lock when the window wants it. One painting asks for it dozens of times: with the
usual 5 ms these waits add up to more than 50 ms."""


def train(config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event | Told]:
    """The engine's own run. Imports torch: for use inside the thread only."""
    from tlstudio.engine.run import start_run
    from tlstudio.gui.pages.train_told import told_anew

    return told_anew(start_run(config, catalog, workspace, control))


def going_on(run: str, folder: Path, epochs: int | None) -> Runner:
    """The engine's way to go on with a run that was broken off, or with a finished one for some epochs more.

    Args:
        run: its id.
        folder: of the run.
        epochs: how many more; ``None`` to go on as it was meant.
    """

    def runner(_config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event | Told]:
        from tlstudio.engine.run import resume_run
        from tlstudio.gui.pages.train_told import with_what_was_told

        return with_what_was_told(run, folder, resume_run(folder, catalog, workspace, control, epochs))

    return runner


def reproducing(run: RunInfo) -> Runner:
    """The engine's way to do a run again as it was."""

    def runner(_config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event | Told]:
        from tlstudio.engine.reproduce import reproduce_run
        from tlstudio.gui.pages.train_told import told_anew

        return told_anew(reproduce_run(run, catalog, workspace, control))

    return runner


def queued(folder: Path) -> Runner:
    """The engine's way to train a run that waits for its turn; nobody else works off the queue meanwhile."""

    def runner(_config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event | Told]:
        from tlstudio.engine.run import resume_run
        from tlstudio.gui.pages.train_told import told_anew
        from tlstudio.runs.lock import hold_queue

        try:
            with hold_queue(workspace):
                yield from told_anew(resume_run(folder, catalog, workspace, control))
        except UserError as error:
            yield RunFailed(error=error.title, detail=error.detail, hint=error.hint)

    return runner


def watching(folder: Path) -> Runner:
    """What a run of another process tells; the control is a `Watcher`."""

    def runner(_config: TrainConfig, _catalog: Catalog, _workspace: Path, control: Control) -> Iterator[Event | Told]:
        from tlstudio.engine.follow import follow_run
        from tlstudio.gui.pages.train_told import told_anew

        assert isinstance(control, Watcher)
        return told_anew(follow_run(folder, control, steps=_STEPS_WATCHED))

    return runner


def find_rate(config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event]:
    """The engine's search for a learning rate. Imports torch: for use inside the thread only."""
    from tlstudio.engine.finder import find_rate

    return find_rate(config, catalog, workspace, control)


class TrainThread(QThread):
    """Runs one training. ``finished`` means only that the thread ended; the last event says how the run ended.

    Args:
        runner: what trains, called inside the thread.
        config: the settings of the run.
        catalog: where names are looked up.
        workspace: where the run's folder is made.
        control: how the run is paused and stopped; the caller keeps it.
    """

    event = Signal(object)
    """Event of the run, in order; the last one is `RunFinished` or `RunFailed`, or `RateFound` of a search. Before them may
    come a `Told`."""

    def __init__(
        self,
        runner: Runner,
        config: TrainConfig,
        catalog: Catalog,
        workspace: Path,
        control: Control,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("training")
        self.setStackSize(_STACK_BYTES)
        self._runner = runner
        self._arguments = (config, catalog, workspace, control)

    def run(self) -> None:
        """Pull and emit until the generator ends; whatever it raises becomes a last event."""
        _be_nice()
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            self._train()
        finally:
            sys.setswitchinterval(before)

    def _train(self) -> None:
        run_id, ended = "", False
        try:
            for event in self._runner(*self._arguments):
                run_id = event.run or run_id
                ended = isinstance(event, RunFinished | RunFailed | RateFound)
                self.event.emit(event)
            control = self._arguments[3]
            if not ended and not (isinstance(control, Watcher) and control.left):
                self.event.emit(RunFailed(run=run_id, error="The run ended without saying how."))
        except BaseException as error:  # noqa: BLE001 - left alone it would be lost and the window would wait for ever
            name = type(error).__name__
            self.event.emit(
                RunFailed(run=run_id, error=f"{name}: {error}" if str(error) else name, detail=traceback.format_exc())
            )


def _be_nice() -> None:
    """Let the window go first where both want the processor (on Linux niceness belongs to the thread)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
