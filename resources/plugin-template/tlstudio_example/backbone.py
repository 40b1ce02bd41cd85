"""A backbone: the network as its author writes it, and a view of it as named stages and a head."""

from __future__ import annotations

from tlstudio.api import Backbone


def build_tiny_cnn(num_classes: int) -> Backbone:
    """Build the network with random weights: ``(N, 3, H, W)`` images to ``(N, num_classes)`` logits.

    The stages, run one after another, and then the head give the same as ``module(x)``; every parameter is in one of them.
    """
    from torch import nn  # inside the function: listing plugins must not import torch

    def stage(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))

    features = 64
    stages = {"stage1": stage(3, 16), "stage2": stage(16, 32), "stage3": stage(32, features)}
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(features, num_classes))
    module = nn.Sequential(*stages.values(), head)
    return Backbone(module=module, stages=stages, head=head, num_features=features)
