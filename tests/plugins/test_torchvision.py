"""The torchvision plugin: its table is the installed torchvision's, its networks keep the promises of a backbone."""

import importlib.util
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
import torchvision

import tlstudio_torchvision
from tlstudio.engine.describe import build_empty
from tlstudio.engine.split import split_head
from tlstudio.testing import check_backbone
from tlstudio_torchvision.files import weights_folders

MAKE_TABLE = Path(tlstudio_torchvision.__file__).parents[1] / "make_table.py"
SAMPLE = (
    "alexnet", "resnet18", "squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small",
    "mnasnet0_5", "shufflenet_v2_x0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_32", "swin_t", "maxvit_t",
)  # fmt: skip
SPECS = {spec.name: spec for spec in tlstudio_torchvision.register_backbones()}


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_torchvision")
    assert listing["names"] == list(SPECS)
    assert listing["seconds"] < 0.1  # half of it where the machine is not busy


def test_every_classification_network_is_there():
    theirs = set(torchvision.models.list_models(module=torchvision.models))
    assert {plain_name(name) for name in SPECS} == theirs
    assert set(SPECS) - theirs == {"vit_b_16_384", "vit_l_16_512", "vit_h_14_518"}


def plain_name(name):
    """torchvision's name; a ViT for larger images is a backbone of its own here."""
    return "_".join(name.split("_")[:3]) if name.startswith("vit_") else name


def test_records_pickle_for_worker_processes():
    assert pickle.loads(pickle.dumps(SPECS["resnet18"])).build(3).num_features == 512


def test_table_is_the_installed_torchvisions():
    """After a new torchvision: `python plugins/tlstudio-torchvision/make_table.py`."""
    spec = importlib.util.spec_from_file_location("make_table", MAKE_TABLE)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.text(script.table()) == script.TABLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted({plain_name(name) for name in SPECS}))
def test_weights_are_described_as_torchvision_does(name):
    ours = [(spec, weights) for key, spec in SPECS.items() if plain_name(key) == name for weights in spec.weights]
    theirs = torchvision.models.get_model_weights(name)
    assert {weights.name for _, weights in ours} == {weights.name for weights in theirs}
    if len({spec.name for spec, _ in ours}) == 1:
        assert ours[0][1].name == theirs.DEFAULT.name
    for spec, weights in ours:
        published = theirs[weights.name]
        assert weights.source == published.url
        assert published.url.endswith(f"-{weights.sha256}.pth")
        assert len(weights.sha256) >= 8
        assert weights.num_classes == len(published.meta["categories"] or ())
        figures = published.meta["_metrics"]["ImageNet-1K"]
        if weights.num_classes:
            assert weights.metrics["ImageNet top-1"] * 100 == pytest.approx(figures["acc@1"])
            assert weights.metrics["ImageNet top-5"] * 100 == pytest.approx(figures["acc@5"])
            if name != "inception_v3":  # torchvision counts its auxiliary classifier, which is left out here
                assert spec.params == published.meta["num_params"]
        if weights.preprocessing == spec.preprocessing:
            assert spec.flops == pytest.approx(published.meta["_ops"] * 1e9)
        assert weights.licence
        preprocessing, transform = weights.preprocessing, published.transforms()
        assert [preprocessing.image_size] == transform.crop_size
        assert [preprocessing.resize] == transform.resize_size
        assert preprocessing.interpolation == transform.interpolation.value
        assert preprocessing.mean == pytest.approx(transform.mean)
        assert preprocessing.std == pytest.approx(transform.std)


@pytest.mark.parametrize("name", SPECS)
def test_stages_and_head_hold_every_parameter_once(name):
    spec = SPECS[name]
    backbone = build_empty(spec, 1000)  # shapes without numbers: the large ones would take gigabytes
    parts = [*backbone.stages.values(), backbone.head]
    held = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in backbone.module.parameters())
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) == spec.params
    assert all(any(True for _ in stage.parameters()) for stage in backbone.stages.values())
    fixed, _ = split_head(backbone.head)
    assert fixed or list(backbone.stages)[-1] in ("fc7", "pre_logits") or spec.family == "SqueezeNet"  # vectors are cached


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.nightly
def test_every_backbone_keeps_its_promises(name):
    check_backbone(SPECS[name])


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet50", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("vgg16_bn", ["block1", "block2", "block3", "block4", "block5", "fc6", "fc7"]),
        ("alexnet", ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]),
    ],
)
def test_stages_have_the_fields_names(name, stages):
    assert list(build_empty(SPECS[name], 2).stages) == stages


