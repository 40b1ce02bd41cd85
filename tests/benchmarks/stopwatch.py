"""A stopwatch put into tlstudio's own run: it says where the seconds of an epoch go, and changes nothing of the work.

It takes the place of `tlstudio.engine.loop.train` in the session, so that the run is prepared exactly as a user's is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.api.events import EpochDone, Event, RunFailed
from tlstudio.engine import session
from tlstudio.engine.control import Control
from tlstudio.engine.loop import Keeps, train
from tlstudio.engine.run import start_run
from tlstudio.engine.training import Training
from tlstudio.registry import load_catalog


@dataclass
class EpochTimes:
    """Seconds of one epoch by what they were for."""

    pixels: float = 0.0
    """Waiting for the next training batch."""
    steps: float = 0.0
    """Training on the batches."""
    validation: float = 0.0
    events: float = 0.0
    """From giving an event away to being asked for the next: recording, sending, showing."""
    checkpoint: float = 0.0
    """After the epoch."""
    whole: float = 0.0
    """From the start of the epoch to the end of what comes after it."""


@dataclass
class Stopwatch:
    """Stands in for `train`; ``epochs`` has what it saw.

    Args:
        bare: events go nowhere and no checkpoint is written.
        between: called after each epoch, outside the time that is measured.
    """

    bare: bool = False
    between: Callable[[Training, Tensor], None] | None = None
    epochs: list[EpochTimes] = field(default_factory=list)
    training: Training | None = None
    _now: EpochTimes = field(default_factory=EpochTimes)
    _batch: Tensor | None = None
    _began: float = 0.0
    _validates: bool = False

    def __call__(self, run: Training, keeper: Keeps) -> Iterator[Event]:
        """The events of `train`, each timed."""
        self.training = run
        self._watch_batches(run)
        self._began = time.perf_counter()

        after_epoch = keeper.after_epoch

        def after(done: EpochDone, last: bool) -> Iterator[Event]:
            began, events = time.perf_counter(), self._now.events
            if not self.bare:
                yield from after_epoch(done, last)
            self._now.checkpoint = time.perf_counter() - began - (self._now.events - events)
            self._now.whole = time.perf_counter() - self._began
            self.epochs.append(self._now)
            if self.between is not None and self._batch is not None:
                self.between(run, self._batch)
            self._now, self._began, self._validates = EpochTimes(), time.perf_counter(), False

        keeper.after_epoch = after  # type: ignore[method-assign]
        for event in train(run, keeper):
            given = time.perf_counter()
            if not self.bare:
                yield event
            self._now.events += time.perf_counter() - given

    def _watch_batches(self, run: Training) -> None:
        """Time both sides of `Cut.batches`: in an epoch it is first asked for what is learned from, then for validation."""
        batches = run.cut.batches

        def watched(parts: list[Any], draw: int | None) -> Iterator[tuple[Tensor, Tensor]]:
            learning, self._validates = not self._validates, True
            asked = time.perf_counter()
            for x, target in batches(parts, draw):
                got, events = time.perf_counter(), self._now.events
                yield x, target
                back = time.perf_counter()
                worked = back - got - (self._now.events - events)
                if learning:
                    self._now.pixels += got - asked
                    self._now.steps += worked
                    self._batch = x if self._batch is None or len(x) > len(self._batch) else self._batch
                else:
                    self._now.validation += got - asked + worked
                asked = back

        run.cut.batches = watched  # type: ignore[method-assign]


def watched_run(settings: list[str], workspace: Path, stopwatch: Stopwatch) -> Path:
    """Train as ``tlstudio train`` does, with the stopwatch in place; returns the folder of the run."""
    session.train = stopwatch
    folder = Path()
    try:
        for event in start_run(with_overrides(TrainConfig(), settings), load_catalog(), workspace, Control()):
            if isinstance(event, RunFailed):
                raise SystemExit(f"{event.error}\n{event.detail}")
            folder = Path(getattr(event, "folder", folder))
    finally:
        session.train = train
    return folder
