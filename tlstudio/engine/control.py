"""How another thread steers a run: pause, resume, stop and keep, cancel. Asked between steps; imports no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tlstudio.runs.recorder import Story

Wish = Literal["go", "stop", "cancel"]


def nowhere() -> None:
    """There is nothing to save."""


class Control:
    """Thread-safe wishes of the user. ``stop`` keeps the best model so far, ``cancel`` keeps nothing.

    Args:
        waits_for_room: whether a run that cannot be saved (a full disk) is held until it can; otherwise it ends.
    """

    def __init__(self, *, waits_for_room: bool = True) -> None:
        self.waits_for_room = waits_for_room
        self._running = threading.Event()
        self._running.set()
        self._wish: Wish = "go"
        self._leaving = False
        self.aside: Callable[[], Callable[[], None] | None] = nowhere
        """Saves the run elsewhere while its folder cannot be written; returns what takes that away again, if it could."""
        self.story: Story | None = None
        """What the run tells, where it is recorded."""

    def pause(self) -> None:
        """Hold after the current step; a run that shall end is not held any more."""
        self._running.clear()
        if self._wish != "go":  # asked afterwards: whoever wishes an end sets the wish first, then lets the run go on
            self._running.set()

    def wait(self, seconds: float) -> None:
        """Wait while paused, at most so long."""
        self._running.wait(seconds)

    def resume(self) -> None:
        """Go on."""
        self._running.set()

    def stop(self) -> None:
        """End after the current step and keep the model."""
        self._wish = "stop"
        self._running.set()

    def leave(self) -> None:
        """As `stop`, but measure nothing any more: the program closes, and the run goes on later from where it is."""
        self._leaving = True
        self.stop()

    def cancel(self) -> None:
        """End after the current step and keep no model."""
        self._wish = "cancel"
        self._running.set()

    def obey(self, wish: Literal["pause", "continue", "stop", "cancel"]) -> None:
        """Do what somebody wishes by name."""
        {"pause": self.pause, "continue": self.resume, "stop": self.stop, "cancel": self.cancel}[wish]()

    @property
    def paused(self) -> bool:
        """Whether the run is being held."""
        return not self._running.is_set()

    @property
    def leaving(self) -> bool:
        """Whether there is no time for anything but saving the run."""
        return self._leaving and self._wish == "stop"

    @property
    def wish(self) -> Wish:
        """What the user wants now, without waiting."""
        return self._wish

    def checkpoint(self) -> Wish:
        """Wait while paused, then tell what is wanted; the engine calls it between steps."""
        if self.paused:  # looked at without a lock: a signal that comes here may steer the run
            self._running.wait()
        return self._wish


class Watcher(Control):
    """The control of a run of another process: what it is told goes there, and it can be left without harm to the run."""

    left = False
    """Whether it watches no longer; see `tlstudio.engine.follow`."""

    def leave(self) -> None:
        """Watch no longer; the run goes on."""
        self.left = True
