"""Which of torchvision's data sets can be read from local files, where their files lie and which splits they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlstudio.api import NO_SPLIT, TEST, TRAIN, VAL


@dataclass(frozen=True, kw_only=True)
class Known:
    """A data set of torchvision.

    Args:
        place: a file or folder below the root that tells that it is there.
        splits: arguments that choose a split of it, and what that split is here.
        labels: patterns below the root of the files that its labels come from.
        classes: class names, where torchvision has none.
        needs: a package that it cannot be read without.
        own: whether the files are so much its own that they are recognised.
    """

    place: str
    splits: tuple[tuple[Mapping[str, Any], int], ...]
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    needs: str = ""
    own: bool = field(default=True)


def _named(**splits: int) -> tuple[tuple[Mapping[str, Any], int], ...]:
    return tuple(({"split": name}, split) for name, split in splits.items())


_THREE = _named(train=TRAIN, val=VAL, test=TEST)
_TWO = _named(train=TRAIN, test=TEST)
_WHOLE: tuple[tuple[Mapping[str, Any], int], ...] = (({}, NO_SPLIT),)
_HALVES: tuple[tuple[Mapping[str, Any], int], ...] = (({"train": True}, TRAIN), ({"train": False}, TEST))
_DIGITS = tuple("0123456789")

KNOWN: Mapping[str, Known] = {
    "Caltech101": Known(place="caltech101/101_ObjectCategories", splits=_WHOLE),
    "Caltech256": Known(place="caltech256/256_ObjectCategories", splits=_WHOLE),
    "Country211": Known(place="country211/train", splits=_named(train=TRAIN, valid=VAL, test=TEST)),
    "DTD": Known(place="dtd/dtd/labels", splits=_THREE, labels=("dtd/dtd/labels/*.txt",)),
    "EuroSAT": Known(place="eurosat/2750", splits=_WHOLE),
    "FGVCAircraft": Known(place="fgvc-aircraft-2013b/data", splits=_THREE, labels=("fgvc-aircraft-2013b/data/*.txt",)),
    "FashionMNIST": Known(place="FashionMNIST/raw", splits=_HALVES, labels=("FashionMNIST/raw/*-ubyte",), own=False),
    "Flowers102": Known(place="flowers-102/jpg", splits=_THREE, labels=("flowers-102/*.mat",), needs="scipy"),
    "Food101": Known(place="food-101/meta", splits=_TWO, labels=("food-101/meta/*.json",)),
    "GTSRB": Known(place="gtsrb/GTSRB", splits=_TWO, labels=("gtsrb/*.csv",)),
    "Imagenette": Known(place="imagenette2", splits=_named(train=TRAIN, val=VAL)),
    "KMNIST": Known(place="KMNIST/raw", splits=_HALVES, labels=("KMNIST/raw/*-ubyte",), own=False),
    "MNIST": Known(place="MNIST/raw", splits=_HALVES, labels=("MNIST/raw/*-ubyte",), own=False),
    "OxfordIIITPet": Known(
        place="oxford-iiit-pet/annotations",
        splits=_named(trainval=TRAIN, test=TEST),
        labels=("oxford-iiit-pet/annotations/*.txt",),
    ),
    "PCAM": Known(
        place="pcam/camelyonpatch_level_2_split_train_x.h5",
        splits=_THREE,
        labels=("pcam/*_y.h5",),
        classes=("normal", "tumour"),
        needs="h5py",
    ),
    "RenderedSST2": Known(place="rendered-sst2", splits=_THREE),
    "STL10": Known(place="stl10_binary", splits=_TWO, labels=("stl10_binary/*_y.bin",)),
    "SUN397": Known(place="SUN397/ClassName.txt", splits=_WHOLE, labels=("SUN397/ClassName.txt",)),
    "SVHN": Known(place="train_32x32.mat", splits=_TWO, labels=("*_32x32.mat",), classes=_DIGITS, needs="scipy"),
    "StanfordCars": Known(
        place="stanford_cars/devkit", splits=_TWO, labels=("stanford_cars/*.mat", "stanford_cars/devkit/*.mat"), needs="scipy"
    ),
    "USPS": Known(place="usps.bz2", splits=_HALVES, labels=("usps*.bz2",), classes=_DIGITS),
}

_IMAGENETTE = {"imagenette2": "full", "imagenette2-320": "320px", "imagenette2-160": "160px"}


def root_of(path: Path, name: str) -> Path | None:
    """The root in torchvision's sense, if the data set is at ``path`` or ``path`` is its own folder; ``None`` else."""
    for place in _IMAGENETTE if name == "Imagenette" else (KNOWN[name].place,):
        first = place.partition("/")[0]
        for root in (path, path.parent) if path.name == first else (path,):
            if (root / place).exists():
                return root
    return None


def arguments(root: Path, name: str, level: str, partition: int) -> dict[str, Any]:
    """Arguments beside root and split."""
    if name == "Imagenette":
        return {"size": next(size for folder, size in _IMAGENETTE.items() if (root / folder).exists())}
    more: dict[str, dict[str, Any]] = {"FGVCAircraft": {"annotation_level": level}, "DTD": {"partition": partition}}
    return more.get(name, {})
