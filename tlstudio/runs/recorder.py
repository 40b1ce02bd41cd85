"""Appends the events of a run to ``events.jsonl`` as they pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Progress, RunFailed, RunFinished, RunResumed
from tlstudio.runs.replay import EVENTS_FILE

_DURABLE = (EpochDone, CheckpointSaved, RunResumed, RunFinished, RunFailed)

Patiently = Callable[[Callable[[], object]], Iterable[Event]]


def _at_once(action: Callable[[], object]) -> Iterator[Event]:
    action()
    return iter(())


def record(events: Iterable[Event], folder: Path, *, resumed: bool = False, patiently: Patiently = _at_once) -> Iterator[Event]:
    """Pass events on, each written first. What ends an epoch or the run is synced to the disk at once.

    Args:
        patiently: does what writes, perhaps again, and yields what is then to be told; not recorded.
        resumed: the run goes on: nothing is written before `RunResumed`, so that a run which cannot go on stays as it was.
    """
    with ExitStack() as stack:
        file: IO[bytes] | None = None

        def open_file() -> None:
            nonlocal file
            file = stack.enter_context(safe_io.open_append(folder / EVENTS_FILE))

        for event in events:
            if file is None and (not resumed or isinstance(event, RunResumed)):
                yield from patiently(open_file)
            if file is not None and not isinstance(event, Progress):  # which tells nothing afterwards
                yield from patiently(partial(safe_io.append, file, event.model_dump_json().encode() + b"\n"))
                if isinstance(event, _DURABLE):  # apart: what could not be synced is not written again
                    yield from patiently(partial(safe_io.sync, file))
            yield event
