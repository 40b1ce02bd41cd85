"""A record for each network of timm that has stages, from the table of facts; neither timm nor torch is imported."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

from tlstudio.api import Backbone, BackboneSpec, Preprocessing, RefusedBackbone, StateDict, WeightsSpec
from tlstudio_timm.files import locate

_TABLE = Path(__file__).with_name("table.json")
_FAMILIES = Path(__file__).with_name("families.json")
_LICENCE = "Apache-2.0"
_HUB = "https://huggingface.co/"
_INTERPOLATIONS = ("bilinear", "bicubic")


@cache
def _table() -> dict[str, Any]:
    rows: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    return rows


def backbones() -> list[BackboneSpec]:
    """A record for every network of the table."""
    table = _table()
    preparations = [_preprocessing(*values) for values in table["preprocessings"]]
    families = json.loads(_FAMILIES.read_text(encoding="utf-8"))
    return [_spec(name, row, families[row[1]], table, preparations) for name, row in table["networks"].items()]


def refused() -> list[RefusedBackbone]:
    """The networks that are not offered, and single sets of weights of those that are, with the reasons."""
    table = _table()
    return [RefusedBackbone(name=name, reason=reason) for name, reason in {**table["refused"], **table["left_out"]}.items()]


def _spec(
    name: str, row: list[Any], family: list[str], table: dict[str, Any], preparations: list[Preprocessing]
) -> BackboneSpec:
    title, _, params, flops, step, out_of_place, arguments, usual, sets = row
    family_name, about, paper = family
    return BackboneSpec(
        name=name,
        title=title,
        about=f"{about} {paper}",
        family=family_name,
        params=params,
        build=partial(_build, name, arguments, out_of_place),
        weights=tuple([_weights(name, title, table, preparations, *values) for values in sets]),
        licence=_LICENCE,
        preprocessing=preparations[usual],
        flops=flops,
        fixed_size=step == 0,
        size_step=max(1, step),
        yields_name=True,
    )


def _weights(
    name: str,
    title: str,
    table: dict[str, Any],
    preparations: list[Preprocessing],
    tag: str,
    preparation: int,
    classes: int,
    licence: int = 0,
    data: int = 0,
    note: str = "",
    source: str = "",
) -> WeightsSpec:
    learned = table["data"][data]
    address = source or f"timm/{name}.{tag}"
    file = address.rpartition("/")[2]
    is_file = "://" in address
    text = f"{learned or title} ({tag})"
    return WeightsSpec(
        name=tag,
        title=f"{text}; {note}" if note else text,
        source=address if is_file else _HUB + address,
        sha256=_digits(file) if is_file else "",
        preprocessing=preparations[preparation],
        locate=partial(locate, file, is_file),
        trained_on=learned,
        num_classes=classes,
        licence=table["licences"][licence],
        adapt=partial(_adapted, name),
    )


def _digits(file: str) -> str:
    """The beginning of a file's SHA-256, which torch's way of naming puts at the end of its name; empty where it is not."""
    digits = file.rpartition(".")[0].rpartition("-")[2]
    return digits if len(digits) >= 8 and set(digits) <= set("0123456789abcdef") else ""


def _preprocessing(size: int, resize: int, interpolation: int, mean: list[float], std: list[float]) -> Preprocessing:
    return Preprocessing(
        image_size=size,
        resize=resize,
        interpolation=_INTERPOLATIONS[interpolation],  # type: ignore[arg-type]
        mean=tuple(mean),  # type: ignore[arg-type]
        std=tuple(std),  # type: ignore[arg-type]
    )


def _build(name: str, arguments: int, out_of_place: int, num_classes: int) -> Backbone:
    from tlstudio_timm.networks import build

    return build(name, _table()["arguments"][arguments], bool(out_of_place), num_classes)


def _adapted(name: str, state: StateDict) -> StateDict:
    from tlstudio_timm.networks import renamed

    return renamed(name, state)
