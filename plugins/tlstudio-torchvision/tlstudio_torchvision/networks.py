"""Divides torchvision's networks into stages, one function for each way in which they are made.

A stage is an ``nn.Sequential`` over the network's own children, or a view of `tlstudio_torchvision.views`. The network still
owns every parameter, so the names in its state dict stay torchvision's; what a stage adds of its own (``Flatten``, ``ReLU``)
has no state that ``train`` and ``eval`` would have to reach. torch is imported when a network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tlstudio.api import Backbone

if TYPE_CHECKING:
    from torch import nn

Divide = Callable[[Any], Backbone]
"""Takes a network of torchvision's and says what its stages are."""


def build(name: str, divide: Divide, arguments: Mapping[str, object], num_classes: int) -> Backbone:
    """torchvision's network of that name, with random weights.

    Args:
        name: as torchvision registers it.
        divide: how it is divided.
        arguments: for its constructor, such as the ``image_size`` of a ViT.
        num_classes: how many logits it gives.
    """
    import torchvision
    from torch import nn

    module = torchvision.models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.inplace = False  # what enters the head may come from a cache
    return divide(module)


def resnet(module: Any) -> Backbone:
    """``stem``, ``layer1`` to ``layer4``."""
    stages = {"stem": _chain(module.conv1, module.bn1, module.relu, module.maxpool)}
    stages |= {stage: getattr(module, stage) for stage in ("layer1", "layer2", "layer3", "layer4")}
    return _pooled(module, stages, module.avgpool, module.fc)


def vgg(module: Any) -> Backbone:
    """``block1`` to ``block5`` (each ends in a max pooling), ``fc6``, ``fc7``."""
    from torch import nn

    stages: dict[str, nn.Module] = {}
    block: list[nn.Module] = []
    for layer in module.features:
        block.append(layer)
        if isinstance(layer, nn.MaxPool2d):
            stages[f"block{len(stages) + 1}"] = _chain(*block)
            block = []
    linear6, relu6, dropout6, linear7, relu7, dropout7, last = module.classifier
    stages["fc6"] = _chain(module.avgpool, nn.Flatten(1), linear6, relu6, dropout6)
    stages["fc7"] = _chain(linear7, relu7, dropout7)
    return Backbone(module=module, stages=stages, head=_chain(last), num_features=last.in_features)


def alexnet(module: Any) -> Backbone:
    """``conv1`` to ``conv5`` (each with its ReLU and pooling), ``fc6``, ``fc7``."""
    from torch import nn

    convs: list[list[nn.Module]] = []
    for layer in module.features:
        if isinstance(layer, nn.Conv2d):
            convs.append([])
        convs[-1].append(layer)
    stages = {f"conv{number}": _chain(*layers) for number, layers in enumerate(convs, 1)}
    dropout6, linear6, relu6, dropout7, linear7, relu7, last = module.classifier
    stages["fc6"] = _chain(module.avgpool, nn.Flatten(1), dropout6, linear6, relu6)
    stages["fc7"] = _chain(dropout7, linear7, relu7)
    return Backbone(module=module, stages=stages, head=_chain(last), num_features=last.in_features)


