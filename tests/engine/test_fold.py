"""A folded copy computes what the original does, for every network that ships, or the original computes on."""

from __future__ import annotations

import pytest
import torch
from networks import SHIPPED, lived_in, stages_of
from torch import nn

from tlstudio.engine import fold
from tlstudio.engine.fold import folded, same


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("size", [64, 65])
@torch.no_grad()
def test_values_stay_and_batch_norms_go(catalog, name, size):
    stages = stages_of(catalog, name)
    x = torch.randn(3, 3, size, size)
    fast = folded(stages, x)
    assert same(fast(x), stages(x))
    if "densenet" not in name:  # its batch norms come before the convolutions
        assert not [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def test_same_padding_is_baked_for_even_sizes_only(catalog):
    stages = stages_of(catalog, "timm/tf_efficientnet_lite0")
    kinds = [type(module).__name__ for module in folded(stages, torch.randn(1, 3, 64, 64)).modules()]
    assert "Conv2dSame" not in kinds
    kinds = [type(module).__name__ for module in folded(stages, torch.randn(1, 3, 65, 65)).modules()]
    assert "Conv2dSame" in kinds


@torch.no_grad()
def test_the_original_is_left_as_it_was(catalog):
    stages = stages_of(catalog, "torchvision/resnet18")
    before = {key: value.clone() for key, value in stages.state_dict().items()}
    folded(stages, torch.randn(1, 3, 64, 64))
    after = stages.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


class Swapped(nn.Module):
    """Defines its layers in another order than it runs them; shares one; leaves its loop open to the input."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(3)

    def forward(self, x):
        if self.kind == "order":
            return self.norm1(self.conv2(self.norm2(self.conv1(x))))
        if self.kind == "shared":
            return self.norm1(self.conv1(self.norm1(self.conv1(x))))
        if self.kind == "branch":
            y = self.conv1(x)
            return self.norm1(y) + y
        return self.norm1(self.conv1(x)) if bool(x.sum() > -1e9) else x


class Scaled(nn.Conv2d):
    """A convolution that is more than its weights."""

    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize("kind", ["order", "shared", "branch", "values"])
@torch.no_grad()
def test_unusual_networks_compute_the_same(kind):
    stages = lived_in(nn.Sequential(Swapped(kind), nn.Sequential(Scaled(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())))
    x = torch.randn(2, 3, 16, 16)
    assert same(folded(stages, x)(x), stages(x))


@torch.no_grad()
def test_a_wrong_copy_is_found_and_not_used():
    def wrong(graph):
        fold.fold_norms(graph)
        for module in graph.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data *= 1.01

    stages = lived_in(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))))
    x = torch.randn(2, 3, 16, 16)
    fast = fold.rebuilt(stages, x, (wrong,))
    assert same(fast(x), stages(x))


def test_what_is_not_finite_is_never_the_same():
    assert not same(torch.tensor([float("nan"), 1.0]), torch.ones(2))
    assert not same(torch.tensor([float("inf")]).bfloat16(), torch.ones(1))
    assert not same(torch.ones(2), torch.ones(3))
