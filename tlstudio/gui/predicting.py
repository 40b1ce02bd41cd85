"""Predictions off the GUI thread: from paths and a model to the likeliest classes, and to a CSV file. No Qt, no torch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tlstudio import safe_io
from tlstudio.api.errors import DataError, ImageError, UserError
from tlstudio.api.images import decode, is_ignored_name, is_image_name

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

TOP = 5
_CHUNK = 16
_MAX_IMAGES = 100_000


class Model(Protocol):
    """What the engine's trained model offers here."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""

    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Class probabilities (N, C)."""


@dataclass(frozen=True)
class Prediction:
    """The classes of one image with their probabilities, best first; or why it could not be read."""

    top: tuple[tuple[str, float], ...] = ()
    reason: str = ""


def find_images(paths: Sequence[Path], cancelled: Callable[[], bool]) -> list[Path]:
    """The image files among paths and in folders below them, in order of name.

    Raises:
        DataError: there is none, or far too many.
    """
    found: list[Path] = []
    for path in paths:
        for file in _images_at(path):
            found.append(file)
            if len(found) > _MAX_IMAGES:
                raise DataError(f"There are more than {_MAX_IMAGES:,} images.", hint="Use the terminal: tlstudio predict.")
            if cancelled():
                return []
    if not found:
        names = ", ".join(path.name for path in paths[:3])
        raise DataError(f"There is no image in {names}.", hint="JPEG, PNG, BMP, TIFF, WebP and GIF files can be read.")
    return list(dict.fromkeys(found))


def predict_paths(model: Model, paths: Sequence[Path], cancelled: Callable[[], bool]) -> Iterator[tuple[int, list[Prediction]]]:
    """Predictions in chunks: the position of the first one and the predictions."""
    for start in range(0, len(paths), _CHUNK):
        if cancelled():
            return
        chunk: list[Prediction] = []
        images: list[Image] = []
        for path in paths[start : start + _CHUNK]:
            try:
                images.append(decode(path))
                chunk.append(Prediction())
            except ImageError as error:
                chunk.append(Prediction(reason=error.title))
        rows = iter(model.predict(images)) if images else iter(())
        yield start, [item if item.reason else Prediction(top=_top(next(rows), model.classes)) for item in chunk]


def write_csv(target: Path, paths: Sequence[Path], predictions: Sequence[Prediction | None]) -> None:
    """Write a row for each image: path, then the top classes with their probabilities.

    Raises:
        UserError: the file could not be written.
    """
    width = max((len(item.top) for item in predictions if item), default=0)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", *(name for i in range(1, width + 1) for name in (f"class_{i}", f"probability_{i}")), "problem"])
    for path, item in zip(paths, predictions, strict=True):
        top = () if item is None else item.top
        cells = [cell for name, value in top for cell in (name, f"{value:.6f}")]
        padding = [""] * (2 * width - len(cells))
        writer.writerow([str(path), *cells, *padding, "" if item is None else item.reason])
    try:
        safe_io.write_text(target, text.getvalue())
    except OSError as error:
        raise safe_io.as_user_error(error, target.parent) or UserError(
            f"{target.name} could not be written.", detail=str(error), hint="Choose another folder."
        ) from error


def _top(row: NDArray[np.float32], classes: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-row, kind="stable")[:TOP]
    return tuple((classes[i], float(row[i])) for i in order)


def _images_at(path: Path) -> Iterator[Path]:
    if path.is_file():
        if is_image_name(path.name):
            yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not is_ignored_name(name))
        yield from (Path(folder) / name for name in sorted(files) if is_image_name(name))
