"""One part of the network learns from the first epoch to the last: the head, some stages, or everything."""

from __future__ import annotations

from itertools import accumulate

from pydantic import Field

from tlstudio.api import FreezePlan, FreezingSpec, PlanContext
from tlstudio_freezing.options import StageOptions, last, learning, learning_from, weighty


class LastStagesOptions(StageOptions):
    """Options of ``last-stages``."""

    k: int = Field(2, ge=1, le=10_000, title="Stages", description="How many of the last stages learn, besides the head.")


class FractionOptions(StageOptions):
    """Options of ``fraction``."""

    fraction: float = Field(
        0.5, gt=0.0, le=1.0, title="Fraction",
        description="The last stages that together hold at least this share of the backbone's parameters learn.",
    )  # fmt: skip


class SurgicalOptions(StageOptions):
    """Options of ``surgical``."""

    stage: int = Field(
        1, ge=1, le=10_000, title="Stage",
        description="Which stage learns, counted from the image; beyond the last one means the last.",
    )  # fmt: skip


def head_only(context: PlanContext) -> FreezePlan:
    """Every stage is frozen; only the head learns."""
    return FreezePlan()


def last_stages(context: PlanContext) -> FreezePlan:
    """The last ``k`` stages that have parameters learn, and the head. A ``k`` beyond the number of stages means all."""
    options = context.options
    assert isinstance(options, LastStagesOptions)
    return learning_from(context, last(context, options.k), options)


def fraction(context: PlanContext) -> FreezePlan:
    """The fewest last stages learn that together have at least the wanted share of the backbone's parameters."""
    options = context.options
    assert isinstance(options, FractionOptions)
    wanted = options.fraction * sum(stage.params for stage in context.stages)
    held = accumulate(context.stages[index].params for index in reversed(weighty(context)))
    count = next((number for number, params in enumerate(held, 1) if params >= wanted), len(context.stages))
    return learning_from(context, last(context, count), options)


def surgical(context: PlanContext) -> FreezePlan:
    """One stage learns, and the head."""
    options = context.options
    assert isinstance(options, SurgicalOptions)
    counted = weighty(context)
    chosen = counted[min(options.stage, len(counted)) - 1 :][:1] if counted else []
    return learning(context, (context.stages[index] for index in chosen), options)


def full(context: PlanContext) -> FreezePlan:
    """Every stage learns, and the head.

    Pretrained stages learn at ``stage_factor`` times the head's rate, so that the new head's first, large errors do not spoil
    them. From random weights they learn at the full rate.
    """
    options = context.options
    assert isinstance(options, StageOptions)
    return learning_from(context, 0, options)


SPECS = (
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
        options=StageOptions,
        learning_rate=1e-3,
        source="Girshick et al. 2014, Rich feature hierarchies for accurate object detection and semantic segmentation; "
        "Kornblith et al. 2019, Do better ImageNet models transfer better?",
    ),
    FreezingSpec(
        name="fraction",
        title="Train a share of the parameters (partial fine-tuning by size)",
        about="As the last stages, told by how much learns: for comparing networks whose stages differ in size.",
        plan=fraction,
        options=FractionOptions,
        learning_rate=1e-3,
        source="Lee, Tang and Lin 2019, What would Elsa do? Freezing layers during transformer fine-tuning",
    ),
    FreezingSpec(
        name="surgical",
        title="Train one chosen stage and the head (surgical fine-tuning)",
        about="For images that differ in one way: an early stage for another camera or noise, a late one for other things.",
        plan=surgical,
        options=SurgicalOptions,
        learning_rate=1e-3,
        source="Lee et al. 2022, Surgical fine-tuning improves adaptation to distribution shifts",
    ),
)
