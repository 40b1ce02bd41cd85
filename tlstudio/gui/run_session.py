"""One run of the window at a time: its thread, its control, and which run it is. Shows nothing."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import Event, RunFailed, RunStarted
from tlstudio.engine.control import Control, Watcher
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.train_told import Told
from tlstudio.gui.thread import Runner, TrainThread


class RunSession(QObject):
    """Begins, steers and ends a run."""

    event = Signal(object)
    """Event or Told of the run that is going, in order; a late one of another run is left out."""
    ended = Signal()
    """The thread of the run is gone."""

    def __init__(self, context: AppContext, parent: QObject) -> None:
        super().__init__(parent)
        self._context = context
        self._thread: TrainThread | None = None
        self._control: Control | None = None
        self._over: set[str] = set()
        self.run = ""
        """The id of the run that is going, or was the last; empty until it is known."""

    def begin(self, runner: Runner, config: TrainConfig, *, run: str = "", control: Control | None = None) -> None:
        """Begin a run; `AppContext.may_start` was asked before.

        Args:
            runner: called inside the thread.
            config: the settings of the run.
            run: its id, where it has one already.
            control: `Watcher` for the run of another process.
        """
        catalog = self._context.catalog
        assert catalog is not None
        self._over.discard(run)
        self.run = ""
        self._control = control or Control()
        self._thread = TrainThread(runner, config, catalog, self._context.workspace, self._control, self)
        self._thread.event.connect(self._arrived)
        self._thread.finished.connect(self._finished)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread of a run exists; while it does, the window must not go."""
        return self._thread is not None

    @property
    def watching(self) -> bool:
        """Whether the run is one of another process, which goes on when the window goes."""
        return self._thread is not None and isinstance(self._control, Watcher)

    @property
    def paused(self) -> bool:
        """Whether the user has the run held."""
        return self._control is not None and self._control.paused

    def pause(self) -> None:
        """Hold after the current step."""
        if self._control is not None:
            self._control.pause()

    def resume(self) -> None:
        """Go on; a run that cannot be saved tries to be."""
        if self._control is not None:
            self._control.resume()

    def stop(self, *, keep: bool) -> None:
        """End after the current step; keep the best model so far, or nothing."""
        if self._control is not None:
            self._control.stop() if keep else self._control.cancel()

    def leave(self) -> None:
        """Save the run where it is and end it, to go on later; one that is only watched goes on alone."""
        if self._control is not None:
            self._control.leave()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the thread without the event loop; whether it ended in that time. For the end of the session only."""
        if self._thread is None:
            return True
        return self._thread.wait() if seconds is None else self._thread.wait(round(1000 * seconds))

    @Slot(object)
    def _arrived(self, event: Event | Told) -> None:
        if isinstance(event, Told):
            self._over.discard(event.run)
        elif not self._is_current(event):
            return
        if isinstance(event, Told | RunStarted):
            self.run = event.run
        self.event.emit(event)

    def _is_current(self, event: Event) -> bool:
        """Whether an event belongs to the run that is going; a late one of another run does not."""
        if event.run in self._over and event.run:
            return False
        if self.run:
            return event.run in (self.run, "") and not (event.run == "" and not isinstance(event, RunFailed))
        return self._thread is not None and isinstance(event, RunStarted | RunFailed)

    @Slot()
    def _finished(self) -> None:
        thread, self._thread, self._control = self._thread, None, None
        if thread is None:
            return
        thread.wait()
        thread.deleteLater()
        if self.run:
            self._over.add(self.run)
        self.ended.emit()
