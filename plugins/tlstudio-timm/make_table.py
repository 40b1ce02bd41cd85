"""Writes ``tlstudio_timm/table.json`` from the installed timm: ``python make_table.py [LOOKS.jsonl]``.

The table holds facts only, so that the plugin can list its backbones without importing timm or torch. Every network is looked
at (see ``look.py``), which takes an hour; what was seen is kept in the named file, and a second start goes on from there.
A test compares the table with the installed timm, and says when this has to run again.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE / "tlstudio_timm" / "table.json"
sys.path.insert(0, str(HERE))

BUNDLED = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
"""Networks that the plugin builds without timm."""
_NOTES = {
    "": "",
    "squash": "trained on images squashed to a square, which are cropped here",
    "border": "trained on whole images with a border, which are cropped here",
    "larger": "trained on images with a border, which are cropped here",
}


def names() -> list[str]:
    """Every network of timm's that the plugin does not build itself."""
    import timm

    return [name for name in timm.list_models() if name not in BUNDLED]


def looks(file: Path | None) -> dict[str, dict[str, Any]]:
    """What is seen in each network, by name."""
    from look import Refused, look

    seen_before = [json.loads(line) for line in file.read_text().splitlines()] if file and file.exists() else []
    found: dict[str, dict[str, Any]] = {row["name"]: row for row in seen_before}
    kinds: dict[Any, Any] = {}
    for name in names():
        if name in found:
            continue
        try:
            row = {"name": name, **dataclasses.asdict(look(name, size_of(name)[0], kinds))}
        except Refused as error:
            row = {"name": name, "refused": str(error)}
        except Exception as error:  # noqa: BLE001 - what timm cannot build or run is a reason too
            row = {"name": name, "refused": f"it cannot be divided: {type(error).__name__}: {error}"[:200]}
        found[name] = row
        if file:
            with file.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    return found


def size_of(name: str) -> tuple[int, int]:
    """Height and width of the images of a network's first set of weights."""
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if config is None:
        return 224, 224
    return config.input_size[1], config.input_size[2]


def table(seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The whole table: lists of what many share, a row for each network, and reasons for those that are not offered."""
    import timm

    from words import family_of, title_of

    shared: dict[str, list[Any]] = {"arguments": [], "preprocessings": [], "licences": [], "data": []}
    rows: dict[str, list[Any]] = {}
    refused: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for name in names():
        row = seen[name]
        height, width = size_of(name)
        if "refused" in row or height != width:
            refused[name] = row.get("refused") or f"it is made for images of {height} x {width} pixels; here they are square"
            continue
        file = timm.models.model_entrypoint(name).__module__.rpartition(".")[2]
        sets = []
        for tag, config in _configs(name):
            problem = _problem(config, height, row["size_step"])
            if problem:
                left_out[f"{name}.{tag}"] = problem
            else:
                sets.append(_weights(name, tag, config, shared))
        usual = _preprocessing(timm.get_pretrained_cfg(name, allow_unregistered=True), height)
        rows[name] = [
            title_of(name), family_of(name, file), row["params"], row["flops"], row["size_step"], int(row["out_of_place"]),
            _index(shared["arguments"], row["arguments"]), _index(shared["preprocessings"], usual), sets,
        ]  # fmt: skip
    return {"timm": timm.__version__, **shared, "networks": rows, "refused": refused, "left_out": left_out}


def _configs(name: str) -> Iterator[tuple[str, Any]]:
    """Tags and configurations of the published sets of a network, the one that timm takes by default first."""
    import timm
    from timm.models._registry import _model_default_cfgs, get_arch_pretrained_cfgs

    del _model_default_cfgs
    configs = get_arch_pretrained_cfgs(name)
    first = timm.get_pretrained_cfg(name, allow_unregistered=True)
    published = {key.partition(".")[2]: config for key, config in configs.items() if config.has_weights}
    tags = sorted(published, key=lambda tag: (first is None or tag != first.tag, tag))
    return ((tag, published[tag]) for tag in tags)


def _problem(config: Any, size: int, step: int) -> str:
    """Why a set of weights cannot be used."""
    _, height, width = config.input_size
    if height != width:
        return f"for images of {height} x {width} pixels; here they are square"
    if (step == 0 and height != size) or (step > 1 and height % step):
        return f"for images of {height} pixels; the network takes {size}"
    if not (config.hf_hub_id or config.url):
        return "not published as a file"
    return ""


def _weights(name: str, tag: str, config: Any, shared: dict[str, list[Any]]) -> list[Any]:
    """A set as a row: tag, preprocessing, classes, licence, data, note, and the source where it is not the usual one."""
    from words import trained_on

    source = config.hf_hub_id or config.url
    usual = f"timm/{name}.{tag}"
    note = config.crop_mode if config.crop_mode in ("squash", "border") else ""
    if not note and config.crop_pct > 1:
        note = "larger"
    row = [
        tag,
        _index(shared["preprocessings"], _preprocessing(config, config.input_size[1])),
        config.num_classes,
        _index(shared["licences"], config.license or ""),
        _index(shared["data"], trained_on(tag, config.num_classes)),
        _NOTES[note],
        "" if source == usual else source,
    ]
    while row[-1] == "":
        row.pop()
    return row


def _preprocessing(config: Any, size: int) -> list[Any]:
    if config is None:
        return [size, math.floor(size / 0.875), 1, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]
    resize = max(size, math.floor(size / config.crop_pct))
    return [size, resize, int(config.interpolation != "bilinear"), list(config.mean), list(config.std)]


def _index(values: list[Any], value: Any) -> int:
    if value not in values:
        values.append(value)
    return values.index(value)


def text(rows: dict[str, Any]) -> str:
    """The table as JSON, one network a line."""
    lines = []
    for key, value in rows.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"{json.dumps(name)}:{_compact(row)}" for name, row in value.items())
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(key)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    kept = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    TABLE.write_text(text(table(looks(kept))), encoding="utf-8")
    sys.stdout.write(f"{TABLE}\n")
