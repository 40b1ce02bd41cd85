"""Packed convolutions give the values of the original, on every network that ships, and stand back where they cannot."""

from __future__ import annotations

import pytest
import torch
from networks import SHIPPED, SMALL, lived_in, stages_of
from torch import nn

from tlstudio.engine import packed as module
from tlstudio.engine.fold import same
from tlstudio.engine.packed import available, is_packed, packed

needs_operators = pytest.mark.skipif(not available(), reason="this torch has no packed convolutions")


@needs_operators
@pytest.mark.parametrize("name", SHIPPED)
@torch.no_grad()
def test_values_stay_whatever_the_batch(catalog, name):
    stages = stages_of(catalog, name)
    fast = packed(stages, torch.randn(1, 3, 64, 64))
    assert is_packed(fast)
    for batch, order in ((1, torch.contiguous_format), (5, torch.channels_last)):
        x = torch.randn(batch, 3, 64, 64).contiguous(memory_format=order)
        assert same(fast(x), stages(x))


@needs_operators
@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_another_size_than_it_was_packed_for_gives_the_same_values(catalog, name):
    stages = stages_of(catalog, name)
    fast = packed(stages, torch.randn(1, 3, 64, 64))
    x = torch.randn(2, 3, 96, 128)
    assert same(fast(x), stages(x))


class Residual(nn.Module):
    """A convolution whose sum with the input is activated, in the ways that authors write it."""

    def __init__(self, activation: nn.Module, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.activation = activation
        self.kind = kind

    def forward(self, x):
        y = self.conv(x)
        if self.kind == "in place":
            y += x
        elif self.kind == "twice":
            y = y + y
        elif self.kind == "broadcast":
            y = y + x.mean((2, 3), keepdim=True)
        elif self.kind == "used again":
            return self.activation(y) + y
        elif self.kind == "scaled":
            y = torch.add(y, x, alpha=2)
        else:
            y = x + y
        return self.activation(y)


@needs_operators
@pytest.mark.parametrize("kind", ["sum", "in place", "twice", "broadcast", "used again", "scaled"])
@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardtanh(-0.5, 0.7), nn.Hardswish(), nn.SiLU(), nn.GELU()],
    ids=lambda layer: repr(layer),
)  # fmt: skip
@torch.no_grad()
def test_activations_and_sums(activation, kind):
    stages = nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 3), activation), Residual(activation, kind)).eval()
    x = torch.randn(2, 3, 16, 16)
    fast = packed(stages, x)
    assert is_packed(fast)
    assert same(fast(x), stages(x))


@needs_operators
@torch.no_grad()
def test_activation_and_residual_sum_run_inside_the_convolution(catalog):
    fast = packed(stages_of(catalog, "torchvision/resnet18"), torch.randn(1, 3, 64, 64))
    called = {node.op + str(node.target) for stage in fast for node in stage.graph.nodes if node.op == "call_function"}
    assert not called
    assert not [layer for layer in fast.modules() if isinstance(layer, nn.ReLU)]


@torch.no_grad()
def test_missing_operators_leave_the_folded_copy(monkeypatch):
    monkeypatch.setattr(module, "available", lambda: False)
    stages = lived_in(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())))
    x = torch.randn(2, 3, 16, 16)
    fast = packed(stages, x)
    assert not is_packed(fast)
    assert not [layer for layer in fast.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert same(fast(x), stages(x))


@needs_operators
@pytest.mark.parametrize("fault", ["raises", "wrong", "not finite"])
@torch.no_grad()
def test_faulty_operators_leave_the_folded_copy(monkeypatch, fault):
    right = module.PackedConv.forward

    def faulty(self, x, other=None):
        if fault == "raises":
            raise RuntimeError("not supported")
        return right(self, x, other) * (1.01 if fault == "wrong" else float("nan"))

    monkeypatch.setattr(module.PackedConv, "forward", faulty)
    stages = lived_in(nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())))
    x = torch.randn(2, 3, 16, 16)
    fast = packed(stages, x)
    assert not is_packed(fast)
    assert same(fast(x), stages(x))


@pytest.mark.parametrize("name", SMALL)
@torch.no_grad()
def test_bfloat16_is_close_or_not_packed(catalog, name):
    stages = stages_of(catalog, name)
    x = torch.randn(2, 3, 64, 64)
    fast = packed(stages, x, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = fast(x)
    assert torch.linalg.vector_norm(got.float() - stages(x)) <= 0.05 * torch.linalg.vector_norm(stages(x))