@pytest.mark.parametrize("name", SAMPLE)
def test_backbone_keeps_its_promises(name):
    check_backbone(SPECS[name])


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_vgg_runs_stage_by_stage(name):
    with torch.device("meta"):  # torchvision's own initialisation of 133 million numbers takes several seconds
        backbone = SPECS[name].build(3)
    module = backbone.module.to_empty(device="cpu").train().eval()
    state = module.state_dict()
    numbers = torch.linspace(-0.02, 0.025, 10_007)
    for tensor in state.values():
        tensor.copy_(numbers.repeat(tensor.numel() // len(numbers) + 1)[: tensor.numel()].view(tensor.shape).abs())
    values = images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for stage in backbone.stages.values():
            values = stage(values)
        logits = module(images)
        torch.testing.assert_close(backbone.head(values), logits, rtol=1e-5, atol=1e-5)
    assert logits.std() > 0
    assert backbone.num_features == 4096


def test_old_names_of_dense_layers_are_those_of_today():
    adapt = SPECS["densenet121"].weights[0].adapt
    own = list(build_empty(SPECS["densenet121"], 1000).module.state_dict())
    old = [re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.", name) for name in own]
    assert old != own
    assert list(adapt(dict.fromkeys(old, torch.ones(1)))) == own


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_a_published_file_with_auxiliary_classifiers_loads_whole(name):
    with torch.device("meta"):
        published = torchvision.models.get_model(name, weights=None, aux_logits=True, init_weights=False).state_dict()
    own = build_empty(SPECS[name], 1000).module.state_dict()
    assert set(published) - set(own)
    assert set(SPECS[name].weights[0].adapt(published)) == set(own)


def test_a_vit_says_which_size_it_takes():
    assert SPECS["vit_b_16"].size_problem(224) == SPECS["vit_b_16"].size_problem(None) == ""
    assert SPECS["vit_b_16_384"].size_problem(224) == "ViT-B/16 for 384 pixels takes images of 384 pixels only"
    assert SPECS["resnet18"].size_problem(96) == ""


def test_files_of_features_lose_their_empty_classifier():
    features = next(weights for weights in SPECS["vgg16"].weights if weights.name == "IMAGENET1K_FEATURES")
    state = {"features.0.weight": torch.ones(1), "classifier.6.bias": torch.full((1,), torch.nan)}
    assert list(features.adapt(state)) == ["features.0.weight"]


class TestLocate:
    """Weights are found where torch keeps its downloads, or in tlstudio's own folder."""

    @pytest.fixture(autouse=True)
    def empty_home(self, monkeypatch, tmp_path):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TLSTUDIO_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))

    def put(self, folder):
        file = Path(folder) / "resnet18-f37072fd.pth"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"weights")
        return file

    def test_nothing_there(self):
        assert SPECS["resnet18"].weights[0].locate() is None

    @pytest.mark.parametrize("variable", [None, "XDG_CACHE_HOME", "TORCH_HOME"])
    def test_torchs_cache(self, monkeypatch, tmp_path, variable):
        if variable:
            monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
        assert weights_folders()[0] == Path(torch.hub.get_dir()) / "checkpoints"
        file = self.put(weights_folders()[0])
        assert SPECS["resnet18"].weights[0].locate() == file
        assert SPECS["resnet34"].weights[0].locate() is None

    def test_tlstudios_folder(self, monkeypatch, tmp_path):
        file = self.put(weights_folders()[1])
        assert SPECS["resnet18"].weights[0].locate() == file
        monkeypatch.setenv("TLSTUDIO_HOME", str(tmp_path / "home"))
        assert SPECS["resnet18"].weights[0].locate() is None
        file = self.put(tmp_path / "home" / "weights")
        assert SPECS["resnet18"].weights[0].locate() == file

    @pytest.mark.skipif(os.name == "nt", reason="the way to write the home folder")
    def test_a_tilde_is_the_home_folder(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", "~/models")
        assert weights_folders()[0] == tmp_path / "models" / "hub" / "checkpoints"
