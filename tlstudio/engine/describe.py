"""What a backbone looks like, without its weights: built on torch's meta device, so it costs no memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from tlstudio.api.backbone import Backbone, BackboneSpec
from tlstudio.api.freezing import StageInfo
from tlstudio.engine.freeze import stage_infos


def describe_stages(spec: BackboneSpec, *, num_classes: int = 2) -> tuple[StageInfo, ...]:
    """Stages and the head with their parameter counts; what `tlstudio.engine.freeze.plan_states` takes."""
    return stage_infos(build_empty(spec, num_classes))


def build_empty(spec: BackboneSpec, num_classes: int) -> Backbone:
    """The network with shapes and no values; with random ones where it cannot be built otherwise."""
    for way in (lambda: torch.device("meta"), _empty_parameters):
        try:
            with way():
                return spec.build(num_classes)
        except (NotImplementedError, RuntimeError):  # a network whose constructor computes
            continue
    return spec.build(num_classes)


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
