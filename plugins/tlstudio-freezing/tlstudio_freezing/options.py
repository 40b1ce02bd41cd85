"""Options that several strategies share, and the plans that these make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from tlstudio.api import FreezePlan, Options, PlanContext, StageInfo

StageFactor = Annotated[
    float,
    Field(
        gt=0.0, le=10.0, allow_inf_nan=False, title="Stage factor",
        description="Stages learn at this share of the head's learning rate; from random weights always at the full rate.",
    ),
]  # fmt: skip
NormStats = Annotated[
    Literal["auto", "fixed", "update", "recalibrated"],
    Field(
        title="Batch-norm statistics",
        description="The running means and variances of learning stages follow every batch (update), stay (fixed), or are "
        "taken anew from the training images after each epoch (recalibrated). Auto: fixed for trained weights, else update.",
    ),
]


class StageOptions(Options):
    """How fast stages learn, and what becomes of their batch-norm statistics."""

    stage_factor: StageFactor = 0.1
    norm_stats: NormStats = "auto"


def stage_factor(context: PlanContext, options: StageOptions) -> float:
    """The factor of a learning stage: where the backbone starts from random weights, there is nothing to protect."""
    return options.stage_factor if context.pretrained else 1.0


def norm_stats(context: PlanContext, options: StageOptions) -> Literal["fixed", "update", "recalibrated"]:
    """What becomes of batch-norm statistics.

    Those of trained weights come from a million images; in the few steps of a small data set a running average only falls
    behind the weights, and validation sees a network that never was (measured: `tests/benchmarks/strategies.py`).
    """
    if options.norm_stats == "auto":
        return "fixed" if context.pretrained else "update"
    return options.norm_stats


def weighty(context: PlanContext) -> list[int]:
    """Indices of the stages that have parameters; the others (a pooling, say) go with the stages around them."""
    return [index for index, stage in enumerate(context.stages) if stage.params > 0]


def learning_from(context: PlanContext, first: int, options: StageOptions) -> FreezePlan:
    """A plan in which the stages from index ``first`` on learn."""
    return learning(context, context.stages[first:], options)


def learning(context: PlanContext, stages: Iterable[StageInfo], options: StageOptions) -> FreezePlan:
    """A plan in which these stages learn, all at the same rate."""
    factor = stage_factor(context, options)
    return FreezePlan(lr={stage.name: factor for stage in stages}, norm_stats=norm_stats(context, options))


def last(context: PlanContext, count: int) -> int:
    """The index from which the last ``count`` stages with parameters begin; behind the last one where ``count`` is 0."""
    counted = weighty(context)
    return counted[max(0, len(counted) - count)] if counted and count else len(context.stages)
