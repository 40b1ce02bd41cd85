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
            if (steps or not is_step(line)) and (event := event_of(line)) is not None:
                yield event


def event_of(line: bytes) -> Event | None:
    """The event of a line; ``None`` where it is torn."""
    try:
        return parse_event(line)
    except ValidationError:
        return None


def is_step(line: bytes) -> bool:
    """Whether a line is a `StepDone`, without parsing it."""
    return _STEP in line
