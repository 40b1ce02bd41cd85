"""Low-rank adapters in the layers of a network: the only module of this plugin that needs torch when it is imported.

A layer's weight ``W`` becomes ``W + alpha / r * B A`` (Hu et al. 2021, LoRA: low-rank adaptation of large language models),
with ``W`` frozen. Of a convolution, ``A`` is a convolution of the same size to ``r`` channels and ``B`` one of 1 x 1 pixels
behind it, which is the same formula for the kernel seen as a matrix (Yeh et al. 2024, Navigating text-to-image customization).

The sum is made where the layer reads its weight (`torch.nn.utils.parametrize`), not in a module around the layer: stages are
views of the library's own layers and must stay so.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.utils import parametrize

from tlstudio.api import Backbone, StateDict


class LowRank(nn.Module):
    """``W + scale * B A`` for a weight ``(out, ...)``; ``A`` is ``(r, rest)``, ``B`` is ``(out, r)`` and starts at zero."""

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        out, rest = len(weight), weight[0].numel()
        self.scale = scale
        self.down = nn.Parameter(weight.new_empty(rank, rest))
        self.up = nn.Parameter(weight.new_zeros(out, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with the adapter's share."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add_adapters(backbone: Backbone, rank: int, alpha: float) -> Backbone:
    """The same network with an adapter in every linear layer, convolution and attention of its stages that is larger than it.

    Its output does not change. Depthwise convolutions, whose kernels are smaller than an adapter, are left as they are.
    """
    for stage in backbone.stages.values():
        for module in list(stage.modules()):
            name = "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"
            weight = getattr(module, name, None)
            known = isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention)
            if known and weight is not None and _pays(weight, rank):
                parametrize.register_parametrization(module, name, LowRank(weight.detach(), rank, alpha / rank))
    adapters = {id(p) for m in backbone.module.modules() if isinstance(m, LowRank) for p in m.parameters()}
    names = tuple(name for name, parameter in backbone.module.named_parameters() if id(parameter) in adapters)
    return replace(backbone, adapters=names)


def merged(backbone: Backbone) -> StateDict:
    """The values of the library's network, adapters added to the weights they belong to; what has none is not copied."""
    state: dict[str, Tensor] = {}
    for name, tensor in backbone.module.state_dict(keep_vars=True).items():
        path, found, rest = name.rpartition("parametrizations.")
        if not found:
            state[name] = tensor
        elif rest.endswith(".original"):
            own = rest.removesuffix(".original")
            state[path + own] = getattr(backbone.module.get_submodule(path.rstrip(".")), own).detach()
    return state


def _pays(weight: Tensor, rank: int) -> bool:
    """Whether a weight has more numbers than its adapter would."""
    return rank * (len(weight) + weight[0].numel()) < weight.numel()
