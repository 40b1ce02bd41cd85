"""Checkpoints from elsewhere compute the same in another library's network; what has to be adapted is, by known rules."""

from __future__ import annotations

import pytest
import torch
from published import build, make_lab
from timm.layers import resample_abs_pos_embed
from timm.models._manipulate import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer as TorchvisionViT

from tlstudio.api import Backbone, BackboneSpec, WeightsError
from tlstudio.engine.adapt import vit_to_timm, vit_to_torchvision
from tlstudio.engine.weights import check_weights, load_weights, match
from tlstudio.registry.weights import ResolvedWeights


def timm_vit(classes=5, image_size=32):
    module = TimmViT(img_size=image_size, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=classes)
    # stages and head as they matter here: which tensors belong to the head
    return Backbone(module=module, stages={"all": module}, head=nn.Sequential(module.head), num_features=16)


def torchvision_vit(classes=5, image_size=32):
    module = TorchvisionViT(
        image_size=image_size, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=64, num_classes=classes
    )
    nn.init.normal_(module.heads.head.weight)  # torchvision starts with zeros, which would hide everything else
    return Backbone(module=module, stages={"all": module}, head=nn.Sequential(module.heads), num_features=16)


def spec_of(build_network, title="ViT"):
    return BackboneSpec(name="x", title=title, about="For tests.", family="Test", params=1, build=build_network)


def load(backbone, path, build_network=None):
    spec = spec_of(build_network or (lambda classes: backbone))
    return load_weights(backbone, spec, ResolvedWeights(title="file", path=path))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("theirs", "ours"), [(torchvision_vit, timm_vit), (timm_vit, torchvision_vit)])
def test_a_vision_transformer_of_one_library_computes_the_same_in_the_other(theirs, ours, tmp_path):
    source, target = theirs(), ours()
    torch.save({"model": {f"module.{k}": v for k, v in source.module.state_dict().items()}}, tmp_path / "vit.pth")
    report = load(target, tmp_path / "vit.pth")
    assert set(report.matched) == set(target.module.state_dict())
    assert not report.missing + report.unexpected + report.reshaped
    assert "names" in report.naming
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(target.module.eval()(images), source.module.eval()(images), rtol=1e-5, atol=1e-6)


def test_the_names_of_a_vision_transformer_go_both_ways():
    for name in torchvision_vit().module.state_dict():
        assert vit_to_torchvision(vit_to_timm(name)) == name
    assert vit_to_timm("encoder.layers.encoder_layer_11.mlp.linear_2.bias") == "blocks.11.mlp.fc2.bias"
    assert vit_to_timm("layer1.0.conv1.weight") == "layer1.0.conv1.weight"


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnet_is_named_alike_in_both(name):
    import timm
    import torchvision

    with torch.device("meta"):
        theirs = timm.create_model(name, pretrained=False).state_dict()
        ours = torchvision.models.get_model(name).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


