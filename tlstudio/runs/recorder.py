"""Appends the events of a run to ``events.jsonl`` as they pass by."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Progress, RunFailed, RunFinished, RunResumed
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import heartbeat

_DURABLE = (EpochDone, CheckpointSaved, RunResumed, RunFinished, RunFailed)
_HEARTBEAT_SECONDS = 5.0

Patiently = Callable[[Callable[[], None]], Iterable[Event]]


def _at_once(action: Callable[[], object]) -> Iterator[Event]:
    action()
    return iter(())


def record(events: Iterable[Event], folder: Path, *, resumed: bool = False, patiently: Patiently = _at_once) -> Iterator[Event]:
    """Pass events on, each written first. What ends an epoch or the run is synced to the disk at once.

    Args:
        patiently: does what writes, perhaps again, and yields what is then to be told; not recorded.
        resumed: the run goes on: nothing is written before `RunResumed`, so that a run which cannot go on stays as it was.
    """
    beat = 0.0
    with ExitStack() as stack:
        file: IO[bytes] | None = None
        for event in events:
            if file is None and (not resumed or isinstance(event, RunResumed)):
                file = stack.enter_context(safe_io.open_append(folder / EVENTS_FILE))
            if file is not None:
                yield from patiently(partial(_write, event, file))
            if time.monotonic() - beat > _HEARTBEAT_SECONDS:
                beat = time.monotonic()
                heartbeat(folder)
            yield event


def _write(event: Event, file: IO[bytes]) -> None:
    if not isinstance(event, Progress):  # tells nothing afterwards
        safe_io.append(file, event.model_dump_json().encode() + b"\n")
    if isinstance(event, _DURABLE):
        os.fsync(file.fileno())
