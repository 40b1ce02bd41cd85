"""A network small enough for a test to take a hundred steps of, with everything a real one has: batch norm, dropout, stages."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tlstudio.api import Backbone, BackboneSpec, Preprocessing


class TinyNet(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.conv3 = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.conv3(x))
        return self.fc(self.dropout(self.pool(x).flatten(1)))


def build_tiny(num_classes: int) -> Backbone:
    net = TinyNet(num_classes)
    stages = {
        "stem": nn.Sequential(net.conv1, net.bn1, net.relu),
        "middle": nn.Sequential(net.conv2, net.bn2, net.relu),
        "last": nn.Sequential(net.conv3, net.relu),
    }
    head = nn.Sequential(net.pool, nn.Flatten(1), net.dropout, net.fc)
    return Backbone(module=net, stages=stages, head=head, num_features=16)


@pytest.fixture
def tiny():
    return BackboneSpec(
        name="tiny", title="Tiny", about="For tests.", family="Test", params=3000, build=build_tiny,
        preprocessing=Preprocessing(image_size=32, resize=36),
    )  # fmt: skip


@pytest.fixture
def tiny_catalog(catalog, tiny):
    """The shipped catalog and the tiny network."""
    from dataclasses import replace

    return replace(catalog, backbones={**catalog.backbones, "test/tiny": tiny})


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors: threads would only cost."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def gradual_catalog(tiny_catalog):
    """And strategies that move the boundary: one stage more from epoch to epoch, or one that learns and is frozen again."""
    from dataclasses import replace

    from tlstudio.api import FreezePlan, FreezingSpec, Options

    def gradual(context):
        names = [stage.name for stage in context.stages if stage.name != "head"]
        learning = names[len(names) - min(context.epoch, len(names)) :]
        return FreezePlan(lr=dict.fromkeys(learning, 0.1))

    def thaw(context):
        first = next(stage.name for stage in context.stages)
        return FreezePlan(lr={first: 1.0} if context.epoch % 2 else {})

    new = {
        f"freezing/{plan.__name__}": FreezingSpec(
            name=plan.__name__, title=plan.__name__, about="For tests.", options=Options, plan=plan
        )
        for plan in (gradual, thaw)
    }
    return replace(tiny_catalog, strategies={**tiny_catalog.strategies, **new})
