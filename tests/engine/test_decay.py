"""Weight decay pulls at what multiplies, and at no norm and no bias, whatever shape and name a library gives them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tlstudio.api import Backbone, OptimConfig
from tlstudio.engine.describe import build_empty, build_with, without_values
from tlstudio.engine.freeze import HEAD, is_norm
from tlstudio.engine.optim import build_optimizer

SPARED = {
    "torchvision/swin_t": {"relative_position_bias_table"},
    "torchvision/swin_v2_t": {"logit_scale"},
    "torchvision/maxvit_t": {"relative_position_bias_table"},
    "torchvision/convnext_tiny": {"layer_scale"},
    "torchvision/vit_b_16": {"class_token"},
    "timm/swin_s3_tiny_224": {"relative_position_bias_table"},
    "timm/beit_base_patch16_224": {"relative_position_bias_table", "cls_token"},
    "timm/levit_128s": {"attention_biases"},
    "timm/resmlp_12_224": {"alpha", "beta"},
    "timm/eca_nfnet_l0": {"gain"},
    "timm/vit_tiny_patch16_224": {"cls_token"},
    "timm/tf_efficientnet_lite0": set(),
    "torchvision/resnet18": set(),
}
"""Of what each network has that is not decayed: those with more than one dimension, by the last part of their names."""


def decay(backbone, optimizer="adamw"):
    """The decay of each parameter, by its name in the network."""
    groups = build_optimizer(backbone, OptimConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.3)).param_groups
    of = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    return {name: of[id(parameter)] for name, parameter in backbone.module.named_parameters()}


def is_norm_or_bias(name, module):
    """By what it is called and where it is."""
    owner = name.rpartition(".")[0].rpartition(".")[2]
    return "bias" in name.rpartition(".")[2] or "norm" in owner or isinstance(module, nn.LayerNorm | nn.BatchNorm2d)


@pytest.mark.parametrize("name", SPARED)
def test_no_norm_and_no_bias_is_decayed_and_every_weight_that_multiplies_is(catalog, name):
    backbone = build_empty(catalog.backbones[name], 3)
    decays = decay(backbone)
    assert set(decays.values()) == {0.0, 0.3}
    parameters = dict(backbone.module.named_parameters())
    modules = {key: backbone.module.get_submodule(key.rpartition(".")[0]) for key in parameters}
    wrong = [key for key, module in modules.items() if is_norm_or_bias(key, module) and decays[key]]
    assert not wrong
    weights = [key for key, module in modules.items() if isinstance(module, nn.Linear | nn.Conv2d) and key.endswith(".weight")]
    assert weights
    assert not [key for key in weights if not decays[key]]
    spared = {key.rpartition(".")[2] for key, parameter in parameters.items() if parameter.ndim > 1 and not decays[key]}
    assert spared == SPARED[name]


@pytest.mark.parametrize("name", ["timm/tf_efficientnet_lite0", "torchvision/resnet18"])
def test_where_norms_are_plain_it_goes_by_the_number_of_dimensions(catalog, name):
    """Order and membership of the groups are part of what makes a run of an earlier version come out bit-equal."""
    backbone = build_empty(catalog.backbones[name], 3)
    expected = {}
    for stage, part in {**backbone.stages, HEAD: backbone.head}.items():
        for module in part.modules():
            for parameter in module.parameters(recurse=False):
                expected.setdefault((stage, parameter.ndim > 1 and not is_norm(module)), []).append(id(parameter))
    groups = build_optimizer(backbone, OptimConfig(learning_rate=0.1, weight_decay=0.3)).param_groups
    found = [((group["stage"], group["weight_decay"] > 0), [id(p) for p in group["params"]]) for group in groups]
    assert found == list(expected.items())


class Odd(nn.Module):
    """What no shipped network has, under names that mislead."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(8, 1)
        self.bias_of_position = nn.Sequential(nn.Linear(1, 1), nn.Conv1d(1, 1, 1))  # computes a bias; its weights multiply
        self.relative_bias = nn.Embedding(9, 4)
        self.tokens = nn.Embedding(9, 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, 9, 4))
        self.scale = nn.Parameter(torch.zeros(1, 8, 1, 1))
        self.norm = nn.LayerNorm((4, 4))


def test_what_no_shipped_network_has():
    stage, head = Odd(), nn.Linear(8, 1)
    backbone = Backbone(module=nn.ModuleList([stage, head]), stages={"odd": stage}, head=head, num_features=8)
    assert {name for name, value in decay(backbone).items() if value} == {
        "0.one.weight", "0.bias_of_position.0.weight", "0.bias_of_position.1.weight", "0.tokens.weight", "0.pos_embed",
        "1.weight",
    }  # fmt: skip


@pytest.mark.parametrize("rank", [1, 4])
def test_adapters_are_decayed(catalog, rank):
    strategy = catalog.strategies["freezing/lora"]
    spec = catalog.backbones["torchvision/swin_t"]
    backbone = without_values(lambda: build_with(spec, 3, strategy, strategy.options(rank=rank)))
    assert backbone.adapters
    decays = decay(backbone)
    assert all(decays[name] == 0.3 for name in backbone.adapters)


def test_biases_are_no_matrices_for_muon(catalog):
    backbone = build_empty(catalog.backbones["torchvision/swin_t"], 3)
    groups = build_optimizer(backbone, OptimConfig(optimizer="muon", learning_rate=0.1, weight_decay=0.3)).param_groups
    matrices = {id(parameter) for group in groups if group["matrix"] for parameter in group["params"]}
    names = {name.rpartition(".")[2] for name, p in backbone.module.named_parameters() if id(p) in matrices}
    assert names == {"weight"}
