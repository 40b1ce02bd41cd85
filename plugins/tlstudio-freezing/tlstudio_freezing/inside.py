"""All stages learn, but only their normalisation layers or their biases: few numbers, spread over the whole network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlstudio.api import FreezePlan, FreezingSpec, PlanContext
from tlstudio_freezing.options import StageOptions, norm_stats, stage_factor


class InsideOptions(StageOptions):
    """Options of ``norm-only`` and ``bias-only``."""

    stage_factor: float = Field(
        1.0, gt=0.0, le=10.0, allow_inf_nan=False, title="Stage factor",
        description="Stages learn at this share of the head's learning rate; from random weights always at the full rate.",
    )  # fmt: skip


def norm_only(context: PlanContext) -> FreezePlan:
    """Scales and shifts of normalisation layers learn, and the head; a stage without such layers is frozen."""
    return _inside(context, "norm")


def bias_only(context: PlanContext) -> FreezePlan:
    """Biases learn, those of normalisation layers too, and the head; a stage without biases is frozen."""
    return _inside(context, "bias")


def _inside(context: PlanContext, kind: Literal["norm", "bias"]) -> FreezePlan:
    options = context.options
    assert isinstance(options, InsideOptions)
    factor = stage_factor(context, options)
    have = [stage for stage in context.stages if (stage.norm_params if kind == "norm" else stage.bias_params) > 0]
    return FreezePlan(lr={stage.name: factor for stage in have}, within=kind, norm_stats=norm_stats(context, options))


SPECS = (
    FreezingSpec(
        name="norm-only",
        title="Train only normalisation layers and the head",
        about="For few images of another look (lighting, contrast, stain): filters stay, their scales and shifts follow.",
        plan=norm_only,
        options=InsideOptions,
        learning_rate=3e-3,
        source="Mudrakarta et al. 2019, K for the price of 1: parameter-efficient multi-task and transfer learning; "
        "Frankle, Schwab and Morcos 2021, Training BatchNorm and only BatchNorm",
    ),
    FreezingSpec(
        name="bias-only",
        title="Train only biases and the head (BitFit)",
        about="The fewest numbers that still reach every layer: for few images, best with vision transformers.",
        plan=bias_only,
        options=InsideOptions,
        learning_rate=3e-3,
        source="Ben Zaken, Ravfogel and Goldberg 2022, BitFit: simple parameter-efficient fine-tuning for transformer-based "
        "masked language-models",
    ),
)
