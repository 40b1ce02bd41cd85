"""The torchvision plugin: its table is the installed torchvision's, its networks keep the promises of a backbone."""

import os
import pickle
from pathlib import Path

import pytest
import torch
import torchvision

import tlstudio_torchvision
from tlstudio.testing import check_backbone
from tlstudio_torchvision.files import weights_folders

SPECS = {spec.name: spec for spec in tlstudio_torchvision.register_backbones()}


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_torchvision")
    assert listing["names"] == list(SPECS)
    assert listing["seconds"] < 0.1  # half of it where the machine is not busy


def test_the_families_of_the_tutorials_are_there():
    vggs = {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
    resnets = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    assert set(SPECS) == {"alexnet"} | vggs | resnets


def test_records_pickle_for_worker_processes():
    assert pickle.loads(pickle.dumps(SPECS["resnet18"])).build(3).num_features == 512


@pytest.mark.parametrize("name", SPECS)
def test_table_is_the_installed_torchvisions(name):
    spec = SPECS[name]
    theirs = {weights.name: weights for weights in torchvision.models.get_model_weights(name)}
    assert {weights.name for weights in spec.weights} == set(theirs)
    default = torchvision.models.get_model_weights(name).DEFAULT
    assert spec.weights[0].name == default.name
    for weights in spec.weights:
        published = theirs[weights.name]
        assert weights.source == published.url
        assert published.url.endswith(f"-{weights.sha256}.pth")
        assert spec.params == published.meta["num_params"]
        assert weights.num_classes == len(published.meta["categories"] or ())
        figures = published.meta["_metrics"]["ImageNet-1K"]
        if weights.num_classes:
            assert weights.metrics["ImageNet top-1"] * 100 == pytest.approx(figures["acc@1"])
            assert weights.metrics["ImageNet top-5"] * 100 == pytest.approx(figures["acc@5"])
        ours, transform = weights.preprocessing, published.transforms()
        assert [ours.image_size] == transform.crop_size
        assert [ours.resize] == transform.resize_size
        assert ours.interpolation == transform.interpolation.value
        assert ours.mean == pytest.approx(transform.mean)
        assert ours.std == pytest.approx(transform.std)


@pytest.mark.parametrize("name", SPECS)
def test_stages_and_head_hold_every_parameter_once(name):
    spec = SPECS[name]
    with torch.device("meta"):  # shapes without numbers: the large ones would take gigabytes
        backbone = spec.build(1000)
        plain = torchvision.models.get_model(name, weights=None)
        values = images = torch.empty(2, 3, 224, 224)
    parts = [*backbone.stages.values(), backbone.head]
    held = [id(parameter) for part in parts for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in backbone.module.parameters())
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) == spec.params
    assert list(backbone.module.state_dict()) == list(plain.state_dict())
    for stage in backbone.stages.values():
        values = stage(values)
    assert backbone.head(values).shape == backbone.module(images).shape == (2, 1000)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet50", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("vgg16_bn", ["block1", "block2", "block3", "block4", "block5", "fc6", "fc7"]),
        ("alexnet", ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]),
    ],
)
def test_stages_have_the_fields_names(name, stages):
    with torch.device("meta"):
        assert list(SPECS[name].build(2).stages) == stages


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "alexnet"])
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
