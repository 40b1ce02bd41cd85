"""Writes a set of images as it stands after the user's edits: as class folders of copies or links, or as a table.

The images themselves are read, never changed; the result appears whole or not at all.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from tlstudio import safe_io
from tlstudio.api.dataset import SPLIT_NAMES, UNLABELLED, ImageSet
from tlstudio.api.errors import DataError, ImageError, UserError
from tlstudio.api.images import printable
from tlstudio.data.edits import Table

How = Literal["copy", "link", "csv"]
_FORBIDDEN = '<>:"/\\|?*'
_MOST_NAME = 120


def export(table: Table, target: Path, how: How = "copy", *, progress: Callable[[int, int], bool] | None = None) -> int:
    """Write the labelled images that take part; returns how many.

    ``copy`` and ``link`` make ``target/train/<class>/<file>`` and so on, a folder that opens here and anywhere else; ``csv``
    writes a file with the columns path, label, split (and group). Rows that are a part of a picture are cut out for ``copy``.

    Args:
        target: what is to appear: a folder, or a CSV file.
        progress: ``progress(done, total)``; ``False`` gives up, and then nothing has appeared.

    Raises:
        DataError: there is nothing to write, or the images have no files to link to or to name.
        UserError: the target exists already, or cannot be written.
    """
    images = table.taking_part()
    rows = np.flatnonzero(images.labels != UNLABELLED).tolist()
    if not rows:
        raise DataError("There are no labelled images to export.")
    if how != "copy" and (images.read is not None or images.boxes is not None):
        raise DataError("These images are not files of their own.", hint="Export copies instead.")
    if os.path.lexists(target):
        raise UserError(f"{target} exists already.", hint="Choose another name: nothing is overwritten.")
    try:
        if how == "csv":
            safe_io.write_text(target, _as_csv(table, images, rows))
            return len(rows)
        with safe_io.atomic_folder(target) as folder:
            _write_folders(images, table, rows, folder, how, progress)
            if hasattr(os, "sync"):
                os.sync()  # once for all files: one by one takes minutes for thousands
    except _StoppedError:
        return 0
    except OSError as error:
        raise safe_io.as_user_error(error, target.parent) or UserError(f"{target} cannot be written.", str(error)) from None
    return len(rows)


class _StoppedError(Exception):
    """The user gave up."""


def _write_folders(
    images: ImageSet, table: Table, rows: list[int], folder: Path, how: How, progress: Callable[[int, int], bool] | None
) -> None:
    names = _class_folders(images.classes)
    taken: set[str] = set()
    for done, row in enumerate(rows):
        place = folder / SPLIT_NAMES[max(0, int(table.splits[row]))] / names[images.labels[row]]
        place.mkdir(parents=True, exist_ok=True)
        source = images.path(row)
        own = source is not None and images.boxes is None
        suffix = source.suffix.lower() if own and source is not None else ".png"
        target = _free_name(place, _safe(images.keys[row].rpartition("/")[2].rpartition(".")[0] or "image"), suffix, taken)
        if own and source is not None:
            _copy(source, target, how)
        else:
            try:
                images.load(row).save(target)
            except ImageError as error:
                raise DataError(f"{printable(images.keys[row])} cannot be read: {error.title}.", hint="Leave it out.") from None
        if progress is not None and done % 16 == 0 and not progress(done, len(rows)):
            raise _StoppedError


def _copy(source: Path, target: Path, how: How) -> None:
    if how == "link":
        target.symlink_to(source.absolute())
    else:
        shutil.copyfile(source, target)


def _class_folders(classes: tuple[str, ...]) -> list[str]:
    """A folder name for each class that every system allows, no two alike."""
    names: list[str] = []
    for name in classes:
        safe, number = _safe(name), 2
        while safe.casefold() in {other.casefold() for other in names}:
            safe, number = f"{_safe(name)}-{number}", number + 1
        names.append(safe)
    return names


def _safe(name: str) -> str:
    text = "".join("_" if char in _FORBIDDEN else char for char in printable(name)).strip(" .")[:_MOST_NAME]
    return text or "_"


def _free_name(folder: Path, stem: str, suffix: str, taken: set[str]) -> Path:
    """A file name that is not taken yet, also on systems that do not tell capitals from small letters."""
    number, name = 2, f"{stem}{suffix}"
    while (key := f"{folder}/{name}".casefold()) in taken:
        name, number = f"{stem}-{number}{suffix}", number + 1
    taken.add(key)
    return folder / name


def _as_csv(table: Table, images: ImageSet, rows: list[int]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("path", "label", "split", *(("group",) if images.groups is not None else ())))
    for row in rows:
        group = () if images.groups is None else (images.groups[row],)
        split = SPLIT_NAMES[max(0, int(table.splits[row]))]
        writer.writerow((str(images.path(row)), images.classes[images.labels[row]], split, *group))
    return buffer.getvalue()
