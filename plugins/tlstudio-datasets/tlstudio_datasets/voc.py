"""Objects from Pascal VOC: ``Annotations/*.xml`` beside ``JPEGImages``, splits in ``ImageSets/Main``; or XML beside images.

Each object becomes an image of its own, cut out of its picture. Files that cannot be used are listed by name and left out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tlstudio.api import NO_SPLIT, TEST, TRAIN, VAL, DataError, ImageSet, Options, is_image_name
from tlstudio_datasets.inside import Files, glance, key_below, layers
from tlstudio_datasets.objects import Objects
from tlstudio_datasets.options import VocOptions
from tlstudio_datasets.voc_xml import Annotation, AnnotationError, read_annotation
from tlstudio_datasets.words import counted, listed, natural_key, printable, split_of

_PICTURES = ("JPEGImages", "images", "Images", "imgs", "")
_HINT = "Choose the folder that holds the folders Annotations and JPEGImages, such as VOCdevkit/VOC2012."


def open_voc(options: Options) -> ImageSet:
    """Read all annotation files; no picture is opened.

    Raises:
        DataError: no annotations, none that can be used, or objects of one class only.
    """
    assert isinstance(options, VocOptions)
    root = Path(os.path.abspath(options.path))
    root, parts = _find(root)
    if not parts:
        raise DataError(f"There are no annotations of Pascal VOC in {printable(str(root))}.", hint=_HINT)
    reader = _Reader(root, use_difficult=options.difficult)
    for part in parts:
        reader.read(part)
    return reader.image_set(options.smallest)


def recognise_voc(path: Path) -> float:
    """Nearly sure of a folder with Annotations and JPEGImages, and of one with XML files beside its images."""
    try:
        return 0.97 if _find(path)[1] else 0.0
    except (OSError, ValueError):
        return 0.0


@dataclass(frozen=True)
class _Part:
    """Where annotations and pictures lie below the root; ``lists`` is the folder that says the splits, if there is one."""

    annotations: str
    pictures: str
    split: int = NO_SPLIT
    lists: str | None = None


def _find(path: Path) -> tuple[Path, list[_Part]]:
    """The folder with the parts, be it inside of one that only wraps it."""
    found = ((root, _parts(root)) for root in layers(path)) if path.is_dir() else iter(())
    return next((pair for pair in found if pair[1]), (path, []))


def _parts(root: Path) -> list[_Part]:
    """The folder itself; else the years inside of VOCdevkit; else train, val and test folders."""
    own = _part(root, "")
    if own is not None:
        return [own]
    names = _folders(root)
    for prefix, inner in (("", names), ("VOCdevkit/", _folders(root / "VOCdevkit"))):
        years = [part for name in inner if name.startswith("VOC") and (part := _part(root, prefix + name)) is not None]
        if years:
            return years
    splits = ((name, split) for name in names if (split := split_of(name)) is not None)
    return [part for name, split in splits if (part := _part(root, name, split)) is not None]


def _folders(path: Path) -> list[str]:
    return sorted((entry.name for entry in glance(path) if entry.is_dir()), key=natural_key)


def _part(root: Path, below: str, split: int = NO_SPLIT) -> _Part | None:
    prefix = f"{below}/" if below else ""
    annotations = prefix + "Annotations" if (root / below / "Annotations").is_dir() else below
    beside = annotations == below
    if not _has_xml(root / annotations, with_images=beside):
        return None
    pictures = below if beside else next(prefix + name for name in _PICTURES if (root / below / name).is_dir())
    lists = f"{prefix}ImageSets/Main"
    return _Part(annotations, pictures.rstrip("/"), split, lists if (root / lists).is_dir() else None)


def _has_xml(folder: Path, *, with_images: bool) -> bool:
    names = [entry.name for entry in glance(folder)]
    has_xml = any(name.lower().endswith(".xml") for name in names)
    return has_xml and (not with_images or any(is_image_name(name) for name in names))


class _Reader:
    """Goes through the annotations of a data set, part by part."""

    def __init__(self, root: Path, *, use_difficult: bool) -> None:
        self._root = root
        self._files = Files(root)
        self._use_difficult = use_difficult
        self._objects = Objects()
        self._classes: dict[str, int] = {}
        self._sources: list[Path] = []
        self._notes: list[str] = []
        self._broken: list[str] = []
        self._missing: list[str] = []
        self._bare = 0

    def read(self, part: _Part) -> None:
        """All annotation files of one part."""
        splits = self._splits(part)
        names = self._files.names(part.annotations)
        pictures = {os.path.splitext(name)[0]: name for name in sorted(self._files.names(part.pictures)) if is_image_name(name)}
        unlisted = 0
        for name in sorted((name for name in names if name.lower().endswith(".xml")), key=natural_key):
            key = os.path.join(part.annotations, name)
            file = self._root / key
            stem = os.path.splitext(name)[0]
            self._sources.append(file)
            try:
                annotation = read_annotation(file)
            except AnnotationError as error:
                self._broken.append(f"{printable(name)} ({error})")
                continue
            picture = self._picture(annotation, part, pictures.get(stem))
            if picture is None:
                self._missing.append(name)
                continue
            split = splits.get(stem, part.split)
            unlisted += bool(splits) and stem not in splits
            self._bare += not annotation.objects
            self._add(annotation, picture, split, name)
        if unlisted:
            self._notes.append(f"{counted(unlisted, 'picture is', 'pictures are')} in none of the lists of ImageSets/Main.")

    def image_set(self, smallest: int) -> ImageSet:
        """All that was read."""
        notes = [*self._notes]
        if self._broken:
            files = counted(len(self._broken), "annotation file", "annotation files")
            notes.append(f"{files} left out: {listed(self._broken)}.")
        if self._missing:
            gone = f"{counted(len(self._missing), 'picture is', 'pictures are')} not there, left out"
            notes.append(f"{gone}: {listed(self._missing)}.")
        if self._bare:
            notes.append(f"{counted(self._bare, 'picture has', 'pictures have')} no object and gives no image.")
        return self._objects.image_set(
            list(self._classes),
            natural=True,
            root=self._root,
            sources=self._sources,
            notes=notes,
            name=self._root.name,
            smallest=smallest,
        )

    def _picture(self, annotation: Annotation, part: _Part, same_stem: str | None) -> str | None:
        """The key of a picture: the one with the name of the annotation file, else the one that the file names."""
        prefix = f"{part.pictures}/" if part.pictures else ""
        if same_stem is not None:
            return prefix + same_stem
        below = key_below(annotation.picture) if annotation.picture else None
        return prefix + below if below is not None and self._files.has(prefix + below) else None

    def _add(self, annotation: Annotation, picture: str, split: int, name: str) -> None:
        for number, marked in enumerate(annotation.objects, 1):
            where = f"{name} object {number}"
            if not marked.name:
                self._objects.leave_out("they have no name", where)
            elif marked.box is None:
                self._objects.leave_out("their box is not four numbers", where)
            elif marked.difficult and not self._use_difficult:
                self._objects.leave_out("marked as difficult", where)
            else:
                label = self._classes.setdefault(marked.name, len(self._classes))
                self._objects.add(f"{picture}#{number}", picture, label, marked.box, split, annotation.size)

    def _splits(self, part: _Part) -> dict[str, int]:
        """The split of each picture that a list names; the test list counts most, so that what is measured stays honest."""
        if part.lists is None:
            return {}
        train, val, test, both = (self._listed(part.lists, name) for name in ("train", "val", "test", "trainval"))
        twice = (train & val) | (test & (train | val | both))
        if twice:
            named = listed(sorted(twice, key=natural_key))
            self._notes.append(
                f"{counted(len(twice), 'picture is', 'pictures are')} in several lists; test counts first, then val: {named}."
            )
        ranked = ((both | train, TRAIN), (val, VAL), (test, TEST))
        return {name: split for names, split in ranked for name in names}

    def _listed(self, folder: str, name: str) -> set[str]:
        """The first word of each line of a list; none where there is no such list."""
        file = self._root / folder / f"{name}.txt"
        try:
            text = file.read_text("utf-8-sig", errors="replace") if file.is_file() else ""
        except OSError as error:
            self._notes.append(f"{folder}/{name}.txt cannot be read: {error.strerror or error}.")
            return set()
        if text:
            self._sources.append(file)
        return {line.split()[0] for line in text.splitlines() if line.strip()}
