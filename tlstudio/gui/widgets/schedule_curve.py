"""The learning rate over a run as numbers to draw, from the engine's own schedule. Knows neither Qt nor torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlstudio.api.config import OptimConfig
from tlstudio.api.events import StageState
from tlstudio.engine.schedule import schedule_factor

Array = NDArray[np.float64]

_POINTS = 240
_WARM_POINTS = 24
_MOST_LINES = 4


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What decides the learning rate of every step.

    Args:
        optim: schedule and warm-up.
        rate: the learning rate, as set or as it comes to by itself.
        steps_per_epoch: optimiser steps; a guess where ``images`` is not known.
        plans: the states of the stages for each epoch that was looked at; the last one holds from there on.
    """

    optim: OptimConfig
    rate: float
    epochs: int
    steps_per_epoch: int
    plans: Sequence[Sequence[StageState]] = ()

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """The rate of some stages over the run.

    Args:
        names: of the stages, in order.
        epochs: ``(N,)`` places in the run, from 0.
        rates: ``(N,)``; NaN while they are frozen.
    """

    names: tuple[str, ...]
    epochs: Array
    rates: Array

    @property
    def first(self) -> float:
        """The epoch in which they begin to learn."""
        return float(self.epochs[np.isfinite(self.rates)][0])


def head_line(planned: Planned) -> Line:
    """The rate of the head: the schedule as it is."""
    steps = _steps(planned)
    return Line(names=("head",), epochs=steps / planned.steps_per_epoch, rates=planned.rate * _factors(planned, steps))


def stage_lines(planned: Planned, head: str = "head") -> list[Line]:
    """The rates of the stages that do not learn as the head does; stages that go together share a line; the fastest first.

    None where all stages do the same all the time, and no more than can be told apart.
    """
    if not planned.plans:
        return []
    steps = _steps(planned)
    schedule, epochs = planned.rate * _factors(planned, steps), steps / planned.steps_per_epoch
    row = np.minimum(steps // planned.steps_per_epoch, len(planned.plans) - 1)
    groups: dict[tuple[float, ...], list[str]] = {}
    for i, stage in enumerate(planned.plans[0]):
        factors = tuple(plan[i].factor for plan in planned.plans)
        if stage.name != head and any(factors):
            groups.setdefault(factors, []).append(stage.name)
    lines = []
    for factors, names in groups.items():
        if all(factor == 1.0 for factor in factors):
            continue  # the head's own line
        factor = np.asarray(factors)[row]
        lines.append(Line(names=tuple(names), epochs=epochs, rates=np.where(factor > 0.0, schedule * factor, np.nan)))
    lines.sort(key=lambda line: (-float(np.nanmax(line.rates)), line.first))
    kept = np.unique(np.linspace(0, len(lines) - 1, min(len(lines), _MOST_LINES)).round().astype(int)) if lines else ()
    return [lines[i] for i in kept]


def _steps(planned: Planned) -> NDArray[np.int64]:
    """Steps to draw: evenly, more of them in the warm-up, and both sides of every jump."""
    last = planned.steps - 1
    found = [np.linspace(0, last, _POINTS), np.linspace(0, min(last, planned.optim.warmup_steps), _WARM_POINTS)]
    if planned.epochs <= _POINTS and (planned.optim.schedule == "step" or len(set(map(_factors_of, planned.plans))) > 1):
        starts = np.arange(1, planned.epochs) * planned.steps_per_epoch
        found += [starts, starts - 1]
    return np.unique(np.concatenate(found).round().astype(np.int64).clip(0, last))


def _factors_of(plan: Sequence[StageState]) -> tuple[float, ...]:
    return tuple(stage.factor for stage in plan)


def _factors(planned: Planned, steps: NDArray[np.int64]) -> Array:
    """Without a history: the plateau schedule stays where it begins."""
    return np.array([schedule_factor(planned.optim, int(step), planned.steps, planned.steps_per_epoch) for step in steps])
