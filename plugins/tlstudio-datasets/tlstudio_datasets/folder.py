"""Class folders: one folder for each class, alone or inside train, val and test folders.

What is left out on the way (system files, other files, links that lead out, unreadable folders) is counted and said.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from tlstudio.api import NO_SPLIT, DataError, ImageSet, Options, is_ignored_name, is_image_name
from tlstudio_datasets.options import FolderOptions
from tlstudio_datasets.scan import Folder, Scan
from tlstudio_datasets.words import (
    check_classes,
    class_notes,
    counted,
    encodable,
    listed,
    natural_key,
    printable,
    split_of,
)

_HINT = "Put the images of each class into a folder of its own, named after the class, such as {root}/cat/1.jpg."
_MAX_WRAPPERS = 8


def open_folder(options: Options) -> ImageSet:
    """Read the table of images below a folder; no image is opened.

    Classes are in natural order (``2`` before ``10``), taken over all splits. Below a class folder every image counts,
    however deep. A folder that only wraps the real one is passed through.

    Raises:
        DataError: no such folder, no images, images outside class folders, or a single class.
    """
    assert isinstance(options, FolderOptions)
    if not options.path.is_dir():
        what = "is not a folder" if options.path.exists() else "does not exist"
        raise DataError(f"{printable(str(options.path))} {what}.", hint="Choose the folder that holds the class folders.")
    scan, layout = _lay_out(options.path)
    found: dict[tuple[int, str], list[str]] = {}
    for place in layout.places:
        found.setdefault((place.split, place.label), [])
    for label, split, keys in scan.images([(place.label, place.split, place.folder) for place in layout.places]):
        found[split, label].extend(keys)

    classes = tuple(sorted({label for (_, label), keys in found.items() if keys}, key=natural_key))
    empty = sorted({label for _, label in found} - set(classes), key=natural_key)
    _check(scan, layout, classes, empty)
    index = {name: number for number, name in enumerate(classes)}
    groups = sorted((split, index[label]) for (split, label), keys in found.items() if keys)
    rows = [(split, label, sorted(found[split, classes[label]])) for split, label in groups]
    labels = np.repeat(np.array([label for _, label, _ in rows], np.int32), [len(keys) for *_, keys in rows])
    splits = np.repeat(np.array([split for split, _, _ in rows], np.int8), [len(keys) for *_, keys in rows])
    has_splits = any(split != NO_SPLIT for split, _, _ in rows)
    return ImageSet(
        classes=classes,
        keys=tuple(key for *_, keys in rows for key in keys),
        labels=labels,
        splits=splits if has_splits else None,
        root=Path(scan.root),
        notes=(
            *layout.notes,
            *([f"Folders without images, left out as classes: {listed(empty)}."] if empty else []),
            *class_notes(classes, labels, splits if has_splits else None),
            *scan.notes(),
        ),
    )


def recognise_folder(path: Path) -> float:
    """How much a folder looks like class folders, from a first look at some of its entries.

    Any folder gets a little, so that one without usable images meets this plugin's explanation.
    """
    try:
        return _likeness(path, wrappers=0) if path.is_dir() else 0.0
    except (OSError, ValueError):
        return 0.0


@dataclass(frozen=True)
class _Place:
    """A class folder."""

    label: str
    split: int
    folder: Folder


@dataclass
class _Layout:
    """Where the class folders are, and what lies beside them."""

    places: list[_Place] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    loose: int = 0
    """Images at the top, in no folder."""


def _lay_out(path: Path) -> tuple[Scan, _Layout]:
    """Pass through folders that only wrap another, then find the class folders."""
    scan = Scan(os.path.abspath(path))
    wrappers: list[str] = []
    folders, loose = scan.top()
    while len(folders) == 1 and not loose and len(wrappers) < _MAX_WRAPPERS and not folders[0].link:
        inside, images = scan.peek(folders[0])
        if images or not inside or split_of(folders[0].name) is not None:
            break
        wrappers.append(folders[0].name)
        scan = Scan(os.path.join(scan.root, folders[0].name))
        folders, loose = scan.top()
    layout = _Layout(loose=loose)
    if wrappers:
        layout.notes.append(f"The class folders were taken from inside {printable('/'.join(wrappers))}.")
    splits = _split_folders(scan, folders)
    if splits:
        _lay_out_splits(scan, folders, splits, layout)
    else:
        layout.places = [_Place(encodable(folder.name), NO_SPLIT, folder) for folder in folders]
    if loose:
        layout.notes.append(f"{counted(loose, 'image lies', 'images lie')} in no class folder and {_is(loose)} left out.")
    return scan, layout


def _split_folders(scan: Scan, folders: list[Folder]) -> list[Folder]:
    """The train, val and test folders, if that is what they are: a class may well be called "train" too."""
    named = [folder for folder in folders if split_of(folder.name) is not None]
    holding = [folder for folder in named if scan.peek(folder)[0]]
    if len(named) == len(folders):
        return holding
    return holding if len({split_of(folder.name) for folder in holding}) > 1 else []


def _lay_out_splits(scan: Scan, folders: list[Folder], splits: list[Folder], layout: _Layout) -> None:
    for folder in splits:
        split = split_of(folder.name)
        assert split is not None
        inside, loose = scan.top(folder)
        layout.places += [_Place(encodable(child.name), split, child) for child in inside]
        if loose:
            images = counted(loose, "image lies", "images lie")
            layout.notes.append(f"{images} in {printable(folder.name)} itself, in no class folder, and {_is(loose)} left out.")
    beside = [folder.name for folder in folders if folder not in splits]
    if beside:
        layout.notes.append(f"Folders beside the splits, left out: {listed(beside)}.")


def _check(scan: Scan, layout: _Layout, classes: tuple[str, ...], empty: list[str]) -> None:
    root = printable(scan.root)
    hint = _HINT.format(root=root)
    said = "\n".join(layout.notes + scan.notes())
    if not classes and layout.loose:
        raise DataError(f"The images in {root} are not sorted into class folders.", said, hint)
    if not classes:
        raise DataError(f"There are no images in {root}.", said, hint)
    without = f"Folders without images: {listed(empty)}." if empty else ""
    check_classes(
        classes,
        root,
        detail="\n".join(part for part in (without, said) if part),
        hint="To tell classes apart, at least two are needed. " + hint,
    )


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _likeness(path: Path, *, wrappers: int) -> float:
    folders, images = _glance(path)
    if not folders:
        return 0.2 if images else 0.05
    inner = [(folder, *_glance(folder)) for folder in folders[:20]]
    if any(split_of(folder.name) is not None and inside for folder, inside, _ in inner):
        return 0.9
    holding = sum(1 for *_, held in inner if held)
    if holding:
        return 0.8 if holding > 1 else 0.5
    if len(folders) == 1 and wrappers < _MAX_WRAPPERS:
        return _likeness(folders[0], wrappers=wrappers + 1)
    return 0.3 if any(inside for _, inside, _ in inner) else 0.05


def _glance(path: Path) -> tuple[list[Path], int]:
    """Folders and number of images among the first entries; nothing where the folder cannot be read."""
    folders, images = [], 0
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, 500):
                if is_ignored_name(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif is_image_name(entry.name):
                    images += 1
    except OSError:
        return [], 0
    return folders, images