def squeezenet(module: Any) -> Backbone:
    """``stem``, then ``block1`` to ``block3``, cut where the network pools. Its head is a convolution."""
    from torch import nn

    names = ("stem", "block1", "block2", "block3")
    parts: list[list[nn.Module]] = [[]]
    for layer in module.features:
        parts[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            parts.append([])
    stages = {name: _chain(*layers) for name, layers in zip(names, parts, strict=True)}
    head = _chain(*module.classifier, nn.Flatten(1))
    return Backbone(module=module, stages=stages, head=head, num_features=module.classifier[1].in_channels)


def densenet(module: Any) -> Backbone:
    """``stem``, ``block1`` to ``block4``, each but the last with the transition that halves its output."""
    from torch import nn

    part = module.features
    stages = {"stem": _chain(part.conv0, part.norm0, part.relu0, part.pool0)}
    for number in (1, 2, 3):
        stages[f"block{number}"] = _chain(getattr(part, f"denseblock{number}"), getattr(part, f"transition{number}"))
    stages["block4"] = _chain(part.denseblock4, part.norm5, nn.ReLU())
    return _pooled(module, stages, nn.AdaptiveAvgPool2d(1), module.classifier)


def googlenet(module: Any) -> Backbone:
    """``stem``, ``inception3`` to ``inception5``; without the auxiliary classifiers, which only training from scratch uses."""
    stem = (module.conv1, module.maxpool1, module.conv2, module.conv3, module.maxpool2)
    stages = {
        "stem": _chain(*_half_mean(module), *stem),
        "inception3": _chain(module.inception3a, module.inception3b, module.maxpool3),
        "inception4": _chain(*(getattr(module, f"inception4{letter}") for letter in "abcde"), module.maxpool4),
        "inception5": _chain(module.inception5a, module.inception5b),
    }
    return _pooled(module, stages, module.avgpool, module.dropout, module.fc)


def inception(module: Any) -> Backbone:
    """``stem``, ``mixed5`` to ``mixed7``; without the auxiliary classifier, which only training from scratch uses."""
    stem = (
        module.Conv2d_1a_3x3, module.Conv2d_2a_3x3, module.Conv2d_2b_3x3, module.maxpool1,
        module.Conv2d_3b_1x1, module.Conv2d_4a_3x3, module.maxpool2,
    )  # fmt: skip
    stages = {"stem": _chain(*_half_mean(module), *stem)}
    for number, letters in ((5, "bcd"), (6, "abcde"), (7, "abc")):
        stages[f"mixed{number}"] = _chain(*(getattr(module, f"Mixed_{number}{letter}") for letter in letters))
    return _pooled(module, stages, module.avgpool, module.dropout, module.fc)


def mobilenet_v2(module: Any) -> Backbone:
    """``stem``, ``stage1`` to ``stage5`` (each but the first begins by halving the resolution), ``conv_head``."""
    from torch import nn

    return _inverted(module, list(module.features), nn.AdaptiveAvgPool2d(1), *module.classifier)


def mobilenet_v3(module: Any) -> Backbone:
    """``stem``, ``stage1`` to ``stage4`` or ``stage5``, ``conv_head``, ``pre_logits``."""
    linear, activation, dropout, last = module.classifier
    backbone = _inverted(module, list(module.features), last)
    pre_logits = _chain(module.avgpool, _flatten(), linear, activation, dropout)
    stages = {**backbone.stages, "pre_logits": pre_logits}
    return Backbone(module=module, stages=stages, head=_chain(last), num_features=last.in_features)


def mnasnet(module: Any) -> Backbone:
    """``stem`` (with the one separable convolution), ``stage1`` to ``stage6``, ``conv_head``."""
    from torch import nn

    layers = list(module.layers)
    stages = {"stem": _chain(*layers[:8])}
    stages |= {f"stage{number}": layer for number, layer in enumerate(layers[8:14], 1)}
    stages["conv_head"] = _chain(*layers[14:])
    return _pooled(module, stages, nn.AdaptiveAvgPool2d(1), *module.classifier)


def efficientnet(module: Any) -> Backbone:
    """``stem``, ``block1`` to ``block7`` (``block6`` in the V2-S), ``conv_head``."""
    stem, *blocks, last = module.features
    stages = {"stem": stem, **{f"block{number}": block for number, block in enumerate(blocks, 1)}, "conv_head": last}
    return _pooled(module, stages, module.avgpool, *module.classifier)


def regnet(module: Any) -> Backbone:
    """``stem``, ``block1`` to ``block4``."""
    stages = {"stem": module.stem, **dict(module.trunk_output.named_children())}
    return _pooled(module, stages, module.avgpool, module.fc)


def shufflenet(module: Any) -> Backbone:
    """``stem``, ``stage2`` to ``stage4``, ``conv5``."""
    from torch import nn

    stages = {"stem": _chain(module.conv1, module.maxpool)}
    stages |= {name: getattr(module, name) for name in ("stage2", "stage3", "stage4", "conv5")}
    return _pooled(module, stages, nn.AdaptiveAvgPool2d(1), module.fc)


def convnext(module: Any) -> Backbone:
    """``stem``, ``stage1`` to ``stage4``, each but the first with the layers that halve its input."""
    features = list(module.features)
    stages = {"stem": features[0], "stage1": features[1]}
    stages |= {f"stage{number}": _chain(features[2 * number - 2], features[2 * number - 1]) for number in (2, 3, 4)}
    norm, flatten, last = module.classifier
    head = _chain(module.avgpool, norm, flatten, last)
    return Backbone(module=module, stages=stages, head=head, num_features=last.in_features)


def swin(module: Any) -> Backbone:
    """``patch_embed``, ``stage1`` to ``stage4``, each but the first with the merging of patches before it."""
    features = list(module.features)
    stages = {"patch_embed": features[0], "stage1": features[1]}
    stages |= {f"stage{number}": _chain(features[2 * number - 2], features[2 * number - 1]) for number in (2, 3)}
    stages["stage4"] = _chain(features[6], features[7], module.norm, module.permute)
    head = _chain(module.avgpool, module.flatten, module.head)
    return Backbone(module=module, stages=stages, head=head, num_features=module.head.in_features)


def maxvit(module: Any) -> Backbone:
    """``stem``, ``block1`` to ``block4``, ``pre_logits``."""
    stages = {"stem": module.stem, **{f"block{number}": block for number, block in enumerate(module.blocks, 1)}}
    pool, flatten, norm, linear, tanh, last = module.classifier
    stages["pre_logits"] = _chain(pool, flatten, norm, linear, tanh)
    return Backbone(module=module, stages=stages, head=_chain(last), num_features=last.in_features)


def vit(module: Any) -> Backbone:
    """``embed`` (patches, class token, positions), then the blocks, the last one with the final norm."""
    from tlstudio_torchvision.views import ClassToken, Embed

    *blocks, last = module.encoder.layers
    stages: dict[str, nn.Module] = {"embed": Embed(module)}
    stages |= {f"block{number}": block for number, block in enumerate(blocks, 1)}
    stages[f"block{len(blocks) + 1}"] = _chain(last, module.encoder.ln)
    head = _chain(ClassToken(), *module.heads)
    return Backbone(module=module, stages=stages, head=head, num_features=module.heads.head.in_features)


def _inverted(module: Any, features: list[Any], *head: nn.Module) -> Backbone:
    """Inverted residuals between two convolutions, with a new stage wherever the resolution is halved."""
    from torch import nn

    stem, *blocks, last = features
    parts: list[list[nn.Module]] = []
    for block in blocks:
        strides = any(isinstance(layer, nn.Conv2d) and layer.stride[0] > 1 for layer in block.modules())
        if strides or not parts:
            parts.append([])
        parts[-1].append(block)
    stages = {"stem": stem, **{f"stage{number}": _chain(*part) for number, part in enumerate(parts, 1)}, "conv_head": last}
    return _pooled(module, stages, *head)


def _pooled(module: Any, stages: Mapping[str, nn.Module], *head: nn.Module) -> Backbone:
    """A head of pooling, flattening, and what else there is; flattened at once, so that vectors are what is cached."""
    first, *rest = head
    features: int = head[-1].in_features  # type: ignore[assignment]
    return Backbone(module=module, stages=stages, head=_chain(first, _flatten(), *rest), num_features=features)


def _half_mean(module: Any) -> Iterable[nn.Module]:
    from tlstudio_torchvision.views import HalfMean

    return (HalfMean(),) if module.transform_input else ()


def _flatten() -> nn.Module:
    from torch import nn

    return nn.Flatten(1)


def _chain(*layers: nn.Module) -> nn.Module:
    from torch import nn

    return nn.Sequential(*layers)
