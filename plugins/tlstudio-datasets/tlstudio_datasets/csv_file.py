"""A CSV or TSV file with the columns ``path`` and ``label``, and ``split`` and ``group`` if you like; images lie beside it.

Nothing is guessed in silence: an unknown encoding, a path that leads out of the folder and an image with two labels are errors
that name the rows. Rows are counted as a spreadsheet counts them: the header is row 1.
"""

from __future__ import annotations

import os
from pathlib import Path

from tlstudio.api import DataError, ImageSet, Options
from tlstudio_datasets.csv_text import read_rows, read_start
from tlstudio_datasets.options import CsvOptions
from tlstudio_datasets.table import image_set, usable
from tlstudio_datasets.words import printable


def open_csv(options: Options) -> ImageSet:
    """Read the table; no image is opened, and nothing outside the image folder is looked at.

    Columns are recognised by their names (``path``, ``file``, ``filename``, ``file_name``, ``image``, ``filepath``; ``label``,
    ``class``; ``split``; ``group``), in capitals or not; others are ignored. The delimiter is a comma, a semicolon or a tab. An
    empty label means unlabelled, an empty split none, an empty group a group of its own.

    Raises:
        DataError: no such file, not UTF-8, no such columns, paths outside the folder, unknown split words, one image with two
            different rows, no image that exists, or fewer than two classes.
    """
    assert isinstance(options, CsvOptions)
    file = options.path
    root = _root(options)
    table = usable(read_rows(file, options.encoding, options.label), root=root, file=file)
    return image_set(table, root=root, name=file.name, sources=[file])


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
