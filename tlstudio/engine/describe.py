"""What a backbone looks like, without its weights: built on torch's meta device, so it costs no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tlstudio.api.backbone import Backbone, BackboneSpec
from tlstudio.api.dataset import Options
from tlstudio.api.freezing import FreezingSpec, StageInfo
from tlstudio.engine.freeze import stage_infos

_Result = TypeVar("_Result")


def describe_stages(
    spec: BackboneSpec, *, num_classes: int = 2, strategy: FreezingSpec | None = None, options: Options | None = None
) -> tuple[StageInfo, ...]:
    """Stages and the head with their parameter counts; what `tlstudio.engine.freeze.plan_states` takes.

    Args:
        spec: the network.
        num_classes: of its head.
        strategy: adds what it prepares (adapters), where it does.
        options: of the strategy; by default its own defaults.
    """
    return without_values(lambda: stage_infos(build_with(spec, num_classes, strategy, options)))


def build_empty(spec: BackboneSpec, num_classes: int) -> Backbone:
    """The network with shapes and no values; with random ones where it cannot be built otherwise."""
    return without_values(lambda: spec.build(num_classes))


def build_with(spec: BackboneSpec, num_classes: int, strategy: FreezingSpec | None, options: Options | None) -> Backbone:
    """The network with what a strategy adds to it."""
    backbone = spec.build(num_classes)
    if strategy is None or strategy.prepare is None:
        return backbone
    return strategy.prepare(backbone, strategy.options() if options is None else options)


def without_values(build: Callable[[], _Result]) -> _Result:
    """What ``build`` gives, with parameters that have shapes and no values where that is possible."""
    for way in (lambda: torch.device("meta"), _empty_parameters):
        try:
            with way():
                return build()
        except (NotImplementedError, RuntimeError):  # a network whose constructor computes
            continue
    return build()


@contextmanager
def _empty_parameters() -> Iterator[None]:
    """Parameters lose their values as soon as a module takes them; what its constructor computes besides is real."""

    def emptied(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        if parameter is None or parameter.is_meta:
            return parameter
        return nn.Parameter(parameter.data.to("meta"), requires_grad=parameter.requires_grad)

    handle = register_module_parameter_registration_hook(emptied)  # type: ignore[arg-type]  # its own type forgets the result
    try:
        yield
    finally:
        handle.remove()
