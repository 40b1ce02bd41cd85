"""Names of classes, splits and files: how they are ordered, compared, shown, and what is said about them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api import SPLIT_NAMES, TEST, TRAIN, VAL, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "dev": VAL,
    "test": TEST,
    "testing": TEST,
}
_NUMBERS = re.compile("([0-9]{1,18})")
# Letters of other scripts that look like Latin ones, in small letters; the two lines correspond.
_LATIN = str.maketrans(
    "аеорсухіѕјһԁкмнтвαβεικνορτυχ",
    "aeopcyxisjhdkmhtbabeikvoptux",
)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """A sort key that puts ``2`` before ``10`` and does not tell capitals from small letters."""
    parts = _NUMBERS.split(name)
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(parts)], name


def split_of(word: str) -> int | None:
    """`TRAIN`, `VAL` or `TEST` for one of the usual words, in capitals or not; ``None`` for any other."""
    return _SPLITS.get(word.strip().casefold())


def printable(name: str) -> str:
    """A name as it can be shown and stored anywhere: control characters and undecodable bytes as escapes."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)


def encodable(name: str) -> str:
    """A name as valid Unicode: bytes that could not be decoded as escapes, the rest unchanged."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def listed(names: Iterable[str], limit: int = 10) -> str:
    """``a, b and 3 more``: names in one line, shown safely."""
    every = [printable(name) for name in names]
    if len(every) <= limit:
        return ", ".join(every)
    return f"{', '.join(every[:limit])} and {len(every) - limit} more"


def several(lines: Iterable[str], limit: int = 20) -> str:
    """Lines one under the other; how many more there are where they are too many."""
    every = list(lines)
    more = [f"and {len(every) - limit} more"] if len(every) > limit else []
    return "\n".join([*every[:limit], *more])


def counted(number: int, one: str, many: str) -> str:
    """``1 image``, ``1,234 images``."""
    return f"{number:,} {one if number == 1 else many}"


def check_classes(classes: Sequence[str], where: str, *, detail: str = "", hint: str = "") -> None:
    """Refuse data with fewer than two classes.

    Raises:
        DataError: it names the class that is there.
    """
    if len(classes) == 1:
        raise DataError(f"All images in {where} belong to one class, '{printable(classes[0])}'.", detail, hint)


def class_notes(classes: Sequence[str], labels: NDArray[np.int32], splits: NDArray[np.int8] | None) -> list[str]:
    """What a person should know of the classes before training: too few images, missing in a split, names that look alike."""
    notes = []
    single = _absent(classes, labels, wanted=1)
    if single:
        notes.append(f"Classes with a single image: {listed(single)}.")
    present = [] if splits is None else [split for split in (TRAIN, VAL, TEST) if np.any(splits == split)]
    for split in present:
        missing = _absent(classes, labels[splits == split], wanted=0)
        if missing:
            then = "it will not be learnt" if split == TRAIN else "nothing can be measured for it there"
            notes.append(f"Classes without an image in {SPLIT_NAMES[split]} ({then}): {listed(missing)}.")
    return notes + lookalike_notes(classes)


def lookalike_notes(classes: Iterable[str]) -> list[str]:
    """A sentence for each group of class names that a reader would take for one. Nothing is merged."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(_looks(name), []).append(name)
    return [
        f"Classes that look alike and are kept apart: {', '.join(repr(printable(name)) for name in names)}. "
        "Give them one name if they are meant to be one class."
        for names in groups.values()
        if len(names) > 1
    ]


def _absent(classes: Sequence[str], labels: NDArray[np.int32], *, wanted: int) -> list[str]:
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    return [name for name, count in zip(classes, counts, strict=True) if count == wanted]


def _looks(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().translate(_LATIN).split())
