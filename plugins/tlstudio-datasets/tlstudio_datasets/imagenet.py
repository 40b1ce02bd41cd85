"""ImageNet as ILSVRC gives it: synset folders (``n01440764``) in train and val, or validation images in one flat folder.

The layouts of the original archives, of Kaggle and of Tiny ImageNet; subsets such as Imagenette too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tlstudio.api import NO_SPLIT, TRAIN, VAL, DataError, ImageSet, Options, is_image_name
from tlstudio_datasets.imagenet_names import HINT, SYNSET, names_of, validation_labels
from tlstudio_datasets.inside import Files, glance, layers
from tlstudio_datasets.options import ImageNetOptions
from tlstudio_datasets.scan import Folder, Job, Scan
from tlstudio_datasets.words import check_classes, class_notes, counted, listed, printable

_BASES = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "ILSVRC2012")
_TRAIN = ("train", "ILSVRC2012_img_train")
_VAL = ("val", "ILSVRC2012_img_val", "validation")
_GLANCE = 100
_MANY = 0.8
_LAYOUT = "It holds the folders train and val, and in them one folder for each synset, such as train/n01440764."


def open_imagenet(options: Options) -> ImageSet:
    """Read the table of images; no image is opened.

    Classes are in the order of their synset ids, as everyone's 1000 outputs are. They are called by the first readable name
    where a file with names is beside the folders, else by the id.

    Raises:
        DataError: no such folders, a damaged file of labels, or fewer than two classes.
    """
    assert isinstance(options, ImageNetOptions)
    root, base = _find(Path(os.path.abspath(options.path)))
    if base is None:
        raise DataError(f"There are no synset folders in {printable(str(root))}.", hint=_LAYOUT)
    scan, found = Scan(str(root)), _Found()
    for folder, split in _splits(root, base):
        _look(scan, folder, split, found)
    for synset, split, keys in scan.images(found.jobs):
        found.keys += keys
        found.synsets += [synset] * len(keys)
        found.splits += [split] * len(keys)
    _add_flat(root, base, found)
    return _image_set(root, base, found, scan)


def recognise_imagenet(path: Path) -> float:
    """Nearly sure of a folder whose train or val folder, or which itself, has mostly folders named after synsets."""
    try:
        path, base = _find(path)
    except (OSError, ValueError):
        return 0.0
    if base is None:
        return 0.0
    return 0.96 if _splits(path, base)[0][1] != NO_SPLIT else 0.92


@dataclass
class _Found:
    """Rows, class folders still to be read, and images that lie in a val folder itself."""

    keys: list[str] = field(default_factory=list)
    synsets: list[str] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    flat: list[str] = field(default_factory=list)
    sources: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _find(path: Path) -> tuple[Path, str | None]:
    """The folder of the data set, be it inside of one that only wraps it, and where train and val lie in it."""
    found = ((root, _base(root)) for root in layers(path)) if path.is_dir() else iter(())
    return next((pair for pair in found if pair[1] is not None), (path, None))


def _base(root: Path) -> str | None:
    """Where train and val lie below the root; ``None`` where nothing there is named after synsets."""
    for base in _BASES:
        for name in (*_TRAIN, *_VAL, ""):
            if _has_synsets(root / base / name):
                return base
    return None


def _has_synsets(folder: Path) -> bool:
    names = [entry.name for entry in glance(folder, _GLANCE) if entry.is_dir()]
    return bool(names) and sum(SYNSET.fullmatch(name) is not None for name in names) >= _MANY * len(names)


def _splits(root: Path, base: str) -> list[tuple[str, int]]:
    """The folders of the splits, as keys; the base itself where it has the synset folders."""
    prefix = f"{base}/" if base else ""
    pairs = (*((name, TRAIN) for name in _TRAIN), *((name, VAL) for name in _VAL))
    found = [(prefix + name, split) for name, split in pairs if (root / base / name).is_dir()]
    return found or [(base, NO_SPLIT)]


def _look(scan: Scan, key: str, split: int, found: _Found) -> None:
    """Collect the synset folders of a split; what else lies there is said."""
    real = os.path.realpath(os.path.join(scan.root, key))
    if not os.path.join(real, "").startswith(os.path.join(os.path.realpath(scan.root), "")):
        found.notes.append(f"The folder {printable(key)} is a link that leads out, not followed.")
        return
    folders, loose = scan.top(Folder(os.path.basename(key), key, real))
    synsets = [folder for folder in folders if SYNSET.fullmatch(folder.name)]
    others = [folder.name for folder in folders if folder not in synsets]
    found.jobs += [(folder.name, split, folder) for folder in synsets]
    if split == VAL and (loose or "images" in others):
        found.flat += [key, f"{key}/images"]
    elif loose:
        found.notes.append(f"{counted(loose, 'image lies', 'images lie')} in {printable(key)} itself, left out.")
    others = [name for name in others if not (split == VAL and name == "images")]
    if others:
        found.notes.append(f"Folders in {printable(key) or 'the folder'} that are no synsets, left out: {listed(others)}.")


def _add_flat(root: Path, base: str, found: _Found) -> None:
    """Add the validation images that lie in no class folder, with the labels that a file of ImageNet says."""
    files = Files(root)
    keys = [f"{folder}/{name}" for folder in found.flat for name in sorted(files.names(folder)) if is_image_name(name)]
    if not keys:
        return
    labels, sources, reason = validation_labels([*_near(root, base), *(root / folder for folder in found.flat)], found.synsets)
    known = [(key, labels[stem]) for key in keys if (stem := os.path.splitext(os.path.basename(key))[0]) in labels]
    unknown = len(keys) - len(known)
    if unknown:
        images = counted(unknown, "validation image", "validation images")
        found.notes.append(f"{images} left out: {reason or 'the file of labels does not name them'}. {HINT}")
    found.keys += [key for key, _ in known]
    found.synsets += [synset for _, synset in known]
    found.splits += [VAL] * len(known)
    found.sources += sources


def _near(root: Path, base: str) -> list[Path]:
    """Folders in which the small files of ImageNet may lie."""
    kit = ("ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "ILSVRC/ImageSets/CLS-LOC")
    return [root, root / base, *(root / name for name in kit)]


def _image_set(root: Path, base: str, found: _Found, scan: Scan) -> ImageSet:
    synsets = sorted(set(found.synsets))
    names, file = names_of(synsets, _near(root, base))
    said = "\n".join((*found.notes, *scan.notes()))
    if not synsets:
        raise DataError(f"There are no images in the synset folders of {printable(str(root))}.", said, _LAYOUT)
    check_classes([names[synset] for synset in synsets], printable(str(root)), detail=said, hint=_LAYOUT)
    order = _order(found)
    number = {synset: place for place, synset in enumerate(synsets)}
    labels = np.array([number[found.synsets[place]] for place in order], np.int32)
    splits = np.array([found.splits[place] for place in order], np.int8)
    column = splits if np.any(splits != NO_SPLIT) else None
    classes = tuple(names[synset] for synset in synsets)
    if file is None:
        found.notes.append("There is no file with readable names (LOC_synset_mapping.txt or synset_words.txt); ids are shown.")
    return ImageSet(
        classes=classes,
        keys=tuple(found.keys[place] for place in order),
        labels=labels,
        splits=column,
        root=root,
        sources=tuple(str(source) for source in (*found.sources, *([file] if file else []))),
        notes=(*found.notes, *class_notes(classes, labels, column), *scan.notes()),
    )


def _order(found: _Found) -> Sequence[int]:
    """Places of the rows by split, synset and key."""
    return sorted(range(len(found.keys)), key=lambda place: (found.splits[place], found.synsets[place], found.keys[place]))
