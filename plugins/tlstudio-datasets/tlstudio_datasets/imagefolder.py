"""JSON lines, and image folders as Hugging Face writes them: ``metadata.jsonl`` or ``metadata.csv`` beside the images.

The file lies in the folder itself or in each of its train, val and test folders; ``file_name`` starts from where it lies.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tlstudio.api import NO_SPLIT, DataError, ImageSet, Options
from tlstudio_datasets.csv_text import Row, read_rows, read_start
from tlstudio_datasets.inside import glance, layers
from tlstudio_datasets.json_text import read_json_lines
from tlstudio_datasets.options import ImageFolderOptions
from tlstudio_datasets.table import Table, image_set, usable
from tlstudio_datasets.words import encodable, listed, natural_key, printable, several, split_of

_METADATA = ("metadata.jsonl", "metadata.csv")
_LINES = {".jsonl", ".ndjson"}
_PATHS = ("file_name", "filename", "file", "path", "filepath", "image")
_LABELS = ("label", "labels", "class", "class_name", "category")
_GLANCE_BYTES = 64 * 1024
_HINT = (
    "metadata.jsonl holds one line for each image, such as {{\"file_name\": \"1.jpg\", \"label\": \"cat\"}}; it lies in {root} "
    "or in its folders train, val and test."
)  # fmt: skip


def open_imagefolder(options: Options) -> ImageSet:
    """Read the table that the metadata files make; no image is opened.

    Numbers become class names as they are written. A split comes from the folder of a metadata file, from a field ``split``, or
    from the first part of ``file_name`` where that is a word such as ``train``.

    Raises:
        DataError: no such files, broken lines, no field with labels, or what a CSV file is refused for.
    """
    assert isinstance(options, ImageFolderOptions)
    path = Path(os.path.abspath(options.path))
    root, files = (path.parent, [("", path)]) if path.is_file() else _find(path)
    if not files:
        raise DataError(f"There is no metadata.jsonl in {printable(str(path))}.", hint=_HINT.format(root="the folder"))
    tables = [_table(file, folder, options.label) for folder, file in files]
    notes = [note for table in tables for note in table.notes]
    others = [] if path.is_file() or files[0][0] else _in_splits(root)
    if others:
        where = listed(f"{folder}/{file.name}" for folder, file in others)
        notes.append(f"Not read, because the folder around has such a file too: {where}.")
    whole = Table(
        rows=[row for table in tables for row in table.rows],
        keys=[key for table in tables for key in table.keys],
        splits=[split for table in tables for split in table.splits],
        notes=notes,
    )
    return image_set(whole, root=root, name=files[0][1].name, sources=[file for _, file in files])


def recognise_imagefolder(path: Path) -> float:
    """Nearly sure of a folder or a file of JSON lines whose first row names an image and a label."""
    try:
        if path.is_file():
            return _sure(path) if path.suffix.lower() in _LINES else 0.0
        files = _find(path)[1]
        return _sure(files[0][1]) if files else 0.0
    except (OSError, ValueError):
        return 0.0


def _sure(file: Path) -> float:
    if file.suffix.lower() == ".csv":
        columns: Iterable[str] = read_start(file)
        return 0.96 if {"path", "label"} <= set(columns) else 0.3
    with file.open("rb") as stream:
        start = stream.read(_GLANCE_BYTES).decode("utf-8-sig", "replace")
    names = [name for name in (*_PATHS, *_LABELS) if f'"{name}"' in start]
    return 0.96 if set(names) & set(_PATHS) and set(names) & set(_LABELS) else 0.3


def _find(path: Path) -> tuple[Path, list[tuple[str, Path]]]:
    """The folder that has metadata files, be it inside of one that only wraps it, and these files."""
    found = ((root, _metadata(root)) for root in layers(path)) if path.is_dir() else iter(())
    return next((pair for pair in found if pair[1]), (path, []))


def _metadata(root: Path) -> list[tuple[str, Path]]:
    """The metadata file of the folder itself, else those of its split folders, each with the folder's name."""
    own = _in(root)
    return _in_splits(root) if own is None else [("", own)]


def _in_splits(root: Path) -> list[tuple[str, Path]]:
    names = [entry.name for entry in glance(root) if split_of(entry.name) is not None and entry.is_dir()]
    found = ((name, _in(root / name)) for name in sorted(names, key=natural_key))
    return [(name, file) for name, file in found if file is not None]


def _in(folder: Path) -> Path | None:
    return next((folder / name for name in _METADATA if (folder / name).is_file()), None)


def _table(file: Path, folder: str, label: str) -> Table:
    """The usable rows of one metadata file, keys and split as its folder says."""
    lines = file.suffix.lower() != ".csv"
    table = usable(_rows(file, label) if lines else read_rows(file, label=label), root=file.parent, file=file)
    own = split_of(folder)
    if own is None and all(split == NO_SPLIT for split in table.splits):
        splits = [_split_in(key) for key in table.keys]
    else:
        splits = [own if own is not None and split == NO_SPLIT else split for split in table.splits]
    if not folder:
        return Table(table.rows, table.keys, splits, table.notes)
    where = printable(f"{folder}/{file.name}")
    keys = [f"{folder}/{key}" for key in table.keys]
    return Table(table.rows, keys, splits, [f"{where}: {note}" for note in table.notes])


def _split_in(key: str) -> int:
    folder, slash, _ = key.partition("/")
    split = split_of(folder) if slash else None
    return NO_SPLIT if split is None else split


def _rows(file: Path, label: str) -> list[Row]:
    rows: list[Row] = []
    faults: list[str] = []
    path_field = label_field = ""
    fields: dict[str, None] = {}
    for number, record in read_json_lines(file):
        if label_field not in record or path_field not in record:
            fields.update(dict.fromkeys(islice(record, 20)))
            path_field = next((name for name in _PATHS if name in record), path_field)
            label_field = next((name for name in ((label,) if label else _LABELS) if name in record), label_field)
        path, name = record.get(path_field), _word(record.get(label_field))
        if not isinstance(path, str) or not path:
            faults.append(f"row {number}: it names no file")
        elif name is None:
            faults.append(f"row {number}: its label is neither text nor a number")
        else:
            rows.append(Row(number, path, name, *(_word(record.get(key)) or "" for key in ("split", "group"))))
    _check(file, fields, path_field, label_field, label)
    if faults:
        raise DataError(f"{printable(file.name)} has rows that cannot be used.", several(faults), _hint(fields))
    if not rows:
        raise DataError(f"{printable(file.name)} is empty.", hint=_HINT.format(root="the folder"))
    return rows


def _check(file: Path, fields: Mapping[str, None], path_field: str, label_field: str, label: str) -> None:
    if not fields:
        return
    wanted = label or "label"
    missing = [name for name, found in (("file_name", path_field), (wanted, label_field)) if not found]
    if missing:
        raise DataError(
            f"{printable(file.name)} has no field {printable(' and no field '.join(missing))}.",
            f"It has: {listed(fields)}.",
            _hint(fields) if path_field else _HINT.format(root="the folder"),
        )


def _hint(fields: Iterable[str]) -> str:
    others = [name for name in fields if name not in _PATHS]
    named = f", such as {printable(others[0])}" if others else ""
    return f"The option label names the field with the labels{named}. Images that lie in class folders open as datasets/folder."


def _word(value: Any) -> str | None:
    """A label as text; empty for none, ``None`` for what cannot be a class name."""
    if isinstance(value, str):
        return encodable(value) if value.strip() else ""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    return None
