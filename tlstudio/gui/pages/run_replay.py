"""What the events of a run add up to, for its details. What was read last is kept while the files stay as they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from tlstudio.api.events import EpochStarted, Note, Prepared, RunFailed, StageState
from tlstudio.gui.widgets.background import Task
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.runs.replay import EVENTS_FILE, read_events
from tlstudio.runs.store import RunInfo

_MOST_POINTS = 4_000_000


@dataclass(kw_only=True)
class Replay:
    """The curves, and what else is told of a run."""

    curves: CurveData = field(default_factory=CurveData)
    prepared: Prepared | None = None
    stages: tuple[StageState, ...] = ()
    notes: list[Note] = field(default_factory=list)
    failure: RunFailed | None = None


def replay(run: RunInfo, task: Task | None = None) -> Replay:
    """Read the events of a run; ends early when the task is cancelled."""
    result = Replay()
    for event in read_events(run.folder):
        if task is not None and task.cancelled:
            break
        result.curves.feed(event)
        if isinstance(event, Prepared):
            result.prepared, result.stages = event, event.stages
        elif isinstance(event, EpochStarted):
            result.stages = event.stages
        elif isinstance(event, Note):
            result.notes.append(event)
        elif isinstance(event, RunFailed):
            result.failure = event
    return result


class Replays:
    """Reads each run once; any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Path, int, int], Replay] = OrderedDict()

    def of(self, run: RunInfo, task: Task | None = None) -> Replay:
        """As `replay`."""
        key = _key(run)
        with self._lock:
            if key is not None and key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = replay(run, task)
        if key is not None and run.status != "running" and not (task is not None and task.cancelled):
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and sum(len(each.curves.steps[0]) for each in self._kept.values()) > _MOST_POINTS:
                    self._kept.popitem(last=False)
        return found


def _key(run: RunInfo) -> tuple[Path, int, int] | None:
    try:
        look = (run.folder / EVENTS_FILE).stat()
    except OSError:
        return None
    return run.folder, look.st_size, look.st_mtime_ns
