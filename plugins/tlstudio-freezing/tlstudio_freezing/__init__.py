"""The basic answers to "which part of the network learns?": the head alone, the last stages too, everything.

Each is a pure function from what is known to a plan; the same question always gets the same answer.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tlstudio.api import FreezePlan, FreezingSpec, Options, PlanContext, hookimpl

TLSTUDIO_API = 1


StageFactor = Annotated[
    float,
    Field(
        gt=0.0, le=10.0, allow_inf_nan=False, title="Stage factor",
        description="Stages learn at this share of the head's learning rate; from random weights always at the full rate.",
    ),
]  # fmt: skip
NormStats = Annotated[
    Literal["fixed", "update"],
    Field(
        title="Batch-norm statistics",
        description="Whether the running means and variances of learning stages follow your images (update) or stay (fixed).",
    ),
]


class FullOptions(Options):
    """Options of ``full``."""

    stage_factor: StageFactor = 0.1
    norm_stats: NormStats = "update"


class LastStagesOptions(Options):
    """Options of ``last-stages``."""

    k: int = Field(2, ge=1, le=10_000, title="Stages", description="How many of the last stages learn, besides the head.")
    stage_factor: StageFactor = 0.1
    norm_stats: NormStats = "update"


def head_only(context: PlanContext) -> FreezePlan:
    """Every stage is frozen; only the head learns."""
    return FreezePlan()


def last_stages(context: PlanContext) -> FreezePlan:
    """The last ``k`` stages that have parameters learn, and the head.

    Stages without parameters (a pooling, say) are not counted; they go with the stages around them. A ``k`` beyond the
    number of stages means all. Pretrained stages learn at ``stage_factor`` times the head's rate; where the backbone starts
    from random weights there is nothing to protect, and they learn at the full rate.
    """
    options = context.options
    assert isinstance(options, LastStagesOptions)
    counted = [index for index, stage in enumerate(context.stages) if stage.params > 0]
    first = counted[max(0, len(counted) - options.k)] if counted else len(context.stages)
    return _learning(context, first, options)


def full(context: PlanContext) -> FreezePlan:
    """Every stage learns, and the head.

    Pretrained stages learn at ``stage_factor`` times the head's rate, so that the new head's first, large errors do not
    spoil them. From random weights they learn at the full rate.
    """
    options = context.options
    assert isinstance(options, FullOptions)
    return _learning(context, 0, options)


@hookimpl
def register_freezing_strategies() -> list[FreezingSpec]:
    """``head-only``, ``last-stages`` and ``full``."""
    return [
        FreezingSpec(
            name="head-only",
            title="Train only the head (linear probe)",
            about="Quick, and hard to spoil: for few images, or images like those that the backbone has seen.",
            plan=head_only,
            learning_rate=1e-2,
            source="Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes; "
            "Kornblith et al. 2019, Do better ImageNet models transfer better?",
        ),
        FreezingSpec(
            name="last-stages",
            title="Train the last stages and the head (partial fine-tuning)",
            about="The middle way: for some hundred images, or images somewhat unlike those that the backbone has seen.",
            plan=last_stages,
            options=LastStagesOptions,
            learning_rate=1e-3,
            source="Yosinski et al. 2014, How transferable are features in deep neural networks?",
        ),
        FreezingSpec(
            name="full",
            title="Train everything (full fine-tuning)",
            about="The most able and the slowest: for thousands of images, images of another kind, or random weights.",
            plan=full,
            options=FullOptions,
            learning_rate=1e-3,
            source="Girshick et al. 2014, Rich feature hierarchies for accurate object detection and semantic segmentation; "
            "Kornblith et al. 2019, Do better ImageNet models transfer better?",
        ),
    ]


def _learning(context: PlanContext, first: int, options: FullOptions | LastStagesOptions) -> FreezePlan:
    """A plan in which the stages from index ``first`` on learn."""
    factor = options.stage_factor if context.pretrained else 1.0
    return FreezePlan(lr={stage.name: factor for stage in context.stages[first:]}, norm_stats=options.norm_stats)
