"""Builds torchvision's networks and divides them into stages. The only module of this plugin that imports torch.

A stage is an ``nn.Sequential`` over the network's own children. The network still owns every parameter, so the names in its
state dict stay torchvision's; what a stage adds of its own (``Flatten``) has no state that ``train`` and ``eval`` would have
to reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlstudio.api import Backbone, StateDict

if TYPE_CHECKING:
    from torch import nn


def build_resnet(name: str, num_classes: int) -> Backbone:
    """A ResNet with random weights: ``stem``, ``layer1`` to ``layer4``, head."""
    from torch import nn

    module = _network(name, num_classes)
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(module.conv1, module.bn1, module.relu, module.maxpool)}
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        stages[stage] = getattr(module, stage)
    head = nn.Sequential(module.avgpool, nn.Flatten(1), module.fc)
    return Backbone(module=module, stages=stages, head=head, num_features=module.fc.in_features)


def build_vgg(name: str, num_classes: int) -> Backbone:
    """A VGG with random weights: ``block1`` to ``block5`` (each ends in a max pooling), ``fc6``, ``fc7``, head."""
    from torch import nn

    module = _network(name, num_classes)
    stages: dict[str, nn.Module] = {}
    block: list[nn.Module] = []
    for layer in module.features:
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages[f"block{len(stages) + 1}"] = nn.Sequential(*block)
            block = []
    linear6, relu6, dropout6, linear7, relu7, dropout7, last = module.classifier
    stages["fc6"] = nn.Sequential(module.avgpool, nn.Flatten(1), linear6, relu6, dropout6)
    stages["fc7"] = nn.Sequential(linear7, relu7, dropout7)
    return Backbone(module=module, stages=stages, head=nn.Sequential(last), num_features=last.in_features)


def build_alexnet(name: str, num_classes: int) -> Backbone:
    """AlexNet with random weights: ``conv1`` to ``conv5`` (each with its ReLU and pooling), ``fc6``, ``fc7``, head."""
    from torch import nn

    module = _network(name, num_classes)
    convs: list[list[nn.Module]] = []
    for layer in module.features:
        if isinstance(layer, nn.Conv2d):
            convs.append([])
        convs[-1].append(layer)
    stages: dict[str, nn.Module] = {f"conv{number}": nn.Sequential(*layers) for number, layers in enumerate(convs, 1)}
    dropout6, linear6, relu6, dropout7, linear7, relu7, last = module.classifier
    stages["fc6"] = nn.Sequential(module.avgpool, nn.Flatten(1), dropout6, linear6, relu6)
    stages["fc7"] = nn.Sequential(dropout7, linear7, relu7)
    return Backbone(module=module, stages=stages, head=nn.Sequential(last), num_features=last.in_features)


def features_only(state: StateDict) -> StateDict:
    """A VGG state dict without its fully connected layers, for a file in which these hold no numbers."""
    return {key: tensor for key, tensor in state.items() if key.startswith("features.")}


def _network(name: str, num_classes: int) -> Any:
    import torchvision

    return torchvision.models.get_model(name, weights=None, num_classes=num_classes)
