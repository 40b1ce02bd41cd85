"""Reads what another process appends to the events of a run, from the beginning and then as it comes.

The file is opened for each look alone: one that is held open could not be replaced on Windows, as a run that goes on does.
"""

from __future__ import annotations

import os
from pathlib import Path

from tlstudio.api.events import Event
from tlstudio.runs.replay import EVENTS_FILE, event_of, is_step


class Tail:
    """The events of a run that were not read yet.

    Args:
        folder: of the run.
        steps: of so many `StepDone` at most the first look tells, evenly; ``None`` for all. Plots show no more anyway.
    """

    def __init__(self, folder: Path, *, steps: int | None = None) -> None:
        self._file = folder / EVENTS_FILE
        self._steps = steps
        self._position, self._identity = 0, (0, 0)
        self._newest = 0.0

    def read(self) -> list[Event]:
        """What was appended since the last time. Of a file that was replaced, since the run went on, only what is new."""
        lines, replaced = self._lines()
        if self._steps is not None and lines:
            lines, self._steps = _thinned(lines, self._steps), None
        events = [event for line in lines if (event := event_of(line)) is not None]
        if replaced:
            events = [event for event in events if event.time > self._newest]
        if events:
            self._newest = max(self._newest, events[-1].time)
        return events

    def _lines(self) -> tuple[list[bytes], bool]:
        try:
            with self._file.open("rb") as file:
                about = os.fstat(file.fileno())
                identity = (about.st_dev, about.st_ino)
                replaced = self._position > 0 and (identity != self._identity or about.st_size < self._position)
                if replaced:
                    self._position = 0
                self._identity = identity
                if about.st_size == self._position:
                    return [], replaced
                file.seek(self._position)
                data = file.read()
        except OSError:
            return [], False
        whole = data.rfind(b"\n") + 1  # the last line may be half written
        self._position += whole
        return data[:whole].splitlines(), replaced


def _thinned(lines: list[bytes], most: int) -> list[bytes]:
    count = sum(map(is_step, lines))
    if count <= most:
        return lines
    kept, seen = [], 0
    for line in lines:
        if is_step(line):
            seen += 1
            if seen * most // count == (seen - 1) * most // count:
                continue
        kept.append(line)
    return kept
