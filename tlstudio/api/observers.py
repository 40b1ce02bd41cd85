"""Observers: plugins that hear the events of every run, such as those that write them down for another program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tlstudio.api.events import Event


class Observer(Protocol):
    """What hears one run. It is called in the thread that trains: it must be quick, and not draw from torch's generator."""

    def on_event(self, event: Event) -> None:
        """Hear an event; they come in order, from `RunStarted` to `RunFinished` or `RunFailed`.

        Whatever it raises ends its hearing for the rest of the session; the run goes on.
        """

    def close(self) -> None:
        """The run has ended, or was abandoned without a last event."""


@dataclass(frozen=True, kw_only=True)
class ObserverSpec:
    """What a plugin registers for a way to observe runs.

    Args:
        name: unique within the plugin, lower case; users see ``plugin/name``.
        title: for people.
        about: one plain sentence: what it does with what it hears.
        open: ``open(folder) -> Observer``, called once for each run with the run's folder.
        missing: what must be installed before it can work, with the command; empty where nothing is missing. With something
            missing it is listed and hears nothing.
    """

    name: str
    title: str
    about: str
    open: Callable[[Path], Observer]
    missing: str = ""
