"""A strategy as a drawing: a factor for each stage and epoch, how it is changed by hand, and the options that say the same.

Pure data: no torch and no Qt. The options are those of the strategy `STRATEGY`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tlstudio.api.events import StageState
from tlstudio.engine.freeze import HEAD

STRATEGY = "freezing/custom"
USUAL, FROM_SCRATCH = 0.1, 1.0
LEVELS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Factors that one goes through step by step."""
_DIGITS = 6  # of a share: enough to find the epoch again in the longest run


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Learning-rate factors of a run, 0 = frozen.

    Args:
        stages: names, without the head.
        epochs: the epochs that the rows stand for, counted from 0 and rising.
        budget: how many epochs the run has.
        factors: one row an epoch, one number a stage.
    """

    stages: tuple[str, ...]
    epochs: tuple[int, ...]
    budget: int
    factors: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, plans: Sequence[Sequence[StageState]], epochs: Sequence[int], budget: int) -> Drawing:
        """What plans say, one an epoch."""
        names = tuple(stage.name for stage in plans[0] if stage.name != HEAD)
        rows = tuple(tuple(stage.factor for stage in plan if stage.name != HEAD) for plan in plans)
        return cls(stages=names, epochs=tuple(epochs), budget=budget, factors=rows)

    def factor(self, stage: str, row: int) -> float:
        """Of one stage in one row."""
        return self.factors[row][self.stages.index(stage)]

    def usual_factor(self, stage: str, row: int, fallback: float) -> float:
        """What a stage gets when it is thawed in a row: its own factor of another epoch, else a neighbour's in this one."""
        column = self.stages.index(stage)
        own = next((factors[column] for factors in (*self.factors[row:], *self.factors) if factors[column]), 0.0)
        near = sorted(range(len(self.stages)), key=lambda other: abs(other - column))
        return own or next((self.factors[row][other] for other in near if self.factors[row][other]), fallback)

    def with_factor(self, stages: Iterable[str], factor: float, row: int) -> Drawing:
        """These stages at a factor from one row on, to the end."""
        return self._changed(stages, lambda at, old: factor if at >= row else old)

    def with_pace(self, stages: Iterable[str], factor: float, row: int) -> Drawing:
        """These stages at another factor wherever they learn; one that is frozen in this row learns from here on."""
        frozen = {stage for stage in stages if not self.factor(stage, row)}
        moved = self._changed(set(stages) - frozen, lambda _at, old: factor if old else 0.0)
        return moved.with_factor(frozen, factor, row)

    def learning_from(self, stages: Iterable[str], row: int, fallback: float) -> Drawing:
        """These stages frozen before a row, and learning from it on; a row behind the last freezes them for good."""
        result = self
        for stage in stages:
            factor = self.usual_factor(stage, min(row, len(self.factors) - 1), fallback)
            result = result._changed([stage], lambda at, _old, factor=factor: factor if at >= row else 0.0)
        return result

    def options(self) -> dict[str, Any]:
        """The options of `STRATEGY` that mean this drawing; the moments as shares of the epochs, so that it keeps its shape."""
        phases = []
        for (before, now), epoch in zip(pairwise(self.factors), self.epochs[1:], strict=True):
            changes = {name: new for name, old, new in zip(self.stages, before, now, strict=True) if new != old}
            if changes:
                phases.append({"from_share": round(epoch / self.budget, _DIGITS), "stages": changes})
        first = {name: factor for name, factor in zip(self.stages, self.factors[0], strict=True) if factor}
        return {"stages": first, "phases": phases}

    def _changed(self, stages: Iterable[str], new: Any) -> Drawing:
        columns = {self.stages.index(stage) for stage in stages}
        rows = tuple(
            tuple(new(at, factor) if column in columns else factor for column, factor in enumerate(row))
            for at, row in enumerate(self.factors)
        )
        return replace(self, factors=rows)


def options_like(plans: Sequence[Sequence[StageState]], options: Mapping[str, Any]) -> dict[str, Any]:
    """What `STRATEGY` needs besides factors to do as these plans of another strategy do, where they let stages learn.

    Args:
        plans: one an epoch.
        options: of the other strategy: the size of its adapters is taken over.
    """
    learning = next((stage for plan in plans for stage in plan if stage.factor and stage.name != HEAD), None)
    if learning is None:
        return {}
    result: dict[str, Any] = {"within": learning.within, "norm_stats": learning.norm_stats}
    if learning.within == "adapter":
        result |= {name: options[name] for name in ("rank", "alpha") if name in options}
    return result


def without_strangers(options: Mapping[str, Any], stages: Iterable[str]) -> dict[str, Any]:
    """Options of `STRATEGY` without the stages that a network does not have."""
    known = set(stages)

    def own(factors: Mapping[str, float]) -> dict[str, float]:
        return {name: factor for name, factor in factors.items() if name in known}

    phases = [{**phase, "stages": own(phase.get("stages", {}))} for phase in options.get("phases", ())]
    return {**options, "stages": own(options.get("stages", {})), "phases": phases}


def next_level(factor: float, steps: int, usual: float) -> float:
    """So many levels faster (or slower, where negative) than a factor; a frozen stage begins at ``usual``."""
    if factor <= 0.0:
        factor, steps = usual, steps - 1 if steps > 0 else steps
    for _ in range(abs(steps)):
        if steps > 0:
            factor = next((level for level in LEVELS if level > factor * (1 + 1e-9)), factor)
        else:
            factor = next((level for level in reversed(LEVELS) if level < factor * (1 - 1e-9)), factor)
    return factor


def rows_of(budget: int, at_most: int) -> tuple[int, ...]:
    """The epochs to look at in a run of so many: all, or in a long one as many as are allowed, evenly spaced."""
    if budget <= at_most:
        return tuple(range(budget))
    return tuple(dict.fromkeys(round(at * (budget - 1) / (at_most - 1)) for at in range(at_most)))
