"""Reads the events of a run back: the same records a live run yields, for plots, lists and tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tlstudio.api.events import Event, parse_event

EVENTS_FILE = "events.jsonl"


_STEP = b'"event":"StepDone"'


def read_events(folder: Path, *, steps: bool = True, until: int | None = None) -> Iterator[Event]:
    """The events of a run in order. A torn line, as a crash leaves it, is passed over; no file means no events.

    Args:
        steps: also `StepDone`, which is nearly all there is; a list of runs does without.
        until: how many bytes of the file count, such as those that were there when a checkpoint was taken.
    """
    try:
        file = (folder / EVENTS_FILE).open("rb")
    except OSError:
        return
    with file:
        place = 0
        for line in file:
            place += len(line)
            if until is not None and place > until:
                return
            if not steps and _STEP in line:
                continue
            try:
                yield parse_event(line)
            except ValidationError:
                continue
