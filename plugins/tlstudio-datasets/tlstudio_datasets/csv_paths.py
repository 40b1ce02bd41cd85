"""Keeps the paths of a table inside its folder, and tells which of the files are there."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from tlstudio.api import DataError
from tlstudio_datasets.csv_text import Row
from tlstudio_datasets.words import counted, printable, several

_DRIVE = re.compile("[A-Za-z]:")


def keys_inside(rows: Sequence[Row], root: Path, file: Path) -> list[str]:
    """The key of each row: its path below ``root``, with forward slashes. It goes by the text alone and reads nothing.

    Raises:
        DataError: a path leads out of ``root``; it lists the rows.
    """
    base = root.as_posix().rstrip("/") + "/"
    keys = [_key(row.path, base) for row in rows]
    wrong = [row for row, key in zip(rows, keys, strict=True) if key is None]
    if wrong:
        raise _outside(wrong, root, file)
    return [key for key in keys if key is not None]


def existing(rows: Sequence[Row], keys: Sequence[str], root: Path, file: Path) -> tuple[list[int], list[int]]:
    """Places in ``keys`` whose files are there, and places of those that are missing or are no files.

    Raises:
        DataError: a link on the way leads out of ``root``; it lists the rows.
    """
    base = os.path.join(root, "")
    real = os.path.join(os.path.realpath(root), "")
    inside: dict[str, bool] = {}
    there: list[int] = []
    missing: list[int] = []
    wrong: list[Row] = []
    for place, key in enumerate(keys):
        folder = posixpath.dirname(key)
        if folder not in inside:
            inside[folder] = os.path.join(os.path.realpath(os.path.join(root, folder)), "").startswith(real)
        mode = _mode(base + key, real, checked=inside[folder])
        if mode is None:
            wrong.append(rows[place])
        elif stat.S_ISREG(mode):
            there.append(place)
        else:
            missing.append(place)
    if wrong:
        raise _outside(wrong, root, file)
    return there, missing


def _key(text: str, base: str) -> str | None:
    path = text.replace("\\", "/")
    if path.startswith(base):
        path = path[len(base) :]
    if "\0" in path or path.startswith("/") or _DRIVE.match(path):
        return None
    key = posixpath.normpath(path)
    return None if key == "." or key == ".." or key.startswith("../") else key


def _mode(path: str, real: str, *, checked: bool) -> int | None:
    """The mode of the file that a path leads to: 0 where there is none, ``None`` where a link leads out of ``real``.

    ``checked`` says that its folder is known to be inside, so that only a link in the last place needs to be followed.
    """
    try:
        mode = os.lstat(path).st_mode if checked else stat.S_IFLNK
        if not stat.S_ISLNK(mode):
            return mode
        target = os.path.realpath(path)
        return os.stat(target).st_mode if target.startswith(real) else None
    except (OSError, ValueError):
        return 0


def _outside(rows: Sequence[Row], root: Path, file: Path) -> DataError:
    return DataError(
        f"{printable(file.name)} names {counted(len(rows), 'file', 'files')} outside of the folder {printable(str(root))}.",
        several(f"row {row.number}: {printable(row.path)}" for row in rows),
        "Nothing was read. Paths must stay in the folder of the CSV file, or in the one that the option root names.",
    )
