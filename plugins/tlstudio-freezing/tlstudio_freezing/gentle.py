"""Everything may learn, but what was pretrained is held back: by smaller rates, or by a pull to where it started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from tlstudio.api import Backbone, FreezePlan, FreezingSpec, Options, PlanContext
from tlstudio_freezing.options import StageOptions, norm_stats, stage_factor, weighty
from tlstudio_freezing.parts import full

if TYPE_CHECKING:
    from torch import Tensor


class DiscriminativeOptions(StageOptions):
    """Options of ``discriminative``."""

    stage_factor: float = Field(
        0.2, gt=0.0, le=10.0, allow_inf_nan=False, title="Last stage's factor",
        description="The last stage learns at this share of the head's learning rate; from random weights all learn at "
        "the full rate.",
    )  # fmt: skip
    decay: float = Field(
        0.65, gt=0.0, le=1.0, title="Decay", description="Each stage learns at this share of the rate of the one behind it."
    )


class L2SpOptions(StageOptions):
    """Options of ``l2-sp``."""

    alpha: float = Field(
        0.1, ge=0.0, le=1e4, title="Pull to the start", description="How strongly pretrained values are held where they were."
    )
    beta: float = Field(0.01, ge=0.0, le=1e4, title="Pull to zero", description="How strongly new weights are held near zero.")


def discriminative(context: PlanContext) -> FreezePlan:
    """Every stage learns, each at ``decay`` times the rate of the one behind it; stages without parameters do not count."""
    options = context.options
    assert isinstance(options, DiscriminativeOptions)
    decay = options.decay if context.pretrained else 1.0
    behind = len(weighty(context))
    factors = {}
    for stage in context.stages:
        behind -= stage.params > 0
        factors[stage.name] = stage_factor(context, options) * decay ** max(0, behind)
    return FreezePlan(lr=factors, norm_stats=norm_stats(context, options))


def pull(backbone: Backbone, start: Mapping[str, Tensor], options: Options) -> Tensor:
    """``alpha / 2 * |w - start|^2`` of pretrained parameters that learn, plus ``beta / 2 * |w|^2`` of new weights.

    Li et al. 2018, equation 3. Biases that are new are left alone, as weight decay leaves them.
    """
    import torch
    from torch.nn.functional import mse_loss

    assert isinstance(options, L2SpOptions)
    old, new = [], []
    for name, parameter in backbone.module.named_parameters():
        if parameter.requires_grad and name in start and options.alpha:
            old.append(mse_loss(parameter, start[name], reduction="sum"))
        elif parameter.requires_grad and name not in start and parameter.ndim > 1 and options.beta:
            new.append(parameter.square().sum())
    nothing = torch.zeros((), device=next(backbone.module.parameters()).device)
    return 0.5 * options.alpha * sum(old, nothing) + 0.5 * options.beta * sum(new, nothing)


SPECS = (
    FreezingSpec(
        name="discriminative",
        title="Everything, early stages more slowly (discriminative learning rates)",
        about="As training everything, and safer: early stages, which serve most images as they are, change least.",
        plan=discriminative,
        options=DiscriminativeOptions,
        learning_rate=1e-3,
        source="Howard and Ruder 2018, Universal language model fine-tuning for text classification; "
        "Clark et al. 2020, ELECTRA: pre-training text encoders as discriminators rather than generators",
    ),
    FreezingSpec(
        name="l2-sp",
        title="Everything, pulled to where it started (L2-SP)",
        about="As training everything, for fewer images: the network stays near its pretrained weights.",
        plan=full,
        options=L2SpOptions,
        learning_rate=1e-3,
        source="Li, Grandvalet and Davoine 2018, Explicit inductive bias for transfer learning with convolutional networks",
        penalty=pull,
    ),
)
