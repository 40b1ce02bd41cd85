"""Data sets: what a plugin declares, and the columnar table of images it opens.

Knows numpy and the decoding contract of `tlstudio.api.images`; no torch, no Qt.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tlstudio.api.images import USUAL, Limits, crop, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

TRAIN, VAL, TEST, NO_SPLIT = 0, 1, 2, -1
SPLIT_NAMES = ("train", "val", "test")
SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}
"""The same for people."""
UNLABELLED = -1
_STEP = 65_536


class Options(BaseModel):
    """Base of the options that a data set or a freezing strategy takes; a field is a form field and a dotted key."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # plugins bring twenty, of which a run uses two


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A table of images: one row an image, columns as arrays, so that a million rows cost megabytes. It pickles.

    Args:
        classes: class names in label order; this order is the meaning of ``labels`` for ever.
        keys: stable and unique, usually the path below the root with forward slashes.
        labels: ``(N,)`` int32 index into ``classes``, `UNLABELLED` (-1) for none.
        splits: ``(N,)`` int8 of `TRAIN`, `VAL`, `TEST` or `NO_SPLIT`; ``None`` where the data have no splits of their own.
        groups: a group name for each row (patient, slide, camera), or ``None``.
        files: for each row the path below ``root`` of its file, where ``keys`` are not those paths themselves (several
            objects in one picture); ``None`` where they are.
        boxes: ``(N, 4)`` float32, the part of the upright picture that a row is: left, top, right, bottom in pixels. A row
            loads as that part. ``None`` for whole pictures.
        root: the folder that ``files`` (or ``keys``) are paths under; ``None`` for data that are no image files.
        read: for those: ``read(index) -> RGB image``; must pickle (a top-level callable object).
        sources: absolute paths of the files that labels were read from, such as a CSV file: a change of one changes the data.
        notes: plain sentences about what was found and left out, for the user.
        limits: which pictures to take; the host sets it to the user's wish.
    """

    classes: tuple[str, ...]
    keys: tuple[str, ...]
    labels: NDArray[np.int32]
    splits: NDArray[np.int8] | None = None
    groups: tuple[str, ...] | None = None
    files: tuple[str, ...] | None = None
    boxes: NDArray[np.float32] | None = None
    root: Path | None = None
    read: Callable[[int], Image] | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    limits: Limits = USUAL

    def __post_init__(self) -> None:
        """Check that the columns fit together; a plugin author sees a `ValueError` that says what does not."""
        n = len(self.keys)
        if self.labels.shape != (n,):
            raise ValueError(f"labels have shape {self.labels.shape}, but there are {n} keys")
        if self.splits is not None and self.splits.shape != (n,):
            raise ValueError(f"splits have shape {self.splits.shape}, but there are {n} keys")
        if self.groups is not None and len(self.groups) != n:
            raise ValueError(f"there are {len(self.groups)} groups, but {n} keys")
        if self.files is not None and len(self.files) != n:
            raise ValueError(f"there are {len(self.files)} files, but {n} keys")
        if self.boxes is not None and self.boxes.shape != (n, 4):
            raise ValueError(f"boxes have shape {self.boxes.shape}, but there are {n} keys")
        if n and not (int(self.labels.min()) >= UNLABELLED and int(self.labels.max()) < len(self.classes)):
            raise ValueError(f"labels run from {self.labels.min()} to {self.labels.max()} for {len(self.classes)} classes")
        if self.root is None and self.read is None:
            raise ValueError("an ImageSet needs a root folder or a read function")
        if not _all_different(self.keys):
            raise ValueError("keys are not unique")

    def __len__(self) -> int:
        """Number of images."""
        return len(self.keys)

    def relabelled(self, labels: NDArray[np.int32], classes: tuple[str, ...] | None = None) -> ImageSet:
        """The same images with other labels ``(N,)`` int32, and other class names if given; keys are not checked again.

        Raises:
            ValueError: the labels do not fit the keys or the classes.
        """
        classes = self.classes if classes is None else classes
        if labels.shape != self.labels.shape:
            raise ValueError(f"labels have shape {labels.shape}, but there are {len(self)} keys")
        if len(labels) and not (int(labels.min()) >= UNLABELLED and int(labels.max()) < len(classes)):
            raise ValueError(f"labels run from {labels.min()} to {labels.max()} for {len(classes)} classes")
        other = copy.copy(self)
        object.__setattr__(other, "labels", labels)
        object.__setattr__(other, "classes", classes)
        return other

    def path(self, index: int) -> Path | None:
        """The file of one image, or ``None`` where the data are no image files."""
        if self.root is None or self.read is not None:
            return None
        return Path(os.path.join(self.root, (self.files or self.keys)[index]))

    def load(self, index: int, *, draft: int | None = None) -> Image:
        """One image, 8-bit RGB, upright; see `tlstudio.api.images.decode` for ``draft``.

        Raises:
            ImageError: the file is missing, damaged or no image; or the row's box is not inside of it.
        """
        if self.read is not None:
            return self.read(index)
        path = self.path(index)
        assert path is not None
        if self.boxes is None:
            return decode(path, draft=draft, limits=self.limits)
        return crop(decode(path, limits=self.limits), self.boxes[index].tolist())


def _all_different(keys: tuple[str, ...]) -> bool:
    """Whether no key is there twice; in steps, since one step over a million would keep every other thread waiting."""
    seen: set[str] = set()
    for start in range(0, len(keys), _STEP):
        seen.update(keys[start : start + _STEP])
    return len(seen) == len(keys)


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What a plugin registers for a kind of data set.

    Args:
        name: unique within the plugin, lower case; users see ``plugin/name``.
        title: for people.
        about: one plain sentence: what it reads.
        options: a subclass of `Options`. A field named ``path`` (``Path``) receives what the user opened.
        open: ``open(options) -> ImageSet``; raises `DataError` for what cannot be used.
        recognise: ``recognise(path) -> 0..1``: how sure it is that this path is its own; cheap, never raises. ``None`` for data
            that come from no path.
    """

    name: str
    title: str
    about: str
    options: type[Options]
    open: Callable[[Options], ImageSet]
    recognise: Callable[[Path], float] | None = None
