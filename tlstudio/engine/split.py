"""A network cut in two: what is frozen, which runs the fast way, and what learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlstudio.api.backbone import Backbone
from tlstudio.engine.device import Place
from tlstudio.engine.fold import folded


class SplitModel:
    """A network cut after its frozen prefix: ``suffix(prefix(x))`` are the logits.

    Args:
        backbone: the network.
        frozen: how many leading stages are frozen.
        place: the device.
    """

    def __init__(self, backbone: Backbone, frozen: int, place: Place) -> None:
        stages = list(backbone.stages.values())
        fixed, rest = _split_head(backbone.head) if frozen == len(stages) else ([], [backbone.head])
        self.frozen = frozen
        self.place = place
        self._whole = backbone.module if frozen == 0 else None
        self._prefix = nn.Sequential(*stages[:frozen], *fixed)
        self._suffix = nn.Sequential(*stages[frozen:], *rest)
        self._fast: nn.Module | None = None

    @torch.no_grad()
    def prefix(self, x: Tensor) -> Tensor:
        """The output of the frozen stages for ``(N, 3, H, W)`` normalised images; the input itself where none is frozen."""
        if self.frozen == 0:
            return x
        with self.place.mixed_precision():
            if self._fast is None:
                self._fast = folded(self._prefix, x)
            features: Tensor = self._fast(x)
            return features

    def suffix(self, x: Tensor) -> Tensor:
        """Logits ``(N, C)`` from the output of `prefix`."""
        with self.place.mixed_precision():
            logits: Tensor = self._whole(x) if self._whole is not None else self._suffix(x)
            return logits


def _split_head(head: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """A head's beginning without parameters and chance (pooling, flattening), and the rest."""
    if not isinstance(head, nn.Sequential):
        return [], [head]
    children = list(head)
    for index, child in enumerate(children):
        random = any("drop" in type(module).__name__.lower() for module in child.modules())
        if random or any(True for _ in child.parameters()):
            return children[:index], children[index:]
    return children, []
