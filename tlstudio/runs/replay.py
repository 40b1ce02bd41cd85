"""Reads the events of a run back: the same records a live run yields, for plots, lists and tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tlstudio.api.events import Event, parse_event

EVENTS_FILE = "events.jsonl"


_STEP = b'"event":"StepDone"'


def read_events(folder: Path, *, steps: bool = True) -> Iterator[Event]:
    """The events of a run in order. A torn line, as a crash leaves it, is passed over; no file means no events.

    Args:
        steps: also `StepDone`, which is nearly all there is; a list of runs does without.
    """
    try:
        file = (folder / EVENTS_FILE).open("rb")
    except OSError:
        return
    with file:
        for line in file:
            if not steps and _STEP in line:
                continue
            try:
                yield parse_event(line)
            except ValidationError:
                continue
