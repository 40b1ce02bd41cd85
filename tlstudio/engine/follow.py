"""The run of another process, watched and steered as if it ran here: its events from the file in which it writes them.

Ends with the run, or when its watcher leaves; the run itself then goes on. Imports no torch.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tlstudio.api.errors import UserError
from tlstudio.api.events import Event, RunFailed, RunFinished
from tlstudio.engine.control import Control
from tlstudio.runs import wishes
from tlstudio.runs.store import read_id, read_run
from tlstudio.runs.tail import Tail

_LOOK_SECONDS = 0.2
_ALIVE_SECONDS = 2.0  # looking whether the process lives reads the whole file
_AT_ONCE = 50
_BREATH_SECONDS = 0.005


def follow_run(folder: Path, control: Control, *, steps: int | None = None) -> Iterator[Event]:
    """The events of a run of another process: those so far, then each as it comes; a run that waits is waited for.

    What the ``control`` is told goes to that process. After `Watcher.leave` the iterator ends, else with the last event of the
    run; a `RunFailed` stands for the end of a process that could not say its own.

    Args:
        folder: of the run.
        control: as for a run of this process; it is not waited on.
        steps: of so many steps at most the first look tells, for plots; a window is then given time between them.
    """
    tail, sent = Tail(folder, steps=steps), _Sent()
    looked, first = time.monotonic(), True
    while not control.left:
        for number, event in enumerate(tail.read()):
            yield event
            if isinstance(event, RunFinished | RunFailed) and not _goes_on(folder):
                return
            if control.left:
                return
            if first and steps is not None and number % _AT_ONCE == 0:
                time.sleep(_BREATH_SECONDS)
        first = False
        _pass_on(folder, control, sent)
        if time.monotonic() - looked > _ALIVE_SECONDS:
            looked = time.monotonic()
            if (status := _status(folder)) not in ("running", "queued"):
                last = [event for event in tail.read() if not control.left]
                yield from last
                if not last or not isinstance(last[-1], RunFinished | RunFailed):
                    yield _broken_off(folder, status)
                return
        time.sleep(_LOOK_SECONDS)


class _Sent:
    """What the other process was told already."""

    def __init__(self) -> None:
        self.paused = False
        self.wish = "go"


def _pass_on(folder: Path, control: Control, sent: _Sent) -> None:
    wish: wishes.RunWish | None = None
    if control.wish != "go" and control.wish != sent.wish:
        wish = control.wish
    elif control.wish == "go" and control.paused != sent.paused:
        wish = "pause" if control.paused else "continue"
    if wish is None or wishes.is_unheard(folder):
        return
    run = read_run(folder)
    if run is not None:
        with contextlib.suppress(UserError, OSError):  # it has just ended: its last event will come
            wishes.send(run, wish)
    sent.paused, sent.wish = control.paused, control.wish


def _status(folder: Path) -> str:
    run = read_run(folder)
    return "deleted" if run is None else run.status


def _goes_on(folder: Path) -> bool:
    """Whether a run that has ended before is being trained again, so that an end is not its last."""
    return _status(folder) == "running"


def _broken_off(folder: Path, status: str) -> RunFailed:
    run = read_id(folder)
    if status == "deleted":
        return RunFailed(error="The run was taken away.")
    return RunFailed(run=run, error="The process that trained the run ended before the run had.",
                     hint=f"It can go on: tlstudio runs resume {run}. Its folder has a log.txt that may say why.")  # fmt: skip
