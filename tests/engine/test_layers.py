"""The layers of each stage: all parameters are in one of them, and shapes are those of a real forward pass."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from networks import FAMILIES, SMALL
from torch import nn

from tlstudio.api import Backbone, BackboneSpec
from tlstudio.engine.describe import describe_stages
from tlstudio.engine.layers import describe_layers, layers_of

NAMES = (*SMALL, *FAMILIES, "torchvision/vit_b_16", "torchvision/swin_t", "torchvision/convnext_tiny", "torchvision/vgg11")


@pytest.mark.parametrize("name", NAMES)
def test_layers_hold_all_parameters_and_say_what_they_put_out(catalog, name):
    spec = catalog.backbones[name]
    stages = describe_layers(spec, image_size=224, num_classes=5)
    for stage, info in zip(stages, describe_stages(spec, num_classes=5), strict=True):
        assert stage.name == info.name
        assert sum(layer.params for layer in stage.layers) == info.params
        assert sum(layer.norm_params for layer in stage.layers) == info.norm_params
        assert sum(layer.bias_params for layer in stage.layers) == info.bias_params
        assert stage.shape is not None
    assert stages[-1].shape == (5,)
    assert len({layer.name for stage in stages for layer in stage.layers}) == sum(len(stage.layers) for stage in stages)


def test_shapes_are_those_of_a_forward_pass(catalog):
    spec = catalog.backbones["torchvision/resnet18"]
    told = describe_layers(spec, image_size=96)
    real = layers_of(spec.build(2), torch.zeros(1, 3, 96, 96))
    assert told == real
    stem = told[0].layers[0]
    assert (stem.name, stem.kind, stem.params, stem.shape) == ("conv1", "Conv2d 7×7, 64, stride 2", 9408, (64, 48, 48))
    assert told[1].layers[0].name == "layer1.0.conv1"


def test_adapters_belong_to_the_layers_that_they_change(catalog):
    lora = catalog.strategies["freezing/lora"]
    spec = catalog.backbones["torchvision/resnet18"]
    stages = describe_layers(spec, image_size=64, strategy=lora)
    infos = describe_stages(spec, strategy=lora)
    for stage, info in zip(stages, infos, strict=True):
        assert sum(layer.adapter_params for layer in stage.layers) == info.adapter_params
        assert sum(layer.params for layer in stage.layers) == info.params
    assert stages[1].layers[0].kind == "Conv2d 3×3, 64"


def test_a_network_that_computes_with_values_is_told_without_shapes():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.conv(x) * float(x.abs().max().item())

    def build(classes):
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(4, classes))
        stage = Odd()
        module = nn.Sequential(OrderedDict(odd=stage, head=head))
        return Backbone(module=module, stages={"odd": stage}, head=head, num_features=4)

    spec = BackboneSpec(name="odd", title="Odd", about="x", family="Odd", params=1, build=build)
    odd, head = describe_layers(spec, image_size=32)
    assert [(layer.kind, layer.params) for layer in odd.layers] == [("Conv2d 1×1, 4", 16)]
    assert odd.shape is None
    assert head.layers[-1].shape is None
