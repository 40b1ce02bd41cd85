"""Measures images: one read and one decode a file give its size, its digest, the numbers of its looks and a small picture.

The columns of `Measures` are what the checks of `tlstudio.data.quality` and the search of `tlstudio.data.duplicates` work on,
and what the index keeps. This module judges nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import ImageError
from tlstudio.api.images import crop, decode, read_bytes
from tlstudio.data.headers import UNKNOWN, format_of, size_of
from tlstudio.data.looks import LOOK_SIZE, Numbers, colour_of, look_of, numbers_of
from tlstudio.data.remarks import remark_on
from tlstudio.data.threads import Progress, batches, in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

NOT_MEASURED, MEASURED, UNREADABLE = 0, 1, 2
DIGEST_SIZE = 16

COLUMNS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "state": ("uint8", ()),
    "file_size": ("int64", ()),
    "modified": ("int64", ()),
    "width": ("int32", ()),
    "height": ("int32", ()),
    "digest": ("uint8", (DIGEST_SIZE,)),
    "look": ("uint8", (LOOK_SIZE,)),
    "bright_low": ("float32", ()),
    "bright_mean": ("float32", ()),
    "bright_high": ("float32", ()),
    "contrast": ("float32", ()),
    "entropy": ("float32", ()),
    "sharpness": ("float32", ()),
    "flatness": ("float32", ()),
    "colour": ("float32", ()),
}
"""Name of each column -> its dtype and the shape of one row; rows come first in the arrays."""

_UNSET = {"file_size": -1, "modified": -1}
_FILES_A_JOB = 16
_DRAFT = 256
_TRIED = 16
_SMALL = 16_384  # bytes of a file, or pixels


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is known of each image, as columns of one row an image.

    Args:
        state: ``(N,)`` uint8 of `NOT_MEASURED`, `MEASURED` or `UNREADABLE`; the numbers below hold where it is `MEASURED`.
        file_size: ``(N,)`` int64, bytes of the file; -1 for none.
        modified: ``(N,)`` int64, when the file was last changed, in ns; -1 for none.
        width, height: ``(N,)`` int32, pixels of the upright picture (of the row's box, where it has one); 0 where unknown.
        digest: ``(N, 16)`` uint8, BLAKE2b of the file's bytes (and the row's box), or of the pixels of data that are no files.
        look: ``(N, D)`` uint8, the small picture that near duplicates are found by; see `tlstudio.data.looks`.
        bright_low, bright_mean, bright_high: ``(N,)`` float32, 1st percentile, mean and 99th percentile of luminance, 0..1.
        contrast: ``(N,)`` float32, standard deviation of luminance, 0..1.
        entropy: ``(N,)`` float32, of the histogram of luminance, in bits (0..8).
        sharpness: ``(N,)`` float32, one over the width of the sharpest edges in pixels, at the size that a network sees.
        flatness: ``(N,)`` float32, share of neighbouring pixels that are exactly equal, 0..1: high in drawings, low in photos.
        colour: ``(N,)`` float32, mean distance from grey, 0..1.
        reasons: row -> why it is unreadable, in a few words.
        remarks: row -> what is odd about its file though it loads.
    """

    state: NDArray[np.uint8]
    file_size: NDArray[np.int64]
    modified: NDArray[np.int64]
    width: NDArray[np.int32]
    height: NDArray[np.int32]
    digest: NDArray[np.uint8]
    look: NDArray[np.uint8]
    bright_low: NDArray[np.float32]
    bright_mean: NDArray[np.float32]
    bright_high: NDArray[np.float32]
    contrast: NDArray[np.float32]
    entropy: NDArray[np.float32]
    sharpness: NDArray[np.float32]
    flatness: NDArray[np.float32]
    colour: NDArray[np.float32]
    reasons: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.state)

    @classmethod
    def empty(cls, rows: int) -> Measures:
        """Nothing measured yet for a number of rows."""
        columns: dict[str, Any] = {
            name: np.full((rows, *shape), _UNSET.get(name, 0), np.dtype(kind)) for name, (kind, shape) in COLUMNS.items()
        }
        return cls(**columns)

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, NDArray[Any]],
        *,
        reasons: Mapping[int, str] | None = None,
        remarks: Mapping[int, str] | None = None,
    ) -> Measures:
        """Measures of stored columns.

        Raises:
            ValueError: a column is missing, or is not of the declared dtype and shape.
        """
        if missing := sorted(COLUMNS.keys() - columns.keys()):
            raise ValueError(f"columns are missing: {', '.join(missing)}")
        rows = len(columns["state"])
        for name, (kind, shape) in COLUMNS.items():
            column = columns[name]
            if column.dtype != np.dtype(kind) or column.shape != (rows, *shape):
                raise ValueError(f"{name} is {column.dtype} {column.shape} instead of {kind} {(rows, *shape)}")
        known: dict[str, Any] = {name: columns[name] for name in COLUMNS}
        return cls(**known, reasons=dict(reasons or {}), remarks=dict(remarks or {}))

    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays by name; not a copy."""
        return {name: getattr(self, name) for name in COLUMNS}

    def copy(self) -> Measures:
        """The same rows in arrays of their own."""
        columns = {name: column.copy() for name, column in self.columns().items()}
        return Measures.from_columns(columns, reasons=self.reasons, remarks=self.remarks)


def measure(
    images: ImageSet,
    *,
    known: Measures | None = None,
    rows: NDArray[np.int64] | None = None,
    in_place: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Measures:
    """Read, decode and measure images.

    Args:
        known: what is known already; it is not changed, unless ``in_place``: a million rows are some hundred megabytes.
        rows: which rows to measure; by default those of ``known`` that are not measured.
        progress: see `Progress`; rows that were not reached when it ends the work stay `NOT_MEASURED`.
        threads: by default one a core, or a single one for pictures so small that threads would wait for each other's Python.
    """
    result = Measures.empty(len(images)) if known is None else known if in_place else known.copy()
    wanted = np.flatnonzero(result.state == NOT_MEASURED) if rows is None else np.asarray(rows, np.int64)
    done = 0
    threads = threads or _threads_for(images, wanted)
    results = in_threads(lambda rows: _measure_safely(images, rows), batches(images, wanted, _FILES_A_JOB), threads)
    for found in results:
        done += len(found)
        _write(result, found)
        if progress is not None and not progress(done, len(wanted)):
            break
    results.close()
    return result


def _threads_for(images: ImageSet, rows: NDArray[np.int64]) -> int:
    """One for small pictures, judged by a few: most of their time is Python, for which threads would only wait in turn."""
    tried = rows[:: max(1, len(rows) // _TRIED)][:_TRIED].tolist()
    sizes = []
    for row in tried if images.read is None else tried[:1]:
        with suppress(OSError, ImageError):
            path = images.path(row)
            sizes.append(os.stat(path).st_size if path is not None else math.prod(images.load(row).size))
    return 1 if sizes and sum(sizes) < _SMALL * len(sizes) else os.cpu_count() or 1


class _Row(NamedTuple):
    """What measuring one row gave; ``reason`` is empty where it is readable."""

    row: int
    file_size: int = -1
    modified: int = -1
    size: tuple[int, int] = (0, 0)
    digest: bytes = bytes(DIGEST_SIZE)
    look: NDArray[np.uint8] | None = None
    numbers: Numbers | None = None
    reason: str = ""
    remark: str = ""


def _measure_safely(images: ImageSet, rows: list[int]) -> list[_Row]:
    try:
        return _measure_rows(images, rows)
    except Exception as error:  # noqa: BLE001 - one image that a decoder or a plugin trips over must not cost the others
        return [_Row(row, reason=f"cannot be read ({type(error).__name__}: {error})") for row in rows]


def _measure_rows(images: ImageSet, rows: list[int]) -> list[_Row]:
    """Measure rows that share one file."""
    path = images.path(rows[0])
    if path is None:
        return [_measure_pixels(images, row) for row in rows]
    file_size, modified = -1, -1
    try:
        about = os.stat(path)
        file_size, modified = about.st_size, about.st_mtime_ns
        data = read_bytes(path)
    except (ImageError, OSError) as error:
        return [_Row(row, file_size, modified, reason=_reason(error)) for row in rows]
    digest = hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()
    try:
        image = decode(data, draft=_DRAFT if images.boxes is None else None, limits=images.limits)
    except ImageError as error:
        return [_Row(row, file_size, modified, digest=digest, reason=_reason(error)) for row in rows]
    shared = _Row(-1, file_size, modified, digest=digest, remark=remark_on(path.name, data))
    if images.boxes is None:
        size = _full_size(data, image)
        return [_looks(shared._replace(row=row, size=size), image) for row in rows]
    return [_measure_box(shared._replace(row=row), image, images.boxes[row]) for row in rows]


def _full_size(data: bytes, image: Image) -> tuple[int, int]:
    """The upright size of a file whose picture may have been decoded smaller."""
    if format_of(data) != "JPEG" or (size := size_of(data)) == UNKNOWN:
        return image.size
    return size if (size[0] < size[1]) == (image.width < image.height) else (size[1], size[0])


def _measure_box(shared: _Row, image: Image, box: NDArray[np.float32]) -> _Row:
    digest = hashlib.blake2b(shared.digest + box.tobytes(), digest_size=DIGEST_SIZE).digest()
    try:
        part = crop(image, box.tolist())
    except ImageError as error:
        return shared._replace(digest=digest, reason=_reason(error))
    return _looks(shared._replace(size=part.size, digest=digest), part)


def _measure_pixels(images: ImageSet, row: int) -> _Row:
    try:
        image = images.load(row)
    except ImageError as error:
        return _Row(row, reason=_reason(error))
    described = f"{image.mode} {image.size} ".encode() + image.tobytes()
    return _looks(_Row(row, size=image.size, digest=hashlib.blake2b(described, digest_size=DIGEST_SIZE).digest()), image)


def _looks(about: _Row, image: Image) -> _Row:
    return about._replace(look=look_of(image), numbers=numbers_of(image))


def _reason(error: ImageError | OSError) -> str:
    return error.title if isinstance(error, ImageError) else f"cannot be read ({error.strerror or error})"


def _write(into: Measures, found: list[_Row]) -> None:
    looked = [item for item in found if item.look is not None]
    if looked:
        rows, into_look = [item.row for item in looked], np.stack([item.look for item in looked if item.look is not None])
        into.look[rows], into.colour[rows] = into_look, colour_of(into_look)
    for item in found:
        row = item.row
        into.state[row] = UNREADABLE if item.reason else MEASURED
        into.file_size[row], into.modified[row] = item.file_size, item.modified
        into.width[row], into.height[row] = item.size
        into.digest[row] = np.frombuffer(item.digest, np.uint8)
        if item.numbers is not None:
            for name, value in item.numbers._asdict().items():
                getattr(into, name)[row] = value
        for notes, text in ((into.reasons, item.reason), (into.remarks, item.remark)):
            notes.pop(row, None)
            if text:
                notes[row] = text
