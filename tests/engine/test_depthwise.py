"""Split gradients of depthwise convolutions are the gradients, and leave no trace in the network."""

from __future__ import annotations

import copy

import pytest
import torch
from networks import lived_in
from torch import nn
from torch.autograd import gradcheck

from tlstudio.engine.depthwise import DepthwiseConvolution, depthwise_layers, split_gradients

GEOMETRIES = [
    (size, stride, padding, height, width)
    for size in (3, 5, 7)
    for stride in (1, 2, 3)
    for padding in (0, size // 2)
    for height, width in ((8, 9), (11, 7))
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["channels first", "channels last"])
def test_gradients_are_those_of_finite_differences(geometry, order):
    size, stride, padding, height, width = geometry
    torch.manual_seed(0)
    x = torch.randn(2, 3, height, width, dtype=torch.double).contiguous(memory_format=order).requires_grad_()
    weight = torch.randn(3, 1, size, size, dtype=torch.double, requires_grad=True)
    bias = torch.randn(3, dtype=torch.double, requires_grad=True)
    assert gradcheck(DepthwiseConvolution.apply, (x, weight, bias, stride, padding))


def gradients(network, x, *, split, autocast=None):
    network = copy.deepcopy(network)
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        if split:
            with split_gradients(depthwise_layers(network)):
                y = network(x)
        else:
            y = network(x)
    y.float().square().mean().backward()
    return [x.grad, *(parameter.grad for parameter in network.parameters())]


def relative(got, expected):
    return max(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in zip(got, expected, strict=True))


def layer(size, stride, *, bias=True):
    return nn.Sequential(nn.Conv2d(8, 8, size, stride=stride, padding=size // 2, groups=8, bias=bias))


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_the_native_ones(size, stride, bias):
    torch.manual_seed(0)
    network = layer(size, stride, bias=bias)
    x = torch.randn(4, 8, 20, 22).contiguous(memory_format=torch.channels_last)
    assert relative(gradients(network, x, split=True), gradients(network, x, split=False)) < 1e-5
    exact = gradients(network, x, split=False)
    native = relative(gradients(network, x, split=False, autocast=torch.bfloat16), exact)
    ours = relative(gradients(network, x, split=True, autocast=torch.bfloat16), exact)
    assert ours < max(1.5 * native, 0.01)


@pytest.mark.parametrize("size", [64, 65])
def test_a_whole_network_learns_the_same(catalog, size):
    torch.manual_seed(0)
    network = lived_in(catalog.backbones["timm/tf_efficientnet_lite0"].build(3).module)
    assert len(depthwise_layers(network)) == 16
    x = torch.randn(2, 3, size, size)
    assert relative(gradients(network, x, split=True), gradients(network, x, split=False)) < 1e-3


def test_the_network_is_as_before_even_after_an_error():
    network = layer(5, 2)
    kinds, keys = [type(module) for module in network.modules()], list(network.state_dict())
    held = dict(network[0].__dict__)
    with split_gradients(depthwise_layers(network)):
        assert [type(module) for module in network.modules()] == kinds
        assert list(network.state_dict()) == keys
    assert network[0].__dict__ == held
    with pytest.raises(RuntimeError), split_gradients(depthwise_layers(network)):
        network(torch.randn(1, 3, 9, 9))
    assert network[0].__dict__ == held


def test_only_layers_that_can_be_split_are_taken():
    network = nn.ModuleList(
        [
            nn.Conv2d(8, 8, 3),
            nn.Conv2d(8, 8, 1, groups=8),
            nn.Conv2d(8, 16, 3, groups=8),
            nn.Conv2d(8, 8, (3, 5), groups=8),
            nn.Conv2d(8, 8, 3, groups=8, dilation=2),
            nn.Conv2d(8, 8, 3, groups=8, padding="same"),
            nn.Conv2d(8, 8, 3, groups=8, padding=1, padding_mode="reflect"),
            nn.Conv2d(8, 8, 3, groups=8, padding=(0, 1)),
        ]
    )
    assert depthwise_layers(network) == ()
