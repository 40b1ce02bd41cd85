"""Appends the events of a run to ``events.jsonl`` as they pass by."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Progress, RunFailed, RunFinished, RunResumed
from tlstudio.runs.replay import EVENTS_FILE

_LONGEST = 2**16  # bytes of a line that tells it from others
_DURABLE = (EpochDone, CheckpointSaved, RunResumed, RunFinished, RunFailed)

Patiently = Callable[[Callable[[], object]], Iterable[Event]]


class Told(NamedTuple):
    """How far the story of a run is on the disk: so many bytes of it surely, the last of these lines, and what came after."""

    size: int
    last: bytes
    since: bytes


def _at_once(action: Callable[[], object]) -> Iterator[Event]:
    action()
    return iter(())


def record(
    events: Iterable[Event], folder: Path, *, resumed: bool = False, patiently: Patiently = _at_once, story: Story | None = None
) -> Iterator[Event]:
    """Pass events on, each written first. What ends an epoch or the run is synced to the disk at once.

    Args:
        patiently: does what writes, perhaps again, and yields what is then to be told; not recorded.
        resumed: the run goes on: nothing is written before `RunResumed`, so that a run which cannot go on stays as it was.
        story: of the folder, where somebody else wants to know what is told.
    """
    with contextlib.closing(story or Story(folder)) as story:
        writes = not resumed
        for event in events:
            writes = writes or isinstance(event, RunResumed)
            if writes and not isinstance(event, Progress):  # which tells nothing afterwards
                yield from patiently(partial(story.append, event.model_dump_json().encode() + b"\n"))
                if isinstance(event, _DURABLE):  # apart: what could not be synced is not written again
                    yield from patiently(story.sync)
            yield event


class Story:
    """The file of a run's events. After a failure it is opened anew: what was open on a drive that was gone stays useless.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_FILE
        self._file: IO[bytes] | None = None
        self._synced = (0, b"")
        self._since: list[bytes] = []
        self._line = b""

    def told(self) -> Told:
        """What has been told, with the line that is just being written."""
        return Told(*self._synced, b"".join([*self._since, self._line]))

    def append(self, line: bytes) -> None:
        """Add a line; raises `OSError`."""
        self._line = line
        self._do(lambda file: safe_io.append(file, line))
        self._since.append(line)
        self._line = b""

    def sync(self) -> None:
        """Make all lines survive a power cut; raises `OSError`."""
        self._do(self._sync)

    def _sync(self, file: IO[bytes]) -> None:
        safe_io.sync(file)
        if self._since:  # as long as it is, not as it was meant: a drive that went may have lost lines
            self._synced, self._since = (os.fstat(file.fileno()).st_size, self._since[-1]), []

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what was written is written
                self._file.close()
            self._file = None

    def _do(self, action: Callable[[IO[bytes]], object]) -> None:
        try:
            if self._file is None:
                self._file = safe_io.open_append(self._path)
                if not self._since and not self._synced[0]:
                    self._synced = _end_of(self._file)
            action(self._file)
        except OSError:
            self.close()
            raise


def _end_of(file: IO[bytes]) -> tuple[int, bytes]:
    """How long a file of lines is, and its last line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST))
    lines = file.read().splitlines(keepends=True)
    return size, lines[-1] if lines else b""
