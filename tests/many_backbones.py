"""A catalog as large as those of the big libraries: made-up networks with figures and weights, some of them on the disk."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from tlstudio.api.backbone import BackboneSpec, Preprocessing, WeightsSpec

FAMILIES = (
    "ResNet", "EfficientNet", "ViT", "ConvNeXt", "Swin", "RegNet", "DeiT", "MobileNet", "BEiT", "EVA", "MaxViT", "NFNet",
    "DenseNet", "VGG", "CoAtNet", "LeViT", "PVT", "Res2Net", "GhostNet", "FastViT", "HRNet", "Inception",
    "MLP-Mixer", "PoolFormer", "TinyViT", "Twins", "VOLO", "XCiT", "CaiT", "DLA", "DPN", "EdgeNeXt", "MobileOne", "RepVGG",
    "SENet", "Xception",
)  # fmt: skip
LOOKED: list[str] = []
"""The files that were looked for on the disk, in order."""


def many_backbones(count: int = 1300, folder: Path | None = None, plugin: str = "zoo") -> dict[str, BackboneSpec]:
    """So many; a set of weights is on this machine where its file lies in the folder."""
    specs = {}
    for i in range(count):
        family, number = FAMILIES[i % len(FAMILIES)], i // len(FAMILIES)
        size = (224, 256, 288, 384)[number % 4]
        name = f"{family.lower().replace('-', '_')}_{number:02d}"
        specs[f"{plugin}/{name}"] = BackboneSpec(
            name=name,
            title=f"{family}-{number:02d}",
            about=f"A {family} of depth {number} for images of {size} pixels. Somebody et al. 2021.",
            family=family,
            params=1_000_000 + 977_000 * number + 13_000 * i,
            build=_never,
            weights=tuple(_weights(name, kind, size, i, folder) for kind in ("a1_in1k", "in22k")[: 1 + i % 2]),
            licence="Apache-2.0",
            preprocessing=Preprocessing(image_size=size, resize=size),
            flops=100_000_000 * (1 + number),
        )
    return specs


def with_many(catalog, folder: Path | None = None, count: int = 1300):
    """The catalog with so many networks more."""
    return replace(catalog, backbones={**catalog.backbones, **many_backbones(count, folder)})


def _weights(name: str, kind: str, size: int, i: int, folder: Path | None) -> WeightsSpec:
    return WeightsSpec(
        name=kind,
        title=f"ImageNet-1k, recipe {kind}",
        source=f"https://huggingface.co/timm/{name}.{kind}",
        sha256="",
        preprocessing=Preprocessing(image_size=size, resize=size),
        locate=partial(_locate, name, folder),
        metrics={"ImageNet top-1": 0.7 + (i * 7 % 190) / 1000} if i % 9 else {},
        licence="Apache-2.0",
    )


def _locate(name: str, folder: Path | None) -> Path | None:
    LOOKED.append(name)
    path = folder / f"{name}.pth" if folder else None
    return path if path is not None and path.is_file() else None


def _never(_classes: int):
    raise AssertionError("a list of networks must not build one")
