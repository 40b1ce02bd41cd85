"""What a backbone looks like, without its weights: built on torch's meta device, so it costs no memory."""

from __future__ import annotations

import torch

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.freezing import StageInfo
from tlstudio.engine.freeze import stage_infos


def describe_stages(spec: BackboneSpec, *, num_classes: int = 2) -> tuple[StageInfo, ...]:
    """Stages and the head with their parameter counts; what `tlstudio.engine.freeze.plan_states` takes."""
    try:
        with torch.device("meta"):
            return stage_infos(spec.build(num_classes))
    except (NotImplementedError, RuntimeError):  # a network whose constructor computes with its weights
        return stage_infos(spec.build(num_classes))
