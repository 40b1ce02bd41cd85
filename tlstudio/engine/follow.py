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
from tlstudio.engine.control import Watcher
from tlstudio.runs import wishes
from tlstudio.runs.lock import is_held
from tlstudio.runs.store import QUEUED_FILE, is_alive, read_id, read_run
from tlstudio.runs.tail import Tail

_LOOK_SECONDS = 0.2
_AT_ONCE = 50
_BREATH_SECONDS = 0.005


def follow_run(folder: Path, control: Watcher, *, steps: int | None = None) -> Iterator[Event]:
    """The events of a run of another process: those so far, then each as it comes; a run that waits is waited for.

    What the ``control`` is told goes to that process. After `Watcher.leave` the iterator ends, else with the last event of the
    run; a `RunFailed` stands for the end of a process that could not say its own.

    Args:
        folder: of the run.
        control: as for a run of this process; it is not waited on.
        steps: of so many steps at most the first look tells, for plots; a window is then given time between them.
    """
    sent = _Sent()
    try:
        yield from _watched(folder, control, Tail(folder, steps=steps), sent, thinned=steps is not None)
    finally:
        _pass_on(folder, control, sent)  # what was wished just before leaving


def _watched(folder: Path, control: Watcher, tail: Tail, sent: _Sent, *, thinned: bool) -> Iterator[Event]:
    end: Event | None = None
    while not control.left:
        expected = _is_expected(folder)  # before reading: what it says last is then read
        events = tail.read()
        if end is not None and events:
            yield end  # it had ended, and goes on
            end = None
        for number, event in enumerate(events):
            if control.left:
                return
            if event is events[-1] and isinstance(event, RunFinished | RunFailed):
                end = event
                break
            yield event
            if thinned and number % _AT_ONCE == _AT_ONCE - 1:
                time.sleep(_BREATH_SECONDS)
        if end is not None and not is_held(folder):
            yield end
            return
        _pass_on(folder, control, sent)
        if not expected and not events:
            yield _broken_off(folder)
            return
        time.sleep(_LOOK_SECONDS)


class _Sent:
    """What the other process was told already."""

    def __init__(self) -> None:
        self.paused = False
        self.wish = "go"


def _pass_on(folder: Path, control: Watcher, sent: _Sent) -> None:
    """Tell the other process what is wished; where nobody works on the run, it is tried again at the next look."""
    paused, wished = control.paused, control.wish
    wish: wishes.RunWish
    if wished != "go" and wished != sent.wish:
        wish = wished
    elif wished == "go" and paused != sent.paused:
        wish = "pause" if paused else "continue"
    else:
        return
    run = read_run(folder)
    with contextlib.suppress(UserError, OSError):  # it waits still, or has just ended: its last event will come
        if run is not None:
            wishes.send(run, wish)
            sent.paused, sent.wish = paused, wished


def _is_expected(folder: Path) -> bool:
    """Whether there will be more events: a process is at work, or the run waits for one."""
    return (folder / QUEUED_FILE).exists() or is_alive(folder)


def _broken_off(folder: Path) -> RunFailed:
    run = read_id(folder)
    if not run:
        return RunFailed(error="The run was taken away.")
    return RunFailed(run=run, error="The process that trained the run ended before the run had.",
                     hint=f"It can go on: tlstudio runs resume {run}. Its folder has a log.txt that may say why.")  # fmt: skip
