"""Objects from COCO's JSON files: each annotation becomes an image of its own, cut out of its picture.

One file, or a folder with several: their names or folders (``instances_train2017.json``, ``train/_annotations.coco.json``) say
the split. Ids are looked up, never counted on; what refers to an unknown id is listed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tlstudio.api import NO_SPLIT, DataError, ImageSet, Options
from tlstudio_datasets.inside import Files, glance, key_below, layers
from tlstudio_datasets.json_text import Record, read_json
from tlstudio_datasets.objects import Box, Objects
from tlstudio_datasets.options import CocoOptions
from tlstudio_datasets.words import counted, encodable, listed, natural_key, printable, several, split_of

_GLANCE_BYTES = 64 * 1024
_GLANCE_NAMES = 20_000
_TRIED_PICTURES = 50
_MOST_FILES = 100
_ANNOTATION_FOLDERS = {"annotations", "annotation", "labels"}
_ROBOFLOW = "_annotations.coco.json"
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_HINT = (
    "Such a file has the lists images, annotations and categories, as the COCO data set and most labelling tools write them."
)


def open_coco(options: Options) -> ImageSet:
    """Read all annotations; no picture is opened.

    Raises:
        DataError: no such files, broken JSON (with line and column), file names that lead out of the folder, no usable object,
            or objects of one class only.
    """
    assert isinstance(options, CocoOptions)
    path = Path(os.path.abspath(options.path))
    root, files = _find(path)
    if not files:
        raise DataError(f"There is no file of COCO annotations in {printable(str(path))}.", hint=_HINT)
    if options.images is not None:
        root = Path(os.path.abspath((path if path.is_dir() else path.parent) / options.images))
        if not root.is_dir():
            raise DataError(f"The image folder {printable(str(root))} does not exist.", hint="Correct the option images.")
    there = Files(root)
    objects, classes, notes = Objects(), dict[str, int](), list[str]()
    for file in files:
        part = _read(file)
        folder = "" if options.images is not None else _folder(part, root, there)
        numbers = {key: classes.setdefault(name, len(classes)) for key, name in part.names.items()}
        notes += _collect(part, objects, numbers, folder, there, _split(file) if path.is_dir() else NO_SPLIT)
    return objects.image_set(tuple(classes), root=root, sources=files, notes=notes, name=path.name, smallest=options.smallest)


def recognise_coco(path: Path) -> float:
    """Nearly sure of a JSON file that begins as COCO's do, and of a folder with one in a usual place."""
    try:
        if path.is_file():
            return 0.96 if path.suffix.lower() == ".json" and _looks(path) else 0.0
        return 0.96 if path.is_dir() and _find(path)[1] else 0.0
    except (OSError, ValueError):
        return 0.0


@dataclass(frozen=True)
class _Part:
    """What one file says: file name and size of its pictures and class names by id, and its annotations."""

    file: Path
    pictures: dict[Hashable, tuple[str, tuple[float, float] | None]]
    names: dict[Hashable, str]
    annotations: list[Record]


def _find(path: Path) -> tuple[Path, list[Path]]:
    """The folder that the data set is in, and its files of annotations."""
    if not path.is_dir():
        if not path.is_file():
            raise DataError(f"{printable(str(path))} does not exist.", hint="Choose a JSON file or the folder that has it.")
        inner = path.parent.name.lower() in _ANNOTATION_FOLDERS
        return path.parent.parent if inner else path.parent, [path]
    for root in layers(path):
        files = [file for folder in (root, *_folders(root)) for file in _json_files(folder)]
        if files:
            best = [file for file in files if file.name.startswith("instances")] or files
            return root, sorted(best, key=lambda file: natural_key(str(file)))
    return path, []


def _folders(path: Path) -> list[Path]:
    names = [entry.name for entry in glance(path) if entry.is_dir()]
    return [path / name for name in names if name.lower() in _ANNOTATION_FOLDERS or split_of(name) is not None]


def _json_files(folder: Path) -> list[Path]:
    names = {entry.name for entry in glance(folder, _GLANCE_NAMES) if entry.name.lower().endswith(".json")}
    return [file for name in {*sorted(names)[:_MOST_FILES], _ROBOFLOW} if (file := folder / name).is_file() and _looks(file)]


