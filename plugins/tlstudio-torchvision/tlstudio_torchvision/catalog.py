"""A record for each network that torchvision can build, from the table of facts and the families; nothing is imported for it.

A ViT of another input size has other positions, and is a backbone of its own: ``vit_b_16_384``.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tlstudio.api import BackboneSpec, Preprocessing, WeightsSpec
from tlstudio_torchvision.adapt import Adapt, features_only
from tlstudio_torchvision.families import FAMILIES, Family
from tlstudio_torchvision.files import locate
from tlstudio_torchvision.networks import build

_TABLE = Path(__file__).with_name("table.json")
_LICENCE = "BSD-3-Clause"
_WEIGHTS_LICENCE = "none stated; the photographs of ImageNet are for research"
_SWAG_LICENCE = "CC-BY-NC-4.0"
_SIZE = 224
_TITLES = {
    "IMAGENET1K_V1": "ImageNet-1k, 1.28 million photographs",
    "IMAGENET1K_V2": "ImageNet-1k, 1.28 million photographs, improved training",
    "IMAGENET1K_FEATURES": "ImageNet-1k, convolutions only (the dense layers start at random)",
    "IMAGENET1K_SWAG_E2E_V1": "SWAG, 3.6 billion photographs, then all of it fine-tuned on ImageNet-1k",
    "IMAGENET1K_SWAG_LINEAR_V1": "SWAG, 3.6 billion photographs, with a linear probe on ImageNet-1k",
}


def backbones() -> list[BackboneSpec]:
    """A record for every network of the table, family by family."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))
    return [spec for family in FAMILIES for name, title in family.members.items() for spec in _specs(family, name, title, rows)]


def _specs(family: Family, name: str, title: str, rows: dict[str, Any]) -> list[BackboneSpec]:
    """One record, or one for each input size that the positions of a network are made for."""
    row = rows[name]
    by_size = {size: [file for file in row["files"] if size in ("0", str(file["size"]))] for size in row["params"]}
    return [_spec(family, name, title, int(size), row["params"][size], files) for size, files in by_size.items()]


def _spec(family: Family, name: str, title: str, size: int, params: int, files: list[dict[str, Any]]) -> BackboneSpec:
    other_size = size not in (0, _SIZE)
    arguments = {**family.arguments, "image_size": size} if size else family.arguments
    weights = tuple(_weights(file, family.adapt) for file in files)
    return BackboneSpec(
        name=f"{name}_{size}" if other_size else name,
        title=f"{title} for {size} pixels" if other_size else title,
        about=f"{family.about} {family.paper}",
        family=family.name,
        params=params,
        build=partial(build, name, family.divide, arguments),
        weights=weights,
        licence=_LICENCE,
        preprocessing=weights[0].preprocessing,
        flops=files[0]["flops"],
        fixed_size=family.fixed_size,
    )


def _weights(file: dict[str, Any], adapt: Adapt | None) -> WeightsSpec:
    url: str = file["url"]
    name = url.rpartition("/")[2]
    swag = "SWAG" in file["set"]
    return WeightsSpec(
        name=file["set"],
        title=_TITLES.get(file["set"], file["set"]),
        source=url,
        sha256=name.removesuffix(".pth").rpartition("-")[2],
        preprocessing=_preprocessing(file),
        locate=partial(locate, name),
        trained_on="SWAG and ImageNet-1k" if swag else "ImageNet-1k",
        num_classes=file["classes"],
        metrics={f"ImageNet top-{k}": file[f"top{k}"] / 100 for k in (1, 5) if f"top{k}" in file},
        licence=_SWAG_LICENCE if swag else _WEIGHTS_LICENCE,
        adapt=adapt if file["classes"] else features_only,
    )


def _preprocessing(file: dict[str, Any]) -> Preprocessing:
    plain = Preprocessing()
    return Preprocessing(
        image_size=file["size"],
        resize=file["resize"],
        interpolation=file["interpolation"],
        # one VGG was trained elsewhere, on values of 0 to 255 from which only the mean was taken away
        mean=tuple(file.get("mean", plain.mean)),
        std=tuple(file.get("std", plain.std)),
    )