@pytest.mark.parametrize(("old", "new"), [(48, 32), (32, 48)])
def test_a_position_embedding_follows_the_input_size_as_timm_does_it(old, new, tmp_path):
    source, target = timm_vit(image_size=old), timm_vit(image_size=new)
    torch.save(source.module.state_dict(), tmp_path / "vit.pth")
    report = load(target, tmp_path / "vit.pth")
    assert list(report.adapted) == ["pos_embed"]
    assert f"{old // 8} x {old // 8} to {new // 8} x {new // 8}" in report.summary
    assert report.shapes["pos_embed"] == ((1, (old // 8) ** 2 + 1, 16), (1, (new // 8) ** 2 + 1, 16))
    expected = resample_abs_pos_embed(source.module.pos_embed, [new // 8, new // 8])
    torch.testing.assert_close(target.module.pos_embed, expected)
    assert not report.missing + report.unexpected


@pytest.mark.parametrize("channels", [1, 2, 4, 5, 12])
def test_a_first_convolution_takes_other_channels(channels, tmp_path):
    source, target = build(4, channels), build(4)
    torch.save(source.module.state_dict(), tmp_path / "net.pth")
    report = load(target, tmp_path / "net.pth")
    assert report.adapted == {"stem.weight": f"first convolution, {channels} to 3 input channels"}
    theirs, ours = source.module.stem.weight.detach(), target.module.stem.weight.detach()
    assert ours.shape[1] == 3
    expected = torch.stack([theirs[:, i % channels] for i in range(3)], 1) * channels / 3
    torch.testing.assert_close(ours, expected)
    if channels == 1:  # grey images as three equal channels: nothing changes
        grey = torch.randn(2, 1, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(
                target.module.eval()(grey.expand(-1, 3, -1, -1)), source.module.eval()(grey), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("channels", [1, 4, 5])
def test_from_three_channels_the_rule_is_timms(channels, tmp_path):
    source, target = build(4), build(4, channels)
    torch.save(source.module.state_dict(), tmp_path / "net.pth")
    load(target, tmp_path / "net.pth")
    torch.testing.assert_close(target.module.stem.weight, adapt_input_conv(channels, source.module.stem.weight.detach()))


@pytest.mark.parametrize("prefix", ["net.", "backbone.", "student.model.encoder."])
def test_a_lightning_checkpoint_with_a_loss_of_its_own(prefix, tmp_path):
    """Its names begin with an attribute of the module; not all of them, since the loss has weights too."""
    source = build(6)
    state = {prefix + name: tensor for name, tensor in source.module.state_dict().items()}
    checkpoint = {"state_dict": {**state, "criterion.weight": torch.ones(6)}, "epoch": 3, "pytorch-lightning_version": "2.5",
                  "callbacks": {}, "hyper_parameters": {"lr": 0.1}}  # fmt: skip
    torch.save(checkpoint, tmp_path / "last.ckpt")
    target = build(6)
    report = load(target, tmp_path / "last.ckpt")
    assert set(report.matched) == set(target.module.state_dict())
    assert report.unexpected == ("criterion.weight",)
    torch.testing.assert_close(target.module.body.weight, source.module.body.weight)


def test_another_class_count_keeps_the_body_and_starts_the_head_anew(tmp_path):
    source, target = build(1000), build(3)
    torch.save(source.module.state_dict(), tmp_path / "net.pth")
    report = load(target, tmp_path / "net.pth")
    assert report.reshaped == ("fc.weight", "fc.bias")
    assert report.shapes["fc.weight"] == ((1000, 16), (3, 16))
    assert target.module.fc.weight.abs().max() < 0.1
    torch.testing.assert_close(target.module.body.weight, source.module.body.weight)


def test_a_shape_that_cannot_be_adapted_is_told_with_both_shapes(tmp_path):
    source, target = build(4), build(4)
    state = {**source.module.state_dict(), "norm.weight": torch.ones(17)}
    report = match(state, target)
    assert report.missing == report.unexpected == ("norm.weight",)
    assert report.shapes["norm.weight"] == ((17,), (16,))
    torch.save({"stem.weight": torch.ones(8, 3, 5, 5)}, tmp_path / "small.pth")
    with pytest.raises(WeightsError, match="not for Net") as caught:
        check_weights(tmp_path / "small.pth", spec_of(build, "Net"))
    assert "stem.weight (8 x 3 x 5 x 5 in the file, 8 x 3 x 3 x 3 in the network)" in caught.value.detail


def test_the_file_of_another_set_is_never_taken_for_the_published_one(tmp_path):
    """The right name, other contents: it is refused as that set, and no report calls it so."""
    lab = make_lab(tmp_path / "publisher")
    impostor = tmp_path / "weights" / lab.file.name
    impostor.parent.mkdir()
    torch.save(build(7).module.state_dict(), impostor)
    spec = lab.backbones["test/net"]
    with pytest.raises(WeightsError, match="not the published file V1"):
        load_weights(build(7), spec, ResolvedWeights(title="V1", path=impostor, spec=lab.spec, sha256=lab.spec.sha256))
    assert check_weights(impostor, spec).known == ""
    assert check_weights(lab.file, spec).known == "V1"
