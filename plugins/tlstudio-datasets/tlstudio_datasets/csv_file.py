"""A CSV file with the columns ``path`` and ``label``, and ``split`` and ``group`` if there are any; images lie beside it.

Nothing is guessed in silence: an unknown encoding, a path that leads out of the folder and an image with two labels are errors
that name the rows. Rows are counted as a spreadsheet counts them: the header is row 1.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from tlstudio.api import NO_SPLIT, UNLABELLED, DataError, ImageSet, Options
from tlstudio_datasets.csv_paths import existing, keys_inside
from tlstudio_datasets.csv_text import COLUMNS, Row, read_rows, read_start
from tlstudio_datasets.words import (
    check_classes,
    class_notes,
    counted,
    listed,
    natural_key,
    printable,
    several,
    split_of,
)


class CsvOptions(Options):
    """Options of ``csv``."""

    path: Path = Field(title="CSV file", description="Columns: path and label; split and group if you like.")
    root: Path | None = Field(
        None, title="Image folder", description="The folder that paths are relative to; by default that of the CSV file."
    )
    encoding: str = Field("utf-8", title="Encoding", description="How the text is stored; UTF-8 unless you know better.")


def open_csv(options: Options) -> ImageSet:
    """Read the table; no image is opened, and nothing outside the image folder is looked at.

    Columns are recognised by their names (``path``, ``file``, ``filename``, ``image``, ``filepath``; ``label``, ``class``;
    ``split``; ``group``), in capitals or not; others are ignored. The delimiter is a comma, a semicolon or a tab. An empty
    label means unlabelled, an empty split none, an empty group a group of its own.

    Raises:
        DataError: no such file, not UTF-8, no such columns, paths outside the folder, unknown split words, one image with two
            different rows, no image that exists, or fewer than two classes.
    """
    assert isinstance(options, CsvOptions)
    file = options.path
    root = _root(options)
    rows = read_rows(file, options.encoding)
    splits = _splits(rows, file)
    keys = keys_inside(rows, root, file)
    notes = []
    kept, doubles = _unique(rows, keys, splits, file)
    if doubles:
        notes.append(f"{counted(len(doubles), 'row says', 'rows say')} again what one above says: {_numbers(doubles)}.")
    there, missing = existing([rows[index] for index in kept], [keys[index] for index in kept], root, file)
    if missing:
        gone = [f"row {rows[kept[place]].number}: {keys[kept[place]]}" for place in missing]
        notes.append(f"{counted(len(missing), 'image is', 'images are')} not there, left out: {listed(gone)}.")
    kept = [kept[place] for place in there]
    if not kept:
        raise DataError(
            f"None of the images that {printable(file.name)} lists is in {printable(str(root))}.",
            "\n".join(notes),
            "Paths are taken from the folder of the CSV file; the option root names another.",
        )
    return _table([rows[index] for index in kept], [keys[index] for index in kept], [splits[index] for index in kept],
                  root=root, file=file, notes=notes)  # fmt: skip


def recognise_csv(path: Path) -> float:
    """How sure it is that a file is such a table, going by its suffix and its first line."""
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".tsv", ".txt"}:
        return 0.0
    try:
        if not path.is_file():
            return 0.0
        columns = read_start(path)
    except (OSError, ValueError):
        return 0.0
    if "path" in columns and "label" in columns:
        return 0.95
    return 0.0 if suffix == ".txt" else 0.3


def _root(options: CsvOptions) -> Path:
    file = options.path
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise DataError(f"{printable(str(file))} {what}.", hint="Choose a CSV file.")
    root = Path(os.path.abspath(file.absolute().parent / (options.root or "")))
    if not root.is_dir():
        raise DataError(
            f"The image folder {printable(str(root))} does not exist.",
            hint="Set the option root to the folder that the paths in the CSV file start from.",
        )
    return root


def _splits(rows: Sequence[Row], file: Path) -> list[int]:
    words = {row.split for row in rows}
    known = {word: split_of(word) for word in words}
    known.update({word: NO_SPLIT for word in words if not word.strip()})
    wrong = [row for row in rows if known[row.split] is None]
    if wrong:
        raise DataError(
            f"{printable(file.name)} names a split that is not known in {counted(len(wrong), 'row', 'rows')}.",
            several(f"row {row.number}: '{printable(row.split)}'" for row in wrong),
            "The column split takes train, val, test or nothing.",
        )
    return [NO_SPLIT if split is None else split for split in (known[row.split] for row in rows)]


def _unique(rows: Sequence[Row], keys: Sequence[str], splits: Sequence[int], file: Path) -> tuple[list[int], list[int]]:
    """Indices of the rows to keep, and the numbers of exact repetitions."""
    first: dict[str, int] = {}
    doubles: list[int] = []
    conflicts: list[str] = []
    for index, key in enumerate(keys):
        earlier = first.setdefault(key, index)
        if earlier == index:
            continue
        one, two = rows[earlier], rows[index]
        if (one.label, splits[earlier], one.group) == (two.label, splits[index], two.group):
            doubles.append(two.number)
        else:
            conflicts.append(f"{printable(key)}: row {one.number} says {_says(one)}, row {two.number} says {_says(two)}")
    if conflicts:
        raise DataError(
            f"{printable(file.name)} contradicts itself about {counted(len(conflicts), 'image', 'images')}.",
            several(conflicts),
            "Leave one row for each image: one label, one split, one group.",
        )
    return list(first.values()), doubles


def _table(rows: list[Row], keys: list[str], splits: list[int], *, root: Path, file: Path, notes: list[str]) -> ImageSet:
    classes = tuple(sorted({row.label for row in rows if row.label}, key=natural_key))
    if not classes:
        raise DataError(f"No row of {printable(file.name)} has a label.", hint="Fill in the column label.")
    check_classes(
        classes, printable(file.name), detail="\n".join(notes), hint="To tell classes apart, at least two are needed."
    )
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index.get(row.label, UNLABELLED) for row in rows], np.int32)
    column = np.array(splits, np.int8) if any(split != NO_SPLIT for split in splits) else None
    unlabelled = int(np.sum(labels == UNLABELLED))
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'image has', 'images have')} no label.")
    grouped = any(row.group for row in rows)
    return ImageSet(
        classes=classes,
        keys=tuple(keys),
        labels=labels,
        splits=column,
        groups=tuple(row.group or key for row, key in zip(rows, keys, strict=True)) if grouped else None,
        root=root,
        notes=(*notes, *class_notes(classes, labels, column)),
    )


def _says(row: Row) -> str:
    parts = [f"{name} '{printable(getattr(row, name))}'" for name in COLUMNS[1:] if getattr(row, name)]
    return ", ".join(parts) or "nothing"


def _numbers(numbers: Sequence[int]) -> str:
    return listed((str(number) for number in numbers), limit=20)
