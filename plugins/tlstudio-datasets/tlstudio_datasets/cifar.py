"""CIFAR-10 and CIFAR-100 from the official files in a local folder: the python version (pickles) or the binary one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import SPLIT_NAMES, TEST, TRAIN, DataError, ImageSet, Options
from tlstudio_datasets.cifar_pickle import read_pickle, text
from tlstudio_datasets.options import Cifar10Options, Cifar100Options
from tlstudio_datasets.words import listed, printable

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_OFFICIAL_BATCHES = 5
_HINT = "Choose the official archive, or the folder that it unpacks to."


@dataclass(frozen=True, eq=False)
class RowReader:
    """Reads a row of a uint8 array ``(N, H, W, 3)`` as an image; it pickles."""

    pixels: NDArray[np.uint8]

    def __call__(self, index: int) -> Image:
        """The image of one row, RGB."""
        from PIL import Image

        return Image.fromarray(self.pixels[index])


def open_cifar10(options: Options) -> ImageSet:
    """Read CIFAR-10 into memory (184 MB); its training and its test part become the splits.

    Raises:
        DataError: the files are not there, damaged, or name what a file of CIFAR does not name.
    """
    assert isinstance(options, Cifar10Options)
    folder = _find(options.path, _is_cifar10, "CIFAR-10")
    python = (folder / "batches.meta").is_file()
    suffix = "" if python else ".bin"
    batches = sorted(folder.glob(f"data_batch_[0-9]*{suffix}"), key=lambda file: int(re.sub("[^0-9]", "", file.name)))
    if python:
        classes = tuple(text(name) for name in _field(folder / "batches.meta", "label_names"))
        parts = [_from_pickle(file, "labels", split) for file, split in _files(batches, folder / "test_batch")]
    else:
        classes = _lines(folder / "batches.meta.txt")
        parts = [_from_binary(file, 1, 0, split) for file, split in _files(batches, folder / "test_batch.bin")]
    notes = []
    if len(batches) < _OFFICIAL_BATCHES:
        notes.append(f"{len(batches)} of the {_OFFICIAL_BATCHES} files of training images are there.")
    return _image_set(classes, parts, notes)


def open_cifar100(options: Options) -> ImageSet:
    """Read CIFAR-100 into memory (184 MB); its training and its test part become the splits.

    Raises:
        DataError: as `open_cifar10`.
    """
    assert isinstance(options, Cifar100Options)
    folder = _find(options.path, _is_cifar100, "CIFAR-100")
    kind = options.labels
    if (folder / "meta").is_file():
        classes = tuple(text(name) for name in _field(folder / "meta", f"{kind}_label_names"))
        files = _files([folder / "train"], folder / "test")
        parts = [_from_pickle(file, f"{kind}_labels", split) for file, split in files]
    else:
        classes = _lines(folder / f"{kind}_label_names.txt")
        files = _files([folder / "train.bin"], folder / "test.bin")
        parts = [_from_binary(file, 2, 1 if kind == "fine" else 0, split) for file, split in files]
    return _image_set(classes, parts, [])


def recognise_cifar10(path: Path) -> float:
    """1 for the folder with the files, 0.9 for the folder around it, else 0."""
    return _sure(path, _is_cifar10)


def recognise_cifar100(path: Path) -> float:
    """1 for the folder with the files, 0.9 for the folder around it, else 0."""
    return _sure(path, _is_cifar100)


@dataclass(frozen=True)
class _Part:
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    split: int
    file: Path


def _is_cifar10(folder: Path) -> bool:
    python = (folder / "batches.meta").is_file() and (folder / "data_batch_1").is_file()
    return python or ((folder / "batches.meta.txt").is_file() and (folder / "data_batch_1.bin").is_file())


def _is_cifar100(folder: Path) -> bool:
    python = (folder / "meta").is_file() and (folder / "train").is_file()
    return python or ((folder / "fine_label_names.txt").is_file() and (folder / "train.bin").is_file())


def _sure(path: Path, matches: Callable[[Path], bool]) -> float:
    try:
        if matches(path):
            return 1.0
        return 0.9 if any(matches(folder) for folder in _inside(path)) else 0.0
    except (OSError, ValueError):
        return 0.0


def _inside(path: Path) -> list[Path]:
    """The folders that the official archives unpack to, as far as they are there."""
    names = ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-100-python", "cifar-100-binary")
    return [path / name for name in names if (path / name).is_dir()]


def _find(path: Path, matches: Callable[[Path], bool], title: str) -> Path:
    for folder in (path, *_inside(path)):
        if matches(folder):
            return folder
    raise DataError(f"The files of {title} are not in {printable(str(path))}.", hint=_HINT)


def _files(train: Sequence[Path], test: Path) -> list[tuple[Path, int]]:
    return [*((file, TRAIN) for file in train), *([(test, TEST)] if test.is_file() else [])]


def _field(file: Path, name: str) -> Any:
    data = read_pickle(file)
    if name not in data:
        raise DataError(f"{printable(file.name)} has no field '{name}'.", f"It has: {listed(data)}.", _HINT)
    return data[name]


def _from_pickle(file: Path, labels: str, split: int) -> _Part:
    data = read_pickle(file)
    if labels not in data or "data" not in data:
        raise DataError(f"{printable(file.name)} has no field '{labels}' or no field 'data'.", hint=_HINT)
    pixels, numbers = data["data"], data[labels]
    fits = isinstance(pixels, np.ndarray) and pixels.ndim == 2 and pixels.shape[1] == _PIXELS
    if not fits or not isinstance(numbers, list) or len(numbers) != len(pixels):
        raise DataError(f"{printable(file.name)} is damaged: its images and labels do not fit together.", hint=_HINT)
    if not all(type(number) is int and 0 <= number < 256 for number in numbers):
        raise DataError(f"{printable(file.name)} is damaged: a label is no class number.", hint=_HINT)
    return _Part(_upright(pixels), np.array(numbers, np.int32), split, file)


def _from_binary(file: Path, label_bytes: int, label: int, split: int) -> _Part:
    try:
        data = np.fromfile(file, np.uint8)
    except OSError as error:
        raise DataError(f"{printable(file.name)} cannot be read.", error.strerror or str(error)) from None
    record = label_bytes + _PIXELS
    if not len(data) or len(data) % record:
        raise DataError(
            f"{printable(file.name)} is damaged: {len(data):,} bytes are no whole number of images.",
            hint="Unpack the official archive again.",
        )
    rows = data.reshape(-1, record)
    return _Part(_upright(rows[:, label_bytes:]), rows[:, label].astype(np.int32), split, file)


def _upright(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From planes of red, green and blue, as the files have them, to rows of pixels ``(N, 32, 32, 3)``."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


def _lines(file: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{printable(file.name)} cannot be read.", str(error), _HINT) from None


def _image_set(classes: tuple[str, ...], parts: Sequence[_Part], notes: list[str]) -> ImageSet:
    for part in parts:
        if len(part.labels) and not 0 <= part.labels.min() <= part.labels.max() < len(classes):
            raise DataError(
                f"{printable(part.file.name)} is damaged: it has a label outside of the {len(classes)} classes.", hint=_HINT
            )
    if not any(part.split == TEST for part in parts):
        notes.append("The file of test images is not there.")
    keys: list[str] = []
    for split in (TRAIN, TEST):
        number = sum(len(part.labels) for part in parts if part.split == split)
        keys += [f"{SPLIT_NAMES[split]}/{index:05d}" for index in range(number)]
    return ImageSet(
        classes=classes,
        keys=tuple(keys),
        labels=np.concatenate([part.labels for part in parts]),
        splits=np.concatenate([np.full(len(part.labels), part.split, np.int8) for part in parts]),
        read=RowReader(np.concatenate([part.pixels for part in parts])),
        notes=tuple(notes),
    )
