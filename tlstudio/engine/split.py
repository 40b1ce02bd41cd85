"""A network cut in two: what is frozen, which runs the fast way, and what learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tlstudio.api.backbone import Backbone
from tlstudio.engine.compute import ComputePlan, Step, build_prefix, ordered, step_agrees
from tlstudio.engine.depthwise import depthwise_layers
from tlstudio.engine.device import Place

_SIZES = 4  # image sizes for which a fast copy of the frozen layers is held


class SplitModel:
    """A network cut after its frozen prefix: ``suffix(prefix(x))`` are the logits.

    Args:
        backbone: the network; its weights are put into the memory order of the plan.
        frozen: how many leading stages are frozen.
        place: the device.
        plan: how to compute; by default what is safe without measuring.
    """

    def __init__(self, backbone: Backbone, frozen: int, place: Place, plan: ComputePlan | None = None) -> None:
        self.frozen = frozen
        self.place = place
        self.plan = ComputePlan.usual(place, backbone.module) if plan is None else plan
        self._prefix, self._suffix = cut(backbone, frozen)
        self._fast: dict[tuple[int, ...], nn.Module] = {}
        self._depthwise = depthwise_layers(self._suffix)
        self._compiled: Callable[[Tensor], Tensor] | None = None
        order = torch.channels_last if self.plan.step.channels_last else torch.contiguous_format
        self._suffix.to(memory_format=order)

    @torch.no_grad()
    def prefix(self, x: Tensor) -> Tensor:
        """The output of the frozen stages for ``(N, 3, H, W)`` normalised images; the input itself where none is frozen."""
        if self.frozen == 0:
            return x
        way, size = self.plan.prefix, tuple(x.shape[1:])
        x = ordered(x, channels_last=way.channels_last)
        if size not in self._fast:
            if len(self._fast) == _SIZES:
                self._fast.clear()
            self._fast[size] = build_prefix(self._prefix, x, way)
        with torch.autocast(x.device.type, dtype=way.dtype, enabled=way.dtype is not None):
            features: Tensor = self._fast[size](x)
            return features

    def suffix(self, x: Tensor) -> Tensor:
        """Logits ``(N, C)`` from the output of `prefix`."""
        step = self.plan.step
        x = step.enter(x)
        with step.around(x.device.type, self._depthwise):
            if self.plan.compiled:
                return self._run_compiled(x)
            logits: Tensor = self._suffix(x)
            return logits

    def verify(self, images: Tensor) -> None:
        """Compare the plan's way to learn with plain float32 on two images; keep only its memory order where it is wrong."""
        step = self.plan.step
        exact = step.dtype is None and not step.split_depthwise
        if not exact and not step_agrees(self._suffix, self.prefix(images[:2]), step):
            self.plan = replace(self.plan, step=Step(channels_last=step.channels_last))

    def _run_compiled(self, x: Tensor) -> Tensor:
        if self._compiled is not None:
            return self._compiled(x)
        self._compiled = torch.compile(self._suffix)
        try:
            return self._compiled(x)
        except Exception:  # noqa: BLE001 - a compiler that is missing or fails in any way: the network computes without it
            self._compiled = self._suffix
            logits: Tensor = self._suffix(x)
            return logits


def cut(backbone: Backbone, frozen: int) -> tuple[nn.Sequential, nn.Module]:
    """The frozen stages, with the head's fixed beginning where all of them are, and what learns."""
    stages = list(backbone.stages.values())
    fixed, rest = split_head(backbone.head) if frozen == len(stages) else ([], [backbone.head])
    return nn.Sequential(*stages[:frozen], *fixed), nn.Sequential(*stages[frozen:], *rest) if frozen else backbone.module


def split_head(head: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """A head's beginning without parameters and chance (pooling, flattening), and the rest."""
    if not isinstance(head, nn.Sequential):
        return [], [head]
    children = list(head)
    for index, child in enumerate(children):
        random = any("drop" in type(module).__name__.lower() for module in child.modules())
        if random or any(True for _ in child.parameters()):
            return children[:index], children[index:]
    return children, []
