"""Appends the events of a run to ``events.jsonl`` as they pass by."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Progress, RunFailed, RunFinished
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import heartbeat

_DURABLE = (EpochDone, CheckpointSaved, RunFinished, RunFailed)
_HEARTBEAT_SECONDS = 5.0


def record(events: Iterable[Event], folder: Path) -> Iterator[Event]:
    """Pass events on, each written first. What ends an epoch or the run is synced to the disk at once."""
    beat = 0.0
    with safe_io.open_append(folder / EVENTS_FILE) as file:
        for event in events:
            if not isinstance(event, Progress):  # tells nothing afterwards
                file.write(event.model_dump_json().encode() + b"\n")
                file.flush()
            if isinstance(event, _DURABLE):
                os.fsync(file.fileno())
            if time.monotonic() - beat > _HEARTBEAT_SECONDS:
                beat = time.monotonic()
                heartbeat(folder)
            yield event
