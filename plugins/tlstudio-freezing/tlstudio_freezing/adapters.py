"""LoRA: small matrices beside the weights learn, the weights themselves stay. What needs torch is in `lora`."""

from __future__ import annotations

from pydantic import Field

from tlstudio.api import Backbone, FreezePlan, FreezingSpec, Options, PlanContext, StateDict
from tlstudio_freezing.options import StageOptions, norm_stats, stage_factor


class LoraOptions(StageOptions):
    """Options of ``lora``. At the head's full rate some seeds lose what the network knows (measured on CIFAR-10)."""

    stage_factor: float = Field(
        0.3, gt=0.0, le=10.0, allow_inf_nan=False, title="Stage factor",
        description="Adapters learn at this share of the head's learning rate; beside random weights always at the full rate.",
    )  # fmt: skip
    rank: int = Field(
        8, ge=1, le=256, title="Rank", description="How many directions each layer's change may have; more is abler and slower."
    )
    alpha: float = Field(
        16.0, gt=0.0, le=1024.0, allow_inf_nan=False, title="Alpha", description="The change counts alpha / rank times."
    )


def lora(context: PlanContext) -> FreezePlan:
    """Adapters learn in every stage that has some, and the head; the pretrained weights stay."""
    options = context.options
    assert isinstance(options, LoraOptions)
    factor = stage_factor(context, options)
    have = [stage for stage in context.stages if stage.adapter_params > 0]
    return FreezePlan(lr={stage.name: factor for stage in have}, within="adapter", norm_stats=norm_stats(context, options))


def prepare(backbone: Backbone, options: Options) -> Backbone:
    """Add the adapters."""
    from tlstudio_freezing.lora import add_adapters

    assert isinstance(options, LoraOptions)
    return add_adapters(backbone, options.rank, options.alpha)


def merged(backbone: Backbone) -> StateDict:
    """The plain network."""
    from tlstudio_freezing.lora import merged as merge

    return merge(backbone)


SPECS = (
    FreezingSpec(
        name="lora",
        title="Small matrices beside frozen weights (LoRA)",
        about="For few images, also of another kind, and large networks: little is learned that could be overfitted.",
        plan=lora,
        options=LoraOptions,
        learning_rate=3e-3,
        source="Hu et al. 2021, LoRA: low-rank adaptation of large language models; "
        "Yeh et al. 2024, Navigating text-to-image customization: from LyCORIS fine-tuning to model evaluation",
        prepare=prepare,
        merged=merged,
    ),
)
