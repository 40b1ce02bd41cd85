"""The numbers behind the curves of a run, gathered from its events. Knows no Qt, so that a test or a thread can fill it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tlstudio.api.events import EpochDone, EpochStarted, Event, Prepared, RunFinished, RunResumed, RunStarted, StepDone

Array = NDArray[np.float64]

_MEMORY_STEPS = 8.0  # the smoothed loss remembers about so many steps,
_MEMORY_SHARE = 1 / 100  # or this share of the run where that is more


class Series:
    """Rows of numbers that grow one by one in a buffer which doubles, so that a million rows cost no copying each time."""

    def __init__(self, columns: int) -> None:
        self._buffer: Array = np.empty((columns, 256))
        self._length = 0

    def __len__(self) -> int:
        """Number of rows."""
        return self._length

    def append(self, *row: float) -> None:
        """Add one row."""
        if self._length == self._buffer.shape[1]:
            grown = np.empty((self._buffer.shape[0], 2 * self._length))
            grown[:, : self._length] = self._buffer
            self._buffer = grown
        self._buffer[:, self._length] = row
        self._length += 1

    def column(self, index: int) -> Array:
        """One column, ``(rows,)``: a view that stays valid while rows are added."""
        return self._buffer[index, : self._length]


class CurveData:
    """Loss and metrics of one run over its epochs. Feed it events in order; live and replayed runs go the same way.

    The horizontal axis counts epochs: after step ``s`` of ``n`` per epoch it is ``s / n``, so that the validation of the
    first epoch stands at 1. Accuracies are kept as fractions.
    """

    def __init__(self) -> None:
        self.run = ""
        self.epochs = 0
        self.best_epoch = -1
        self.version = 0
        """Rises with every event that changes a curve."""
        self.epoch_version = 0
        """Rises with every event that changes more than the steps."""
        self.frozen_until: list[tuple[int, int]] = []
        """(epoch, number of frozen stages) where the plan changed."""
        self._steps_per_epoch = 0.0
        self._steps = Series(4)  # epoch position, loss, smoothed loss, learning rate
        self._epochs = Series(5)  # epoch position, train loss, validation loss, train accuracy, validation accuracy
        self._average = 0.0
        self._weight = 0.0
        self._last_step = 0

    def feed(self, event: Event) -> bool:
        """Take one event; returns whether a curve changed."""
        if isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, EpochDone):
            self._epoch(event)
        elif isinstance(event, EpochStarted):
            if not self._plan(event):
                return False
        elif isinstance(event, RunStarted):
            self.run, self.epochs = event.run, event.epochs
            return False
        elif isinstance(event, RunResumed):
            self.epochs = event.epochs or self.epochs  # it may have more than before
            return False
        elif isinstance(event, Prepared):
            self._steps_per_epoch = float(event.steps_per_epoch)
            return False
        elif isinstance(event, RunFinished):
            self.best_epoch = event.best_epoch
            self.epochs = event.epochs or self.epochs  # a run that ended early fills the plot
        else:
            return False
        self.version += 1
        self.epoch_version += not isinstance(event, StepDone)
        return True

    def feed_all(self, events: Iterable[Event]) -> CurveData:
        """Take many events; returns itself."""
        for event in events:
            self.feed(event)
        return self

    @property
    def steps(self) -> tuple[Array, Array, Array]:
        """Epoch position, loss and smoothed loss of every step that was told."""
        return self._steps.column(0), self._steps.column(1), self._steps.column(2)

    @property
    def epoch_positions(self) -> Array:
        """Where each finished epoch stands on the axis: 1, 2, …"""
        return self._epochs.column(0)

    def metric(self, split: str, name: str) -> Array:
        """``loss`` or ``accuracy`` of ``train`` or ``val`` for each finished epoch; NaN where it was not measured."""
        return self._epochs.column(1 + ("train", "val").index(split) + 2 * ("loss", "accuracy").index(name))

    def best(self) -> tuple[float, float, float] | None:
        """Position, validation loss and validation accuracy of the best epoch; ``None`` before there is one."""
        row = int(np.searchsorted(self.epoch_positions, self.best_epoch + 1.0))
        if self.best_epoch < 0 or row == len(self._epochs):
            return None
        return (
            float(self.epoch_positions[row]),
            float(self.metric("val", "loss")[row]),
            float(self.metric("val", "accuracy")[row]),
        )

    def at(self, position: float) -> dict[str, float]:
        """All values nearest to a place on the axis, by name; what is not known there is left out."""
        values: dict[str, float] = {}
        if len(self._steps):
            row = _nearest(self._steps.column(0), position)
            values["loss"], values["smoothed"] = float(self._steps.column(1)[row]), float(self._steps.column(2)[row])
        if len(self._epochs):
            row = _nearest(self.epoch_positions, position)
            values["epoch"] = float(self.epoch_positions[row])
            for split in ("train", "val"):
                for name in ("loss", "accuracy"):
                    values[f"{split}_{name}"] = float(self.metric(split, name)[row])
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def to_csv(self) -> str:
        """All points as CSV: a row for each step that was told, then one for each epoch."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            [
                "kind",
                "epoch",
                "loss",
                "smoothed_loss",
                "learning_rate",
                "train_loss",
                "val_loss",
                "train_accuracy",
                "val_accuracy",
            ]
        )
        for row in range(len(self._steps)):
            position, loss, smooth, rate = (float(self._steps.column(i)[row]) for i in range(4))
            writer.writerow(["step", f"{position:.6g}", f"{loss:.6g}", f"{smooth:.6g}", f"{rate:.6g}", "", "", "", ""])
        for row in range(len(self._epochs)):
            values = [float(self._epochs.column(i)[row]) for i in range(5)]
            cells = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
            writer.writerow(["epoch", cells[0], "", "", "", *cells[1:]])
        return text.getvalue()

    def _step(self, event: StepDone) -> None:
        per_epoch = self._steps_per_epoch or event.steps / max(1, self.epochs) or 1.0
        self._steps.append(event.step / per_epoch, event.loss, self._smooth(event.step, event.loss, event.steps), event.lr)

    def _smooth(self, step: int, loss: float, steps: float) -> float:
        if math.isfinite(loss):
            keep = math.exp(-max(1, step - self._last_step) / max(_MEMORY_STEPS, _MEMORY_SHARE * steps))
            self._average = keep * self._average + (1 - keep) * loss
            self._weight = keep * self._weight + (1 - keep)
            self._last_step = step
        return self._average / self._weight if self._weight else math.nan

    def _mean_of_steps(self, epoch: int, loss: float) -> None:
        """Only so many steps in a second are told: where no later one was, an epoch's mean stands in its middle."""
        told = self._steps.column(0)[-1] if len(self._steps) else 0.0
        if told < epoch + 0.5 and math.isfinite(loss):
            step = round((epoch + 0.5) * self._steps_per_epoch)
            rate = float(self._steps.column(3)[-1]) if len(self._steps) else math.nan
            self._steps.append(epoch + 0.5, loss, self._smooth(step, loss, self._steps_per_epoch * self.epochs), rate)

    def _epoch(self, event: EpochDone) -> None:
        nan = math.nan
        self._mean_of_steps(event.epoch, event.train.get("loss", nan))
        self._epochs.append(
            event.epoch + 1.0,
            event.train.get("loss", nan),
            event.val.get("loss", nan),
            event.train.get("accuracy", nan),
            event.val.get("accuracy", nan),
        )
        if event.best:
            self.best_epoch = event.epoch

    def _plan(self, event: EpochStarted) -> bool:
        frozen = sum(1 for stage in event.stages if stage.factor == 0.0)
        if self.frozen_until and self.frozen_until[-1][1] == frozen:
            return False
        self.frozen_until.append((event.epoch, frozen))
        return True


def _nearest(sorted_values: Array, value: float) -> int:
    right = int(np.searchsorted(sorted_values, value))
    if right == 0:
        return 0
    if right == len(sorted_values) or value - sorted_values[right - 1] <= sorted_values[right] - value:
        return right - 1
    return right
