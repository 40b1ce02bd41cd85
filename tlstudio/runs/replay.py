"""Reads the events of a run back: the same records a live run yields, for plots, lists and tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from tlstudio.api.events import Event, parse_event

EVENTS_FILE = "events.jsonl"


def read_events(folder: Path) -> Iterator[Event]:
    """The events of a run in order. A torn line, as a crash leaves it, is passed over; no file means no events."""
    try:
        file = (folder / EVENTS_FILE).open("rb")
    except OSError:
        return
    with file:
        for line in file:
            try:
                yield parse_event(line)
            except ValidationError:
                continue
