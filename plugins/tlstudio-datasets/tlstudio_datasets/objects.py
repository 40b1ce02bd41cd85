"""Objects in pictures as rows: each labelled box of COCO, Pascal VOC or YOLO is an image of its own, cut out when loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import NO_SPLIT, DataError, ImageError, ImageSet
from tlstudio_datasets.words import check_classes, class_notes, counted, listed, natural_key, printable

_HINT = "Check that the pictures are where the label files say, and that each object has a class and a box."
_UNKNOWN = (np.nan, np.nan)
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")  # those that tlstudio decodes
_TURNED = {5, 6, 7, 8}  # EXIF orientations that swap width and height
Box = tuple[float, float, float, float]


class Objects:
    """Rows as label files are read. What cannot be used is left out, counted and said."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._files: list[str] = []
        self._labels: list[int] = []
        self._splits: list[int] = []
        self._boxes: list[Box] = []
        self._sizes: list[tuple[float, float]] = []
        self._left_out: dict[str, list[str]] = {}

    def add(
        self, key: str, file: str, label: int, box: Box, split: int = NO_SPLIT, size: tuple[float, float] | None = None
    ) -> None:
        """One object: left, top, right and bottom in pixels of a picture of ``size`` (width, height), if that is known."""
        self._keys.append(key)
        self._files.append(file)
        self._labels.append(label)
        self._boxes.append(box)
        self._splits.append(split)
        self._sizes.append(size or _UNKNOWN)

    def leave_out(self, reason: str, where: str) -> None:
        """Remember what is not used: ``reason`` completes the sentence "Left out, ...", ``where`` finds it again."""
        self._left_out.setdefault(reason, []).append(where)

    def image_set(
        self,
        classes: Sequence[str],
        *,
        root: Path,
        sources: Iterable[Path],
        notes: Iterable[str],
        name: str,
        smallest: int,
        natural: bool = False,
    ) -> ImageSet:
        """The columns, without objects that are no usable box and without classes that no object has.

        ``natural`` puts the classes in natural order of their names; else they keep the order that they are given in.

        Raises:
            DataError: nothing is left, or objects of one class only.
        """
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        kept = np.flatnonzero(self._usable(boxes, smallest))
        labels = np.array(self._labels, np.int32)[kept]
        used = np.unique(labels).tolist()
        unused = sorted(set(range(len(classes))) - set(used))
        if natural:
            used.sort(key=lambda number: natural_key(classes[number]))
        said = [*notes, *self._sentences()]
        if not len(kept):
            raise DataError(f"There are no labelled objects in {printable(name)} that can be used.", "\n".join(said), _HINT)
        if unused:
            said.append(f"Classes without an object, left out as classes: {listed(classes[number] for number in unused)}.")
        names = tuple(classes[number] for number in used)
        check_classes(names, printable(name), detail="\n".join(said), hint="To tell classes apart, at least two are needed.")
        splits = np.array(self._splits, np.int8)[kept]
        column = splits if np.any(splits != NO_SPLIT) else None
        files = tuple(self._files[place] for place in kept.tolist())
        place_of = np.full(len(classes), -1, np.int32)
        place_of[used] = np.arange(len(used))
        labels = place_of[labels]
        return ImageSet(
            classes=names,
            keys=tuple(self._keys[place] for place in kept.tolist()),
            labels=labels,
            splits=column,
            groups=files,  # objects of one picture must not fall into different splits
            files=files,
            boxes=boxes[kept].astype(np.float32),
            root=root,
            sources=tuple(str(source) for source in sources),
            notes=(
                f"{counted(len(kept), 'object', 'objects')} in {counted(len(set(files)), 'picture', 'pictures')}; "
                "each is cut out as an image of its own.",
                *said,
                *class_notes(names, labels, column),
            ),
        )

    def _usable(self, boxes: NDArray[np.float64], smallest: int) -> NDArray[np.bool_]:
        """Which rows to keep; the others are remembered with their reason."""
        left, top, right, bottom = boxes.T
        width, height = np.array(self._sizes, np.float64).reshape(-1, 2).T
        with np.errstate(invalid="ignore", over="ignore"):
            faults = {
                "their boxes have no size": ~(np.isfinite(boxes).all(axis=1) & (right > left) & (bottom > top))
                | (np.abs(boxes) > 1e9).any(axis=1),
                "their boxes lie outside of the picture": (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height),
                f"smaller than {smallest} pixels": np.minimum(right - left, bottom - top) < smallest if smallest > 1 else None,
            }
        keep = np.ones(len(boxes), bool)
        for reason, wrong in faults.items():
            if wrong is not None:
                self._drop(reason, np.flatnonzero(keep & wrong), keep)
        repeated, disputed = self._doubles(keep)
        self._drop("said twice", np.array(repeated, int), keep)
        self._drop("one box has two different labels", np.array(disputed, int), keep)
        return keep

    def _drop(self, reason: str, places: NDArray[np.int_], keep: NDArray[np.bool_]) -> None:
        keep[places] = False
        for place in places.tolist():
            self.leave_out(reason, self._keys[place])

    def _doubles(self, keep: NDArray[np.bool_]) -> tuple[list[int], list[int]]:
        """Rows that repeat another one or its key, and all rows of a box that has two labels."""
        first: dict[tuple[str, Box], int] = {}
        keys: set[str] = set()
        repeated, disputed = [], set()
        for place in np.flatnonzero(keep).tolist():
            earlier = first.setdefault((self._files[place], self._boxes[place]), place)
            if self._labels[earlier] != self._labels[place]:
                disputed |= {earlier, place}
            elif earlier != place or self._keys[place] in keys:
                repeated.append(place)
            keys.add(self._keys[place])
        return repeated, sorted(disputed)

    def _sentences(self) -> list[str]:
        return [
            f"{counted(len(places), 'object', 'objects')} left out, {reason}: {listed(places)}."
            for reason, places in self._left_out.items()
        ]


def upright_size(file: Path) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header.

    Raises:
        ImageError: it is no image, or is not there.
    """
    from PIL import ExifTags, Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_FORMATS) as image:
                width, height = image.size
                # A PNG without this field would be decoded whole to look for it behind the pixels.
                exif = image.getexif() if image.format != "PNG" or "exif" in image.info else {}
                turned = exif.get(ExifTags.Base.Orientation) in _TURNED
    except Exception as error:
        raise ImageError("not an image") from error
    return (height, width) if turned else (width, height)
