"""Appends the events of a run to ``events.jsonl`` as they pass by."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Progress, RunFailed, RunFinished, RunResumed
from tlstudio.runs.replay import EVENTS_FILE

_DURABLE = (EpochDone, CheckpointSaved, RunResumed, RunFinished, RunFailed)

Patiently = Callable[[Callable[[], object], bytes], Iterable[Event]]


def _at_once(action: Callable[[], object], _line: bytes) -> Iterator[Event]:
    action()
    return iter(())


def record(events: Iterable[Event], folder: Path, *, resumed: bool = False, patiently: Patiently = _at_once) -> Iterator[Event]:
    """Pass events on, each written first. What ends an epoch or the run is synced to the disk at once.

    Args:
        patiently: does what writes a line (none where it is only synced), perhaps again, and yields what is then to be told;
            that is not recorded.
        resumed: the run goes on: nothing is written before `RunResumed`, so that a run which cannot go on stays as it was.
    """
    with contextlib.closing(_Story(folder / EVENTS_FILE)) as story:
        writes = not resumed
        for event in events:
            writes = writes or isinstance(event, RunResumed)
            if writes and not isinstance(event, Progress):  # which tells nothing afterwards
                line = event.model_dump_json().encode() + b"\n"
                yield from patiently(partial(story.append, line), line)
                if isinstance(event, _DURABLE):  # apart: what could not be synced is not written again
                    yield from patiently(story.sync, b"")
            yield event


class _Story:
    """The file of a run's events. After a failure it is opened anew: what was open on a drive that was gone stays useless."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def append(self, line: bytes) -> None:
        self._do(lambda file: safe_io.append(file, line))

    def sync(self) -> None:
        self._do(safe_io.sync)

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what was written is written
                self._file.close()
            self._file = None

    def _do(self, action: Callable[[IO[bytes]], object]) -> None:
        try:
            if self._file is None:
                self._file = safe_io.open_append(self._path)
            action(self._file)
        except OSError:
            self.close()
            raise
