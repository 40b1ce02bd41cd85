"""What a backbone looks like, without its weights: built on torch's meta device, so it costs no memory."""

from __future__ import annotations

import torch

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.dataset import Options
from tlstudio.api.freezing import FreezingSpec, StageInfo
from tlstudio.engine.freeze import stage_infos


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

    def look() -> tuple[StageInfo, ...]:
        backbone = spec.build(num_classes)
        if strategy is not None and strategy.prepare is not None:
            backbone = strategy.prepare(backbone, strategy.options() if options is None else options)
        return stage_infos(backbone)

    try:
        with torch.device("meta"):
            return look()
    except (NotImplementedError, RuntimeError):  # a network whose constructor computes with its weights
        return look()
