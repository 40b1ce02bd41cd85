"""MNIST, Fashion-MNIST, KMNIST and EMNIST from their official files in a local folder, read into memory."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import SPLIT_NAMES, TEST, TRAIN, DataError, ImageSet, Options
from tlstudio_datasets.digits import DigitReader
from tlstudio_datasets.idx import read_idx
from tlstudio_datasets.options import MnistOptions
from tlstudio_datasets.words import class_notes, printable

_FOLDERS = ("", "raw", "gzip", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw")
_DIGITS = tuple(string.digits)
_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_NAMES = {"digits": _DIGITS, "fashion": _FASHION, "kuzushiji": _KUZUSHIJI}
# How the labels of the official training files begin.
_BEGINNINGS = {"digits": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "fashion": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5)}
_EVERY = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
# Small letters that EMNIST does not tell from their capitals.
_MERGED = tuple(name for name in _EVERY if name not in "cijklmopsuvwxyz")
_EMNIST = {
    "balanced": _MERGED,
    "byclass": _EVERY,
    "bymerge": _MERGED,
    "letters": tuple(string.ascii_uppercase),
    "digits": _DIGITS,
    "mnist": _DIGITS,
}
_HINT = "Choose the folder with train-images-idx3-ubyte and its three companions, packed (.gz) or not."


@dataclass(frozen=True)
class _Found:
    """Where files are: their folder, the EMNIST variant ("" for the others), images and labels by split."""

    folder: Path
    variant: str
    files: tuple[tuple[int, Path, Path], ...]


def open_mnist(options: Options) -> ImageSet:
    """Read the images into memory (47 MB for MNIST); the training and the test part become the splits.

    The pictures of EMNIST, which its files hold lying on their side, are put upright.

    Raises:
        DataError: the files are not there, damaged, or do not fit together.
    """
    assert isinstance(options, MnistOptions)
    found = _find(options.path, options.variant)
    if found is None:
        raise DataError(f"The files of MNIST are not in {printable(str(options.path))}.", hint=_HINT)
    pixels, labels = [], []
    for _, images_file, labels_file in found.files:
        pixels.append(read_idx(images_file, 3))
        labels.append(read_idx(labels_file, 1))
        if len(pixels[-1]) != len(labels[-1]) or pixels[-1].shape[1:] != pixels[0].shape[1:] or not pixels[0].size:
            names = f"{printable(images_file.name)} and {printable(labels_file.name)}"
            raise DataError(f"{names} do not fit together.", hint=_HINT)
    classes, notes = _classes(found, labels[0], options.names)
    # The letters of EMNIST are numbered from 1.
    first = int(found.variant == "letters")
    numbers = np.concatenate(labels).astype(np.int32) - first
    if numbers.min() < 0 or numbers.max() >= len(classes):
        raise DataError(f"The labels in {printable(str(found.folder))} are not those of {len(classes)} classes.", hint=_HINT)
    every = np.concatenate(pixels)
    splits = np.repeat(np.array([split for split, *_ in found.files], np.int8), [len(part) for part in labels])
    notes += [f"The file of {word} images is not there." for word in _missing(found)]
    return ImageSet(
        classes=classes,
        keys=tuple(
            f"{SPLIT_NAMES[split]}/{index:06d}"
            for (split, *_), part in zip(found.files, labels, strict=True)
            for index in range(len(part))
        ),
        labels=numbers,
        splits=splits,
        read=DigitReader(np.ascontiguousarray(every.transpose(0, 2, 1)) if found.variant else every),
        sources=tuple(str(file.absolute()) for _, *files in found.files for file in files),
        notes=(*notes, *class_notes(classes, numbers, splits)),
    )


def recognise_mnist(path: Path) -> float:
    """1 for the folder with the files, 0.97 for the one around it, else 0."""
    try:
        found = _find(path, "auto") if path.is_dir() else None
    except (OSError, ValueError):
        return 0.0
    if found is None:
        return 0.0
    return 1.0 if found.folder == path else 0.97


def _find(path: Path, variant: str) -> _Found | None:
    for name in _FOLDERS:
        folder = path / name
        if variant == "auto":
            files = _pairs(folder, ("train", "t10k"), "")
            if files:
                return _Found(folder, "", files)
        for known in _EMNIST if variant == "auto" else (variant,):
            files = _pairs(folder, ("train", "test"), f"emnist-{known}-")
            if files:
                return _Found(folder, known, files)
    return None


def _pairs(folder: Path, words: tuple[str, str], prefix: str) -> tuple[tuple[int, Path, Path], ...]:
    """Images and labels of each split whose two files are there."""
    pairs = []
    for split, word in zip((TRAIN, TEST), words, strict=True):
        images, labels = (_file(folder, f"{prefix}{word}-{kind}") for kind in ("images", "labels"))
        if images is not None and labels is not None:
            pairs.append((split, images, labels))
    return tuple(pairs)


def _file(folder: Path, name: str) -> Path | None:
    kind = "idx3" if name.endswith("images") else "idx1"
    spelt = (folder / f"{name}{sep}{kind}-ubyte{packed}" for sep in ("-", ".") for packed in ("", ".gz"))
    return next((file for file in spelt if file.is_file()), None)


def _missing(found: _Found) -> list[str]:
    there = {split for split, *_ in found.files}
    return [word for split, word in ((TRAIN, "training"), (TEST, "test")) if split not in there]


def _classes(found: _Found, labels: NDArray[np.uint8], names: str) -> tuple[tuple[str, ...], list[str]]:
    if found.variant:
        return _EMNIST[found.variant], []
    if names != "auto":
        return _NAMES[names], []
    parts: Sequence[str] = [part.lower() for part in found.folder.absolute().parts[-3:]]
    start = tuple(labels[:10].tolist())
    if any("fashion" in part for part in parts) or start == _BEGINNINGS["fashion"]:
        return _FASHION, []
    if any("kmnist" in part or "kuzushiji" in part for part in parts):
        return _KUZUSHIJI, []
    if start == _BEGINNINGS["digits"]:
        return _DIGITS, []
    return _DIGITS, [
        "Folder and files do not tell what the ten classes are; they keep their numbers. The option names says it."
    ]
