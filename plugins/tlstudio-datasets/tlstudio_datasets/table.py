"""From rows of a label table to an `ImageSet`: paths, splits, repetitions, contradictions, missing images, classes.

The same for every kind of table: a CSV file, JSON lines, the metadata of an image folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlstudio.api import NO_SPLIT, UNLABELLED, DataError, ImageSet
from tlstudio_datasets.csv_paths import existing, keys_inside
from tlstudio_datasets.csv_text import COLUMNS, Row
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


@dataclass(frozen=True)
class Table:
    """The rows of one file that can be used, with their keys and splits, and what is said of the others."""

    rows: list[Row]
    keys: list[str]
    splits: list[int]
    notes: list[str]


def usable(rows: Sequence[Row], *, root: Path, file: Path) -> Table:
    """The rows whose images are in ``root``, each image once.

    Raises:
        DataError: paths outside of ``root``, unknown split words, one image with two different rows, or no image that exists.
    """
    splits = _splits(rows, file)
    keys = keys_inside(rows, root, file)
    notes = []
    kept, doubles = _unique(rows, keys, splits, file)
    if doubles:
        notes.append(f"{counted(len(doubles), 'row says', 'rows say')} again what one above says: {_numbers(doubles)}.")
    there, missing = existing([rows[index] for index in kept], [keys[index] for index in kept], root, file)
    if missing:
        gone = (f"row {rows[kept[place]].number}: {keys[kept[place]]}" for place in missing)
        notes.append(f"{counted(len(missing), 'image is', 'images are')} not there, left out: {listed(gone)}.")
    kept = [kept[place] for place in there]
    if not kept:
        raise DataError(
            f"None of the images that {printable(file.name)} lists is in {printable(str(root))}.",
            "\n".join(notes),
            f"Paths are taken from the folder of {printable(file.name)}; the option root names another.",
        )
    return Table([rows[index] for index in kept], [keys[index] for index in kept], [splits[index] for index in kept], notes)


def image_set(table: Table, *, root: Path, name: str, sources: Sequence[Path]) -> ImageSet:
    """The columns of an `ImageSet`; ``name`` is what the user knows the table by.

    Raises:
        DataError: fewer than two classes.
    """
    rows, notes = table.rows, list(table.notes)
    classes = tuple(sorted({row.label for row in rows if row.label}, key=natural_key))
    if not classes:
        raise DataError(f"No row of {printable(name)} has a label.", hint="Fill in the column label.")
    check_classes(classes, printable(name), detail="\n".join(notes), hint="To tell classes apart, at least two are needed.")
    index = {label: number for number, label in enumerate(classes)}
    labels = np.array([index.get(row.label, UNLABELLED) for row in rows], np.int32)
    column = np.array(table.splits, np.int8) if any(split != NO_SPLIT for split in table.splits) else None
    unlabelled = int(np.sum(labels == UNLABELLED))
    if unlabelled:
        notes.append(f"{counted(unlabelled, 'image has', 'images have')} no label.")
    grouped = any(row.group for row in rows)
    return ImageSet(
        classes=classes,
        keys=tuple(table.keys),
        labels=labels,
        splits=column,
        groups=tuple(row.group or key for row, key in zip(rows, table.keys, strict=True)) if grouped else None,
        root=root,
        sources=tuple(str(source.absolute()) for source in sources),
        notes=(*notes, *class_notes(classes, labels, column)),
    )


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


def _says(row: Row) -> str:
    parts = [f"{name} '{printable(getattr(row, name))}'" for name in COLUMNS[1:] if getattr(row, name)]
    return ", ".join(parts) or "nothing"


def _numbers(numbers: Sequence[int]) -> str:
    return listed((str(number) for number in numbers), limit=20)
