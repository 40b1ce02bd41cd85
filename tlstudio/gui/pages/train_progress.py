"""How far a run is, from its events: shares done, time left, best so far. Knows no Qt."""

from __future__ import annotations

import math

from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Event,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    StepDone,
)

_SOME_SECONDS = 2.0  # an earlier guess would jump


class RunProgress:
    """Feed it events; read what the window tells."""

    def __init__(self) -> None:
        self.run = ""
        self.folder = ""
        self.epochs = 0
        self.epoch = -1
        """The epoch that is going, from 0; -1 before the first."""
        self.epochs_done = 0
        self.steps_per_epoch = 0
        self.step = 0
        self.images_per_s = 0.0
        self.best: EpochDone | None = None
        self.last: EpochDone | None = None
        self.task: Progress | None = None
        """Work that is going before or between epochs."""
        self.device = ""
        self.end: RunFinished | RunFailed | None = None
        self._began = 0.0
        self._before = 0.0
        """Seconds that the run had taken before it was broken off."""
        self._going_on = False
        self._epoch_began = 0.0
        self._newest = 0.0
        self._epoch_seconds = 0.0
        self._task_began, self._task_first = 0.0, 0

    def feed(self, event: Event) -> None:
        """Take one event."""
        before, self._newest = self._newest, event.time
        self._follow_task(event)
        if isinstance(event, RunStarted):
            if self.epochs:
                self._go_on(before, event.time)
            self._going_on = bool(self.epochs)
            self.run, self.folder, self.epochs, self._began = event.run, event.folder, event.epochs, event.time
        elif isinstance(event, RunResumed):
            self._resume(event, before)
        elif isinstance(event, Prepared):
            self.steps_per_epoch, self.device = event.steps_per_epoch, event.device
        elif isinstance(event, EpochStarted):
            self.epoch, self._epoch_began = event.epoch, event.time
        elif isinstance(event, StepDone):
            self.step, self.images_per_s = event.step, event.images_per_s
            if not self.steps_per_epoch and self.epochs:
                self.steps_per_epoch = max(1, event.steps // self.epochs)
        elif isinstance(event, EpochDone):
            self._epoch(event)
        elif isinstance(event, RunFinished | RunFailed):
            self.end = event

    @property
    def epoch_share(self) -> float:
        """Of the epoch that is going, 0 to 1."""
        if self.task is not None:
            return self.task.done / self.task.total if self.task.total else 0.0
        if not self.steps_per_epoch or self.epoch < self.epochs_done:
            return 1.0 if self.epochs_done else 0.0
        return min(1.0, max(0.0, self.step / self.steps_per_epoch - self.epoch))

    @property
    def total_share(self) -> float:
        """Of the whole budget, 0 to 1."""
        if isinstance(self.end, RunFinished) and self.end.outcome == "completed":
            return 1.0  # also where patience ended it early
        steps = self.steps_per_epoch * self.epochs
        return min(1.0, max(self.step / steps, self.epochs_done / self.epochs)) if steps else 0.0

    def elapsed(self, now: float) -> float:
        """Seconds since the start; stands still once the run ended."""
        if not self._began:
            return 0.0
        return self._before + max(0.0, (self._newest if self.end is not None else now) - self._began)

    def left(self, now: float) -> float | None:
        """Seconds until the budget is used up, from the pace of the last epoch; ``None`` where that cannot be told yet."""
        if self.end is not None or self.epoch < 0 or not self.epochs:
            return None
        in_epoch = max(0.0, now - self._epoch_began)
        share = self.epoch_share if self.task is None else 0.0
        if self.epochs_done:
            per_epoch = self._epoch_seconds
        elif share > 0.05:
            per_epoch = in_epoch / share
        else:
            return None
        going = max(0.0, per_epoch - in_epoch) if self.epoch >= self.epochs_done else 0.0
        return going + per_epoch * max(0, self.epochs - max(self.epochs_done, self.epoch + 1))

    def task_left(self, now: float) -> float | None:
        """Seconds until the work before or between epochs is done; ``None`` where there is none or it has just begun."""
        if self.task is None or self.end is not None:
            return None
        done = self.task.done - self._task_first
        seconds = now - self._task_began
        if done <= 0 or seconds < _SOME_SECONDS:
            return None
        return max(0.0, seconds / done * (self.task.total - self._task_first) - seconds)

    def without_better(self) -> int:
        """Epochs since the best one."""
        return self.epochs_done - 1 - self.best.epoch if self.best is not None else 0

    def stood_still(self, seconds: float) -> None:
        """The run was held for so long; that is no time that it took."""
        self._began += seconds
        self._epoch_began += seconds

    def _go_on(self, before: float, now: float) -> None:
        """What lies between the last event before a break and now is no time that the run took."""
        self._before += max(0.0, before - self._began)
        self._epoch_began += now - before

    def _resume(self, event: RunResumed, before: float) -> None:
        if not self._going_on:  # read from a file: there, the run's start is not told again
            self._go_on(before, event.time)
            self._began = event.time
        elif self._epoch_began:
            self._epoch_began += event.time - self._began  # nor is what it takes to get ready
        self._going_on = False
        self.epochs, self.step = event.epochs or self.epochs, event.step

    def _follow_task(self, event: Event) -> None:
        if not isinstance(event, Progress):
            self.task = None
            return
        if self.task is None or self.task.task != event.task:
            self._task_began, self._task_first = event.time, event.done
        self.task = event

    def _epoch(self, event: EpochDone) -> None:
        self.epochs_done, self.last = event.epoch + 1, event
        self.step = max(self.step, event.step)
        # the first epoch also fills the caches, so the newest counts most
        weight = 1.0 if event.epoch == 0 or not self._epoch_seconds else 0.6
        self._epoch_seconds = weight * event.seconds + (1 - weight) * self._epoch_seconds
        if event.best:
            self.best = event


def duration_text(seconds: float | None) -> str:
    """A duration as 0:07, 12:30 or 3:05:00."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
