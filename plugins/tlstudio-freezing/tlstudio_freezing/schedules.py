"""What learns changes from epoch to epoch. Each plan follows from the epoch and the budget alone."""

from __future__ import annotations

from pydantic import Field

from tlstudio.api import FreezePlan, FreezingSpec, PlanContext
from tlstudio_freezing.options import StageOptions, last, learning, learning_from, norm_stats, weighty


class GradualOptions(StageOptions):
    """Options of ``gradual``."""

    epochs_per_stage: int = Field(
        1, ge=1, le=10_000, title="Epochs per stage", description="After so many epochs one more stage learns, from the last."
    )


class LpFtOptions(StageOptions):
    """Options of ``lp-ft``."""

    stage_factor: float = Field(
        0.05, gt=0.0, le=10.0, allow_inf_nan=False, title="Stage factor",
        description="In the second part, stages learn at this share of the head's learning rate; from random weights always at "
        "the full rate.",
    )  # fmt: skip
    probe_share: float = Field(
        0.5, gt=0.0, lt=1.0, title="Probe share", description="The share of the epochs in which only the head learns."
    )


def gradual(context: PlanContext) -> FreezePlan:
    """First the head alone; then, from the last stage backwards, one stage more at a time."""
    options = context.options
    assert isinstance(options, GradualOptions)
    return learning_from(context, last(context, context.epoch // options.epochs_per_stage), options)


def chain_thaw(context: PlanContext) -> FreezePlan:
    """The head alone, then each stage in turn from the first to the last, at the end all of them.

    The epochs are divided among these phases. The head learns in all of them, as it does in every plan, where the authors keep
    it still while a stage learns.
    """
    options = context.options
    assert isinstance(options, StageOptions)
    counted = weighty(context)
    now = _phase(context.epoch, context.epochs, len(counted) + 2)
    if now == 0:
        return FreezePlan(norm_stats=norm_stats(context, options))
    if now <= len(counted):
        return learning(context, [context.stages[counted[now - 1]]], options)
    return learning_from(context, 0, options)


def lp_ft(context: PlanContext) -> FreezePlan:
    """Only the head learns until it fits the features; then everything does. A run of one epoch has no first part."""
    options = context.options
    assert isinstance(options, LpFtOptions)
    probing = min(context.epochs - 1, max(1, round(options.probe_share * context.epochs)))
    return learning_from(context, len(context.stages) if context.epoch < probing else 0, options)


def _phase(epoch: int, epochs: int, phases: int) -> int:
    """In which of so many equal phases an epoch lies; with fewer epochs than phases some are left out, never the last."""
    if epochs >= phases:
        return epoch * phases // epochs
    return phases - 1 if epochs == 1 else epoch * (phases - 1) // (epochs - 1)


SPECS = (
    FreezingSpec(
        name="gradual",
        title="One more stage at a time (gradual unfreezing)",
        about="For some hundred images and more: late stages adapt first, and early ones change least.",
        plan=gradual,
        options=GradualOptions,
        learning_rate=1e-3,
        source="Howard and Ruder 2018, Universal language model fine-tuning for text classification",
    ),
    FreezingSpec(
        name="chain-thaw",
        title="One stage after the other, then all (chain-thaw)",
        about="For small data sets and long runs: hardly more than one stage can overfit at a time.",
        plan=chain_thaw,
        options=StageOptions,
        learning_rate=1e-3,
        source="Felbo et al. 2017, Using millions of emoji occurrences to learn any-domain representations for detecting "
        "sentiment, emotion and sarcasm",
    ),
    FreezingSpec(
        name="lp-ft",
        title="First the head, then everything (LP-FT)",
        about="For models that will meet images unlike the training images: a fitted head bends the features less.",
        plan=lp_ft,
        options=LpFtOptions,
        learning_rate=2e-3,
        source="Kumar et al. 2022, Fine-tuning can distort pretrained features and underperform out-of-distribution",
    ),
)
