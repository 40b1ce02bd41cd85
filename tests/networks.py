"""The shipped networks, as they are after some training: batch-norm statistics that are not 0 and 1."""

from __future__ import annotations

import torch
from torch import nn

from tlstudio.engine.describe import build_empty

SMALL = ("timm/tf_efficientnet_lite0", "torchvision/resnet18")
FAMILIES = (
    "torchvision/squeezenet1_1", "torchvision/densenet121", "torchvision/googlenet",
    "torchvision/mobilenet_v2", "torchvision/mobilenet_v3_small", "torchvision/mnasnet0_5", "torchvision/shufflenet_v2_x0_5",
    "torchvision/efficientnet_b0", "torchvision/regnet_y_400mf",
)  # fmt: skip
"""One of each family of convolutional networks with batch norm, and SqueezeNet."""
SHIPPED = (
    *SMALL, *FAMILIES, "torchvision/resnet34", "torchvision/resnet50", "torchvision/resnet101", "torchvision/resnet152",
    "torchvision/alexnet", "torchvision/vgg11", "torchvision/vgg11_bn", "torchvision/vgg13", "torchvision/vgg13_bn",
    "torchvision/vgg16", "torchvision/vgg16_bn", "torchvision/vgg19", "torchvision/vgg19_bn",
)  # fmt: skip


def lived_in(network: nn.Module) -> nn.Module:
    """The network in eval mode, its batch norms with statistics and weights drawn at random."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.eval()


def stages_of(catalog, name: str) -> nn.Sequential:
    """The convolutional stages of a shipped network, in eval mode; its large dense layers are never given memory."""
    torch.manual_seed(0)
    backbone = build_empty(catalog.backbones[name], 3)
    stages = nn.Sequential(*[stage for key, stage in backbone.stages.items() if not key.startswith(("fc", "pre_logits"))])
    stages.to_empty(device="cpu")
    for module in stages.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.1)
    return lived_in(stages)
