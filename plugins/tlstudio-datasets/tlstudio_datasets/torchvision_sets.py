"""torchvision's own data sets from local files. Nothing is downloaded; torchvision reads the labels, not the images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio.api import NO_SPLIT, SPLIT_NAMES, DataError, ImageSet, Options
from tlstudio_datasets.cifar import RowReader
from tlstudio_datasets.digits import DigitReader
from tlstudio_datasets.inside import Files, key_below, layers
from tlstudio_datasets.options import TorchvisionOptions
from tlstudio_datasets.torchvision_known import KNOWN, Known, arguments, root_of
from tlstudio_datasets.torchvision_read import Content, H5Reader, PixmapReader, content, pcam_file
from tlstudio_datasets.words import check_classes, class_notes, counted, listed, printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HINT = "Unpack the official files so that they lie as torchvision puts them when it downloads them; the help shows where."
_PIXMAPS = (".ppm", ".pgm")
_Split = tuple[int, Content, Any]


def open_torchvision(options: Options) -> ImageSet:
    """Let torchvision read the labels of each split. Images are decoded as everywhere in this program, when they are needed.

    Raises:
        DataError: the data set is not there, a package is missing, no split can be read, or there is a single class.
    """
    assert isinstance(options, TorchvisionOptions)
    path = Path(os.path.abspath(options.path))
    name, root = _which(path, options.dataset)
    known = KNOWN[name]
    splits, notes = _splits(name, known, root, arguments(root, name, options.level, options.partition))
    table = _Rows(name, known, splits)
    sources = sorted(str(file) for pattern in known.labels for file in root.glob(pattern))
    if splits[0][1].paths is None:
        return table.from_arrays(notes, sources)
    return table.from_files(root, notes, sources)


def recognise_torchvision(path: Path) -> float:
    """Nearly sure where the files of a data set lie as torchvision wants them."""
    try:
        found = path.is_dir() and any(KNOWN[name].own for name, _ in _found(path, list(KNOWN)))
    except (OSError, ValueError):
        return 0.0
    return 0.97 if found else 0.0


def _which(path: Path, wanted: str) -> tuple[str, Path]:
    names = list(KNOWN) if wanted == "auto" else [wanted]
    found = _found(path, names) if path.is_dir() else []
    if not found:
        title = "A data set of torchvision" if wanted == "auto" else wanted
        places = "" if wanted == "auto" else f"{printable(str(path / KNOWN[wanted].place))} does not exist."
        raise DataError(f"{title} is not in {printable(str(path))}.", places, _HINT)
    if len(found) > 1:
        raise DataError(
            f"There are several data sets in {printable(str(path))}.",
            listed(name for name, _ in found),
            f"The option dataset chooses one, such as dataset={found[0][0]}.",
        )
    return found[0]


def _found(path: Path, names: Sequence[str]) -> list[tuple[str, Path]]:
    """Data sets and their roots, be they inside of a folder that only wraps them."""
    every = ([(name, root) for name in names if (root := root_of(folder, name)) is not None] for folder in layers(path))
    return next((found for found in every if found), [])


def _splits(name: str, known: Known, root: Path, more: dict[str, Any]) -> tuple[list[_Split], list[str]]:
    """The splits that torchvision can read, and what is said of the others."""
    import torchvision.datasets

    make: Callable[..., Any] | None = getattr(torchvision.datasets, name, None)
    if make is None:
        raise DataError(f"The installed version of torchvision has no data set {name}.", hint="Update torchvision.")
    splits: list[_Split] = []
    reasons: list[str] = []
    for chosen, split in known.splits:
        word = SPLIT_NAMES[split] if split != NO_SPLIT else "whole"
        try:
            dataset = make(str(root), **chosen, **more)
            splits.append((split, content(dataset), dataset))
        except Exception as error:  # noqa: BLE001 - whatever its many readers raise for files that are missing or damaged
            reasons.append(f"The {word} part cannot be read: {_reason(error, known)}.")
    if not splits:
        raise DataError(f"torchvision cannot read {name} in {printable(str(root))}.", "\n".join(reasons), _HINT)
    return splits, reasons


def _reason(error: Exception, known: Known) -> str:
    text = printable(str(error).partition("\n")[0])[:200].rstrip(".")
    if known.needs and (isinstance(error, ImportError) or "not found. This" in text):
        return f"the package {known.needs} is missing (pip install {known.needs})"
    # torchvision speaks of its own switch for downloads, which this program never uses.
    text = text.partition(" You can use download")[0].rstrip(".")
    return f"{text or type(error).__name__}"


class _Rows:
    """Brings the splits of one data set together: classes by name, keys, columns."""

    def __init__(self, name: str, known: Known, splits: Sequence[_Split]) -> None:
        self._name = name
        self._splits = splits
        names: dict[str, None] = {}
        self._labels: list[list[str]] = []
        for _, part, _ in splits:
            own = part.classes or known.classes
            called = {number: own[number] if 0 <= number < len(own) else str(number) for number in set(part.labels)}
            names.update(dict.fromkeys(own or (called[number] for number in sorted(called))))
            names.update(dict.fromkeys(called.values()))
            self._labels.append([called[number] for number in part.labels])
        self._numbers = {name: number for number, name in enumerate(names)}

    def from_files(self, root: Path, notes: Sequence[str], sources: Sequence[str]) -> ImageSet:
        """Rows that are files below the root; those that are not there are left out and counted."""
        files = Files(root)
        real = os.path.join(root, "")
        rows: dict[str, tuple[int, str, int]] = {}
        missing, outside = [], []
        for (split, part, _), labels in zip(self._splits, self._labels, strict=True):
            for path, label in zip(part.paths or (), labels, strict=True):
                key = key_below(os.path.relpath(path, real))
                there = None if key is None else files.has(key)
                if key is None or there is None:
                    outside.append(path)
                elif there:
                    rows.setdefault(key, (split, key, self._numbers[label]))
                else:
                    missing.append(key)
        if outside:
            raise DataError(f"{self._name} names files outside of its folder.", listed(outside), "Nothing was read.")
        if missing:
            notes = [*notes, f"{counted(len(missing), 'image is', 'images are')} not there, left out: {listed(missing)}."]
        ordered = sorted(rows.values())
        keys = tuple(key for _, key, _ in ordered)
        pixmaps = any(key.lower().endswith(_PIXMAPS) for key in keys)
        return self._image_set(
            keys,
            [number for *_, number in ordered],
            [split for split, *_ in ordered],
            notes,
            root=root,
            read=PixmapReader(root, keys) if pixmaps else None,
            sources=tuple(sources),
        )

    def from_arrays(self, notes: Sequence[str], sources: Sequence[str]) -> ImageSet:
        """Rows of arrays in memory, or of HDF5 files."""
        keys = [
            f"{SPLIT_NAMES[split] if split != NO_SPLIT else 'all'}/{index:06d}"
            for split, part, _ in self._splits
            for index in range(len(part.labels))
        ]
        arrays: list[NDArray[np.uint8]] = [part.pixels for _, part, _ in self._splits if part.pixels is not None]
        read: Callable[[int], Any]
        if arrays:
            pixels = np.concatenate(arrays)
            read = RowReader(pixels) if pixels.ndim == 4 else DigitReader(pixels)
        else:
            counts = tuple(len(part.labels) for _, part, _ in self._splits)
            read = H5Reader(tuple(pcam_file(dataset) for *_, dataset in self._splits), counts)
        numbers = [self._numbers[label] for labels in self._labels for label in labels]
        splits = [split for split, part, _ in self._splits for _ in part.labels]
        return self._image_set(tuple(keys), numbers, splits, notes, read=read, sources=tuple(sources))

    def _image_set(
        self, keys: tuple[str, ...], numbers: list[int], splits: list[int], notes: Sequence[str], **more: Any
    ) -> ImageSet:
        if not keys:
            raise DataError(f"None of the images of {self._name} is there.", "\n".join(notes), _HINT)
        used = sorted(set(numbers))
        place_of = {number: place for place, number in enumerate(used)}
        names = list(self._numbers)
        classes = tuple(names[number] for number in used)
        check_classes(classes, self._name, detail="\n".join(notes), hint="To tell classes apart, at least two are needed.")
        labels = np.array([place_of[number] for number in numbers], np.int32)
        column = np.array(splits, np.int8) if any(split != NO_SPLIT for split in splits) else None
        return ImageSet(
            classes=classes,
            keys=keys,
            labels=labels,
            splits=column,
            notes=(*notes, *class_notes(classes, labels, column)),
            **more,
        )
