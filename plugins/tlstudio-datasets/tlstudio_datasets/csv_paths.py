"""The paths of a table's rows: all of them inside its folder, or none is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlstudio.api import DataError
from tlstudio_datasets.csv_text import Row
from tlstudio_datasets.inside import Files, key_below
from tlstudio_datasets.words import counted, printable, several


def keys_inside(rows: Sequence[Row], root: Path, file: Path) -> list[str]:
    """The key of each row: its path below ``root``, with forward slashes. It goes by the text alone and reads nothing.

    Raises:
        DataError: a path leads out of ``root``; it lists the rows.
    """
    base = root.as_posix().rstrip("/") + "/"
    keys = [key_below(row.path, base) for row in rows]
    wrong = [row for row, key in zip(rows, keys, strict=True) if key is None]
    if wrong:
        raise _outside(wrong, root, file)
    return [key for key in keys if key is not None]


def existing(rows: Sequence[Row], keys: Sequence[str], root: Path, file: Path) -> tuple[list[int], list[int]]:
    """Places in ``keys`` whose files are there, and places of those that are missing or are no files.

    Raises:
        DataError: a link on the way leads out of ``root``; it lists the rows.
    """
    files = Files(root)
    found = [files.has(key) for key in keys]
    wrong = [row for row, there in zip(rows, found, strict=True) if there is None]
    if wrong:
        raise _outside(wrong, root, file)
    return [place for place, there in enumerate(found) if there], [place for place, there in enumerate(found) if not there]


def _outside(rows: Sequence[Row], root: Path, file: Path) -> DataError:
    return DataError(
        f"{printable(file.name)} names {counted(len(rows), 'file', 'files')} outside of the folder {printable(str(root))}.",
        several(f"row {row.number}: {printable(row.path)}" for row in rows),
        f"Nothing was read. Paths must stay in the folder of {printable(file.name)}, or in the one that the option root names.",
    )
