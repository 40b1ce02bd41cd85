"""What a YOLO data set says of itself: class names and split folders from ``data.yaml``, or names from ``classes.txt``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlstudio.api import TEST, TRAIN, VAL, DataError
from tlstudio_datasets.inside import glance, key_below
from tlstudio_datasets.words import encodable, printable

_MAX_BYTES = 256 * 2**10
_SPLITS = {"train": TRAIN, "val": VAL, "valid": VAL, "test": TEST}
_NAME_FILES = ("classes.txt", "labels/classes.txt", "obj.names", "classes.names", "predefined_classes.txt")
_POINTS = 2
_HINT = "It needs the list names, and the paths train and val, such as train: images/train."


@dataclass(frozen=True)
class Described:
    """Class names by number, the places of each split as they are written, columns of a row with key points (0: none)."""

    names: Mapping[int, str]
    places: tuple[tuple[int, str], ...] = ()
    base: str = ""
    columns: int = 0
    file: Path | None = None


def yaml_file(root: Path) -> Path | None:
    """The file in a folder that describes a YOLO data set, if there is one; ``data.yaml`` before others."""
    names = sorted(entry.name for entry in glance(root) if entry.name.lower().endswith((".yaml", ".yml")))
    names.sort(key=lambda name: os.path.splitext(name)[0].lower() not in {"data", "dataset"})
    return next((root / name for name in names if looks_like_yolo(root / name)), None)


def looks_like_yolo(file: Path) -> bool:
    """Whether the lines of a YAML file begin with what such a file names."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            start = stream.read(_MAX_BYTES)
    except OSError:
        return False
    keys = {line.partition(b":")[0].strip() for line in start.removeprefix(b"\xef\xbb\xbf").splitlines() if b":" in line}
    return b"names" in keys and bool(keys & {b"train", b"val", b"test", b"path"})


def read_yaml(file: Path) -> Described:
    """What ``data.yaml`` says.

    Raises:
        DataError: it is unreadable, too large, no proper YAML, or has no class names.
    """
    import yaml  # type: ignore[import-untyped]

    name = printable(file.name)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(f"{name} is too large for a description of a data set.", hint=_HINT)
        # Every value stays text: a class called "no" must not become a truth value.
        document = yaml.load(file.read_bytes().decode("utf-8-sig"), Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise DataError(f"{name} is no proper YAML{where}.", str(error.problem or ""), _HINT) from None
    except OSError as error:
        raise DataError(f"{name} cannot be read.", error.strerror or str(error), "Check its permissions.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        nested = isinstance(error, RecursionError)
        raise DataError(f"{name} is no proper YAML{': it is nested too deep' if nested else ''}.", hint=_HINT) from None
    if not isinstance(document, dict):
        raise DataError(f"{name} describes no YOLO data set.", hint=_HINT)
    names = _names(document.get("names"))
    if not names:
        raise DataError(f"{name} has no list of class names.", hint=_HINT)
    places = [(split, text) for word, split in _SPLITS.items() for text in _texts(document.get(word))]
    base = document.get("path")
    return Described(names, tuple(places), base if isinstance(base, str) else "", _columns(document.get("kpt_shape")), file)


def read_names(root: Path) -> Described:
    """Class names from a text file with one a line, where there is one; none else."""
    file = next((root / name for name in _NAME_FILES if (root / name).is_file()), None)
    if file is None:
        return Described({})
    try:
        text = file.read_bytes()[:_MAX_BYTES].decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{printable(file.name)} cannot be read.", error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise DataError(f"{printable(file.name)} is not stored as UTF-8.", hint="Save it as UTF-8.") from None
    lines = [line.strip() for line in text.splitlines()]
    return Described({number: line or str(number) for number, line in enumerate(lines)}, file=file)


def place_below(text: str, described: Described, root: Path) -> str | None:
    """The folder or list that a split names, below the root; ``None`` where it is not there or leads out.

    Paths are taken from ``path``, from the folder of the file, and with leading ``../`` left away, as Roboflow writes them.
    """
    inner = text.replace("\\", "/")
    while inner.startswith("../"):
        inner = inner[3:]
    base = root.as_posix().rstrip("/") + "/"
    starts = [start for start in (key_below(described.base, base) if described.base else None, "") if start is not None]
    keys = [key_below(f"{start}/{way}" if start else way, base) for start in starts for way in (text, inner)]
    return next((key for key in keys if key is not None and (root / key).exists()), None)


def _names(value: Any) -> dict[int, str]:
    if isinstance(value, list):
        return {number: _word(name, number) for number, name in enumerate(value)}
    if isinstance(value, dict):
        return {int(key): _word(name, int(key)) for key, name in value.items() if _is_number(key)}
    return {}


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 9


def _word(name: Any, number: int) -> str:
    return encodable(name) if isinstance(name, str) and name.strip() else str(number)


def _texts(value: Any) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


def _columns(shape: Any) -> int:
    if not isinstance(shape, list) or len(shape) != _POINTS or not all(_is_number(value) for value in shape):
        return 0
    return 5 + math.prod(int(value) for value in shape)