def _looks(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            start = stream.read(_GLANCE_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return False
    return start.startswith(b"{") and _LIST.search(start) is not None


def _split(file: Path) -> int:
    """The split that the name of a file or of its folder says."""
    words = [*re.findall("[a-z]+", file.stem.lower()), file.parent.name]
    return next((split for word in words if (split := split_of(word)) is not None), NO_SPLIT)


def _prune(record: Record) -> Record:
    # The outlines are by far most of such a file, and only boxes are used.
    for name in ("segmentation", "keypoints", "counts"):
        record.pop(name, None)
    return record


def _read(file: Path) -> _Part:
    document = read_json(file, _prune)
    name = printable(file.name)
    if not isinstance(document, dict):
        raise DataError(f"{name} is no file of COCO annotations.", hint=_HINT)
    pictures: dict[Hashable, tuple[str, tuple[float, float] | None]] = {}
    wrong = []
    for record in _records(document, "images", name):
        key, text = _id(record.get("id")), record.get("file_name")
        below = key_below(text) if isinstance(text, str) and text else None
        if below is None:
            wrong.append(f"image {printable(str(record.get('id'))[:50])}: {printable(str(text)[:200])}")
        elif pictures.setdefault(key, (below, _size(record)))[0] != below:
            raise DataError(f"{name} has two pictures with the id {key!r}.", f"{pictures[key][0]}\n{printable(below)}", _HINT)
    if wrong:
        raise DataError(
            f"{name} names {counted(len(wrong), 'picture', 'pictures')} that cannot be inside of its folder.",
            several(wrong),
            "Nothing was read. The field file_name must be a path below the image folder.",
        )
    names = {
        _id(record.get("id")): encodable(str(record.get("name") or "").strip()[:500] or f"category {record.get('id')}")
        for record in _records(document, "categories", name)
    }
    return _Part(file, pictures, names, list(_records(document, "annotations", name)))


def _records(document: Record, field: str, name: str) -> Iterator[Record]:
    entries = document.get(field)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{name} has no proper list named {field}.", f"It has: {listed(document)}.", _HINT)
    return iter(entries)


def _id(value: Any) -> Hashable:
    """An id as it can be looked up; a list or an object is none."""
    return value if isinstance(value, int | str | float) else None


def _size(record: Record) -> tuple[float, float] | None:
    width, height = _numbers((record.get("width"), record.get("height"))) or (0.0, 0.0)
    return (width, height) if width > 0 and height > 0 else None


def _numbers(values: Sequence[Any]) -> tuple[float, ...] | None:
    try:
        return tuple(float(value) for value in values) if all(type(value) in {int, float} for value in values) else None
    except OverflowError:
        return None


def _box(record: Record) -> Box | None:
    """Left, top, right, bottom; ``None`` where there are no four numbers."""
    values = record.get("bbox")
    numbers = _numbers(values) if isinstance(values, list) else None
    if numbers is None or len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        return None
    left, top, width, height = numbers
    return left, top, left + width, top + height


def _folder(part: _Part, root: Path, there: Files) -> str:
    """The folder below the root, with a slash at its end, that most of the pictures are in; near the file first."""
    near = os.path.relpath(part.file.parent, root).replace(os.sep, "/")
    words = [part.file.stem.rpartition("_")[2], *re.findall("[a-z]+", part.file.stem.lower())]
    folders = ["" if near == "." else f"{near}/", "", *(f"{word}/" for word in words)]
    places = dict.fromkeys(f"{folder}{inner}" for folder in folders for inner in ("", "images/"))
    places.update(dict.fromkeys(f"images/{word}/" for word in words))
    tried = [name for name, _ in islice(part.pictures.values(), _TRIED_PICTURES)]
    return max(places, key=lambda place: sum(bool(there.has(place + name)) for name in tried))


def _collect(part: _Part, objects: Objects, numbers: dict[Hashable, int], folder: str, there: Files, split: int) -> list[str]:
    name = printable(part.file.name)
    missing = {key for key, (file, _) in part.pictures.items() if not there.has(folder + file)}
    bare = set(part.pictures) - missing
    for place, record in enumerate(part.annotations, 1):
        own = record.get("id")
        named = isinstance(own, int | str)
        picture, category, box = _id(record.get("image_id")), _id(record.get("category_id")), _box(record)
        bare.discard(picture)
        reason = None
        if picture not in part.pictures:
            reason = "their picture is not listed"
        elif category not in numbers:
            reason = "their category is not listed"
        elif picture in missing:
            continue
        elif record.get("iscrowd"):
            reason = "marked as a crowd of many objects"
        elif box is None:
            reason = "their box is not four numbers"
        if reason is not None or box is None:
            objects.leave_out(reason or "", f"{name} annotation {own if named else f'number {place}'}")
            continue
        file, size = part.pictures[picture]
        key = f"{folder}{file}#{own}" if named else f"{folder}{file}#at{place}"
        objects.add(encodable(key), folder + file, numbers[category], box, split, size)
    notes = []
    if missing:
        gone = sorted(part.pictures[key][0] for key in missing)
        notes.append(f"{name}: {counted(len(missing), 'picture is', 'pictures are')} not there, left out: {listed(gone)}.")
    if bare:
        notes.append(f"{name}: {counted(len(bare), 'picture has', 'pictures have')} no object and gives no image.")
    return notes
