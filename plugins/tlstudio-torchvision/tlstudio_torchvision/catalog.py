"""What is known of each network without building it: parameters, papers, published weights and their figures.

A test compares the whole table with the installed torchvision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tlstudio.api import Backbone, BackboneSpec, Preprocessing, WeightsSpec
from tlstudio_torchvision.files import locate
from tlstudio_torchvision.networks import build_alexnet, build_resnet, build_vgg, features_only

_SOURCE = "https://download.pytorch.org/models/"
_LICENCE = "BSD-3-Clause"
_WEIGHTS_LICENCE = "none stated; the photographs of ImageNet are for research"
_V1 = Preprocessing()
_V2 = Preprocessing(resize=232)
# The values are left at 0..255: this file was trained elsewhere, on images from which only the mean was taken away.
_CAFFE = Preprocessing(mean=(0.48235, 0.45882, 0.40784), std=(1 / 255, 1 / 255, 1 / 255))

_ALEXNET = "Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks."
_VGG = "Simonyan and Zisserman 2014, Very deep convolutional networks for large-scale image recognition."
_RESNET = "He et al. 2015, Deep residual learning for image recognition."


@dataclass(frozen=True)
class _File:
    """A published file: its name ends in the first eight hex digits of its SHA-256. Accuracies are fractions."""

    name: str
    top1: float
    top5: float
    version: str = "IMAGENET1K_V1"


@dataclass(frozen=True)
class _Network:
    """A row of the table; the file to use by default comes first."""

    name: str
    title: str
    params: int
    about: str
    files: tuple[_File, ...]


_NETWORKS = (
    _Network(
        "alexnet", "AlexNet", 61_100_840, "Small convolutions, large dense layers; of historical interest, and quick.",
        (_File("alexnet-owt-7be5be79.pth", 0.56522, 0.79066),),
    ),
    _Network(
        "vgg11", "VGG-11", 132_863_336, "Plain and large; the shallowest VGG.",
        (_File("vgg11-8a719046.pth", 0.6902, 0.88628),),
    ),
    _Network(
        "vgg11_bn", "VGG-11 with batch norm", 132_868_840, "As VGG-11, and easier to train from scratch.",
        (_File("vgg11_bn-6002323d.pth", 0.7037, 0.8981),),
    ),
    _Network(
        "vgg13", "VGG-13", 133_047_848, "Plain and large, between VGG-11 and VGG-16.",
        (_File("vgg13-19584684.pth", 0.69928, 0.89246),),
    ),
    _Network(
        "vgg13_bn", "VGG-13 with batch norm", 133_053_736, "As VGG-13, and easier to train from scratch.",
        (_File("vgg13_bn-abd245e5.pth", 0.71586, 0.90374),),
    ),
    _Network(
        "vgg16", "VGG-16", 138_357_544, "Plain and large; the usual choice for style and perceptual features.",
        (
            _File("vgg16-397923af.pth", 0.71592, 0.90382),
            _File("vgg16_features-amdegroot-88682ab5.pth", 0.0, 0.0, "IMAGENET1K_FEATURES"),
        ),
    ),
    _Network(
        "vgg16_bn", "VGG-16 with batch norm", 138_365_992, "As VGG-16, and easier to train from scratch.",
        (_File("vgg16_bn-6c64b313.pth", 0.7336, 0.91516),),
    ),
    _Network(
        "vgg19", "VGG-19", 143_667_240, "Plain and large; the deepest VGG.",
        (_File("vgg19-dcbb9e9d.pth", 0.72376, 0.90876),),
    ),
    _Network(
        "vgg19_bn", "VGG-19 with batch norm", 143_678_248, "As VGG-19, and easier to train from scratch.",
        (_File("vgg19_bn-c79401a0.pth", 0.74218, 0.91842),),
    ),
    _Network(
        "resnet18", "ResNet-18", 11_689_512, "Small and quick; a good first choice for most photographs.",
        (_File("resnet18-f37072fd.pth", 0.69758, 0.89078),),
    ),
    _Network(
        "resnet34", "ResNet-34", 21_797_672, "Twice as deep as ResNet-18, and still quick.",
        (_File("resnet34-b627a593.pth", 0.73314, 0.9142),),
    ),
    _Network(
        "resnet50", "ResNet-50", 25_557_032, "The field's standard: strong features at a moderate cost.",
        (
            _File("resnet50-11ad3fa6.pth", 0.80858, 0.95434, "IMAGENET1K_V2"),
            _File("resnet50-0676ba61.pth", 0.7613, 0.92862),
        ),
    ),
    _Network(
        "resnet101", "ResNet-101", 44_549_160, "Deeper and slower than ResNet-50, a little more accurate.",
        (
            _File("resnet101-cd907fc2.pth", 0.81886, 0.9578, "IMAGENET1K_V2"),
            _File("resnet101-63fe2227.pth", 0.77374, 0.93546),
        ),
    ),
    _Network(
        "resnet152", "ResNet-152", 60_192_808, "The deepest ResNet: the most accurate one, and the slowest.",
        (
            _File("resnet152-f82ba261.pth", 0.82284, 0.96002, "IMAGENET1K_V2"),
            _File("resnet152-394f9c45.pth", 0.78312, 0.94046),
        ),
    ),
)  # fmt: skip


def backbones() -> list[BackboneSpec]:
    """A record for every network of the table."""
    return [_spec(network) for network in _NETWORKS]


def _spec(network: _Network) -> BackboneSpec:
    family, paper, build = _family(network.name)
    return BackboneSpec(
        name=network.name,
        title=network.title,
        about=f"{network.about} {paper}",
        family=family,
        params=network.params,
        build=partial(build, network.name),
        weights=tuple(_weights(file) for file in network.files),
        licence=_LICENCE,
    )


def _family(name: str) -> tuple[str, str, Callable[[str, int], Backbone]]:
    if name.startswith("resnet"):
        return "ResNet", _RESNET, build_resnet
    if name.startswith("vgg"):
        return "VGG", _VGG, build_vgg
    return "AlexNet", _ALEXNET, build_alexnet


def _weights(file: _File) -> WeightsSpec:
    features = file.version == "IMAGENET1K_FEATURES"
    titles = {
        "IMAGENET1K_V1": "ImageNet-1k, 1.28 million photographs",
        "IMAGENET1K_V2": "ImageNet-1k, 1.28 million photographs, improved training",
        "IMAGENET1K_FEATURES": "ImageNet-1k, convolutions only (the dense layers start at random)",
    }
    return WeightsSpec(
        name=file.version,
        title=titles[file.version],
        source=_SOURCE + file.name,
        sha256=file.name.removesuffix(".pth").rpartition("-")[2],
        preprocessing=_CAFFE if features else _V2 if file.version == "IMAGENET1K_V2" else _V1,
        locate=partial(locate, file.name),
        num_classes=0 if features else 1000,
        metrics={} if features else {"ImageNet top-1": file.top1, "ImageNet top-5": file.top5},
        licence=_WEIGHTS_LICENCE,
        adapt=features_only if features else None,
    )
