"""The optimiser. One parameter group a stage and kind; the rate is base x stage factor x schedule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from tlstudio.api.backbone import Backbone
from tlstudio.api.config import OptimConfig
from tlstudio.api.freezing import FreezePlan
from tlstudio.engine.eager import eager
from tlstudio.engine.freeze import HEAD, adapter_ids, is_norm
from tlstudio.engine.muon import MuonAndAdamW, is_matrix

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class _Group:
    stage: str
    decays: bool
    matrix: bool


def build_optimizer(backbone: Backbone, config: OptimConfig) -> torch.optim.Optimizer:
    """An optimiser over all parameters; frozen ones have no gradient, and a parameter without a gradient is not touched.

    Weight decay spares biases, normalisation layers and what scales channels (`_decays`). It is decoupled from the gradient
    (Loshchilov and Hutter 2019) in all but Adam, SGD and RMSprop.
    """
    groups: dict[_Group, list[nn.Parameter]] = {}
    adapters = adapter_ids(backbone)
    for name, part in {**backbone.stages, HEAD: backbone.head}.items():
        for path, module in part.named_modules():
            for own, parameter in module.named_parameters(recurse=False):
                decays = (id(parameter) in adapters and parameter.ndim > 1) or _decays(module, f"{path}.{own}", parameter)
                matrix = config.optimizer == "muon" and name != HEAD and decays and is_matrix(module, parameter)
                groups.setdefault(_Group(name, decays, matrix), []).append(parameter)
    params = [
        {"params": items, "stage": group.stage, "weight_decay": config.weight_decay if group.decays else 0.0, "lr": 0.0}
        for group, items in groups.items()
    ]
    if any(group.matrix for group in groups):
        marked = [{**values, "matrix": group.matrix} for group, values in zip(groups, params, strict=True)]
        return eager(MuonAndAdamW)(marked, config)
    fused = next(backbone.module.parameters()).device.type in {"cpu", "cuda"}  # one pass over memory instead of ten
    return _new(config, params, fused)


def _decays(module: nn.Module, path: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay pulls at a parameter: weights of dense layers and convolutions, whatever their shape, and all else
    that has two sides, except norms and biases.

    What scales channels by one number each has one side, however many dimensions it has: ``(C, 1, 1)``. A table of biases, one
    for each distance and head as attention in windows has them, has two: it goes by its name, or that of what it is part of.
    """
    if isinstance(module, nn.Linear | _ConvNd) and path.endswith(".weight"):
        return True
    return sum(side > 1 for side in parameter.shape) > 1 and "bias" not in path and not is_norm(module)


def _new(config: OptimConfig, params: list[dict[str, Any]], fused: bool) -> torch.optim.Optimizer:
    base = config.learning_rate or 0.0
    match config.optimizer:
        case "adam":
            return eager(torch.optim.Adam)(params, lr=base, fused=fused)
        case "sgd":
            return eager(torch.optim.SGD)(params, lr=base, momentum=config.momentum, fused=fused)
        case "rmsprop":
            return eager(torch.optim.RMSprop)(params, lr=base, momentum=config.momentum)
        case "nadam":
            return eager(torch.optim.NAdam)(params, lr=base, decoupled_weight_decay=True)
        case "radam":
            return eager(torch.optim.RAdam)(params, lr=base, decoupled_weight_decay=True)
        case "adafactor":
            return eager(torch.optim.Adafactor)(params, lr=base)
        case "adamw" | "muon":
            return eager(torch.optim.AdamW)(params, lr=base, fused=fused)


def follow_memory_order(optimizer: torch.optim.Optimizer) -> None:
    """Lay out what the optimiser remembers of each parameter as the parameter itself is laid out now.

    A fused step walks through both in the order of memory and would mix up their elements after a change of that order.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            same_kind = isinstance(value, torch.Tensor) and value.shape == parameter.shape
            if same_kind and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter).copy_(value)


def set_learning_rates(optimizer: torch.optim.Optimizer, plan: FreezePlan, base: float) -> None:
    """Give every group its rate for the next step: ``base`` times the factor of its stage."""
    for group in optimizer.param_groups:
        stage = group["stage"]
        group["lr"] = base * (1.0 if stage == HEAD else plan.factor(stage))


def in_groups(items: Iterable[_Item], size: int) -> Iterator[tuple[int, bool, _Item]]:
    """Items whose gradients make one step: each with its number in the group, and whether the group ends with it.

    The last group may be smaller. One item is fetched ahead of its use where groups are larger than one.
    """
    if size == 1:
        yield from ((0, True, item) for item in items)
        return
    rest = iter(items)
    item = next(rest, None)
    number = 0
    while item is not None:
        following = next(rest, None)
        closes = number + 1 == size or following is None
        yield number, closes, item
        item, number = following, 0 if closes else number + 1


def take_step(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, *, scale: float, clip: float) -> None:
    """Let the optimiser change the weights by the gradients that are there.

    Args:
        scaler: by which the loss was scaled.
        scale: what gradients are multiplied by.
        clip: the largest length of all gradients together; 0 for any.
    """
    if scale != 1.0 or clip:
        scaler.unscale_(optimizer)
        learning = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if scale != 1.0:
            torch._foreach_mul_([p.grad for p in learning], scale)
        if clip:
            nn.utils.clip_grad_norm_(learning, clip)
    scaler.step(optimizer)
    scaler.update()
