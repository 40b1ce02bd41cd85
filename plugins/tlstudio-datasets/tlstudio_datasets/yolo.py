"""Objects from YOLO's text files: ``labels/*.txt`` beside ``images``, described by ``data.yaml`` or ``classes.txt``.

Each row becomes an image of its own. A file with a wrong row is left out whole: half of what it says would be wrong too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from tlstudio.api import NO_SPLIT, DataError, ImageError, ImageSet, Options, is_image_name
from tlstudio_datasets.inside import Files, glance, key_below, layers
from tlstudio_datasets.objects import Box, Objects, upright_size
from tlstudio_datasets.options import YoloOptions
from tlstudio_datasets.scan import Folder, Scan
from tlstudio_datasets.words import counted, listed, natural_key, printable, several, split_of
from tlstudio_datasets.yolo_yaml import Described, looks_like_yolo, place_below, read_names, read_yaml, yaml_file

_MAX_BYTES = 16 * 2**20
_LABELS = ("labels", "labels/train", "train/labels")
_BOX_COLUMNS = 5
_LEAST_OUTLINE = 7
_TOLERANCE = 0.01
_HINT = "It holds the folders images and labels, and data.yaml with the names of the classes and the paths train and val."


def open_yolo(options: Options) -> ImageSet:
    """Read all label files, and the size of each picture that has objects from its header.

    Outlines (segments, oriented boxes) count as the upright box around them.

    Raises:
        DataError: no such files, a broken data.yaml, no usable object, or objects of one class only.
    """
    assert isinstance(options, YoloOptions)
    path = Path(os.path.abspath(options.path))
    if not path.exists():
        raise DataError(f"{printable(str(path))} does not exist.", hint=_HINT)
    root, file = (path.parent, path) if path.is_file() else _find(path)
    described = read_yaml(file) if file is not None else read_names(root)
    reader = _Reader(root, described)
    for split, place in reader.places():
        reader.read(place, split)
    return reader.image_set(options.smallest)


def recognise_yolo(path: Path) -> float:
    """Nearly sure of a data.yaml and its folder, and of images and labels side by side with rows of numbers."""
    try:
        if path.is_file():
            return 0.96 if path.suffix.lower() in {".yaml", ".yml"} and looks_like_yolo(path) else 0.0
        if not path.is_dir():
            return 0.0
        root, file = _find(path)
        return 0.97 if file is not None else 0.95 if _has_labels(root) else 0.0
    except (OSError, ValueError):
        return 0.0


class _Reader:
    """Goes through the pictures of a data set, split by split."""

    def __init__(self, root: Path, described: Described) -> None:
        self._root = root
        self._real = os.path.join(os.path.realpath(root), "")
        self._files = Files(root)
        self._described = described
        self._objects = Objects()
        self._numbers = {number: place for place, number in enumerate(sorted(described.names))}
        self._sources: list[Path] = [described.file] if described.file else []
        self._notes: list[str] = []
        self._broken: list[str] = []
        self._unreadable: list[str] = []
        self._labels: set[str] = set()
        self._twice: list[str] = []
        self._bare = 0

    def places(self) -> Iterator[tuple[int, str]]:
        """Split and place of pictures below the root: as the description says, else where they usually are."""
        named = [(split, text, place_below(text, self._described, self._root)) for split, text in self._described.places]
        gone = [text for _, text, place in named if place is None]
        if gone:
            self._notes.append(f"Folders that {printable(self._name())} names and that are not there: {listed(gone)}.")
        there = [(split, place) for split, _, place in named if place is not None]
        return iter(there or self._usual())

    def read(self, place: str, split: int) -> None:
        """All pictures of a folder, or those that a list names."""
        real = os.path.realpath(self._root / place)
        if not os.path.join(real, "").startswith(self._real):
            self._notes.append(f"{printable(place)} leads out of the folder and was not followed.")
        elif os.path.isdir(real):
            scan = Scan(str(self._root))
            for _, _, keys in scan.images([("", split, Folder(place, place, real))]):
                for key in keys:
                    self._picture(key, split)
            self._notes += [f"{printable(place) or 'The folder'}: {note}" for note in scan.notes()] if place else []
        elif os.path.isfile(real):
            self._list(place, split)

    def image_set(self, smallest: int) -> ImageSet:
        """All that was read."""
        if self._broken:
            files = counted(len(self._broken), "label file has a row", "label files have rows")
            self._notes.append(f"{files} that cannot be used, left out whole: {listed(self._broken)}.")
        if self._unreadable:
            pictures = counted(len(self._unreadable), "picture", "pictures")
            self._notes.append(f"{pictures} that cannot be read, left out: {listed(self._unreadable)}.")
        orphans = self._without_picture()
        if orphans:
            pictures = counted(len(orphans), "picture is", "pictures are")
            self._notes.append(f"{pictures} not there, left out. Their label files: {listed(orphans)}.")
        if self._twice:
            pictures = counted(len(self._twice), "picture is", "pictures are")
            self._notes.append(f"{pictures} in two splits, or share a label file; the first counts: {listed(self._twice)}.")
        if self._bare:
            self._notes.append(f"{counted(self._bare, 'picture has', 'pictures have')} no object and gives no image.")
        if not self._described.names:
            self._notes.append("There are no class names (data.yaml or classes.txt); classes are called by their numbers.")
        return self._objects.image_set(
            [self._described.names.get(number, str(number)) for number in self._numbers],
            root=self._root,
            sources=self._sources,
            notes=self._notes,
            name=self._name(),
            smallest=smallest,
            natural=not self._described.names,
        )

    def _name(self) -> str:
        return self._described.file.name if self._described.file else self._root.name

    def _usual(self) -> list[tuple[int, str]]:
        names = _folders(self._root)
        found = [(f"images/{name}", name) for name in _folders(self._root / "images")]
        found += [(f"{name}/images", name) for name in names if (self._root / name / "images").is_dir()]
        splits = [(split, place) for place, name in found if (split := split_of(name.rstrip("0123456789"))) is not None]
        return splits or [(NO_SPLIT, "images" if "images" in names else "")]

    def _list(self, place: str, split: int) -> None:
        """A text file with the path of a picture in each line; from the folder of the file, or from the root."""
        folder = os.path.dirname(place)
        base = self._root.as_posix().rstrip("/") + "/"
        missing: list[str] = []
        outside: list[str] = []
        self._sources.append(self._root / place)
        for line in _text(self._root / place).splitlines():
            text = line.strip()
            if not text:
                continue
            keys = [key_below(f"{start}/{text}" if start else text, base) for start in ("", folder)]
            key = next((key for key in keys if key is not None and self._files.has(key)), None)
            if key is not None and is_image_name(key):
                self._picture(key, split)
            else:
                (missing if any(key is not None for key in keys) else outside).append(text)
        if outside:
            raise DataError(
                f"{printable(place)} names {counted(len(outside), 'file', 'files')} outside of the folder.",
                several(printable(text) for text in outside),
                "Nothing was read. Paths must stay in the folder of the data set.",
            )
        if missing:
            pictures = counted(len(missing), "picture is", "pictures are")
            self._notes.append(f"{printable(place)}: {pictures} not there, left out: {listed(missing)}.")

    def _picture(self, key: str, split: int) -> None:
        label = _label_key(key)
        if not self._files.has(label):
            self._bare += 1
            return
        if label in self._labels:
            self._twice.append(key)
            return
        self._labels.add(label)
        file = self._root / label
        self._sources.append(file)
        rows = _rows(file, self._described)
        if isinstance(rows, str):
            self._broken.append(f"{printable(label)} {rows}")
        elif rows:
            self._add(key, rows, split)
        else:
            self._bare += 1

    def _add(self, key: str, rows: list[tuple[int, int, Box]], split: int) -> None:
        try:
            width, height = upright_size(self._root / key)
        except ImageError:
            self._unreadable.append(key)
            return
        for number, label, (left, top, right, bottom) in rows:
            box = (max(0.0, left) * width, max(0.0, top) * height, min(1.0, right) * width, min(1.0, bottom) * height)
            place = self._numbers.setdefault(label, len(self._numbers))
            self._objects.add(f"{key}#{number}", key, place, box, split, (width, height))

    def _without_picture(self) -> list[str]:
        """Label files beside those that were read which no picture belongs to."""
        folders = {os.path.dirname(label) for label in self._labels if "labels" in label.split("/")}
        every = (f"{folder}/{name}" for folder in folders for name in self._files.names(folder) if name.endswith(".txt"))
        return sorted((key for key in every if key not in self._labels and not key.endswith("/classes.txt")), key=natural_key)


def _label_key(key: str) -> str:
    """Where the labels of a picture are: beside it, or in ``labels`` instead of the last ``images`` on the way."""
    parts = os.path.splitext(key)[0].split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return "/".join(parts) + ".txt"


def _rows(file: Path, described: Described) -> list[tuple[int, int, Box]] | str:
    """Row number, class and box (left, top, right, bottom as parts of the picture) of each row; or what is wrong with one."""
    try:
        text = _text(file)
    except DataError as error:
        return str(error.title)
    rows, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            rows.append((number, *_row(line, described)))
        except ValueError as error:
            faults.append(f"row {number}: {error}")
    return listed(faults, limit=3) if faults else rows


def _row(line: str, described: Described) -> tuple[int, Box]:
    """Class and box of a row; a `ValueError` says what is wrong with it."""
    words = line.split()
    try:
        number, *values = map(float, words)
    except ValueError:
        raise ValueError("not all of it are numbers") from None
    if not all(map(math.isfinite, (number, *values))):
        raise ValueError("a number is not finite")
    if not number.is_integer() or number < 0 or (described.names and int(number) not in described.names):
        raise ValueError(f"there is no class {words[0][:20]}")
    if len(words) in {_BOX_COLUMNS, described.columns}:
        x, y, width, height = values[:4]
        if width <= 0 or height <= 0:
            raise ValueError("its box has no size")
        inside, box = [x, y, width, height], (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(words) >= _LEAST_OUTLINE and len(words) % 2:
        inside, box = values, (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        raise ValueError(f"it has {len(words)} columns")
    if min(inside) < -_TOLERANCE or max(inside) > 1 + _TOLERANCE:
        raise ValueError("a coordinate is not within 0 and 1")
    return int(number), box


def _text(file: Path) -> str:
    name = printable(file.name)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(f"{name} is too large for a file of labels.")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise DataError(f"{name} is no text.") from None


def _folders(path: Path) -> list[str]:
    return sorted((entry.name for entry in glance(path) if entry.is_dir()), key=natural_key)


def _find(path: Path) -> tuple[Path, Path | None]:
    """The folder of the data set, be it inside of one that only wraps it, and what describes it."""
    found = ((root, yaml_file(root)) for root in layers(path))
    return next(((root, file) for root, file in found if file is not None or _has_labels(root)), (path, None))


def _has_labels(root: Path) -> bool:
    return any(_has_rows(root / place) for place in _LABELS)


def _has_rows(folder: Path) -> bool:
    """Whether one of the first text files in a folder begins with a row of YOLO."""
    files = [entry.path for entry in glance(folder) if entry.name.endswith(".txt") and entry.is_file()]
    for file in files[:5]:
        try:
            with open(file, "rb") as stream:
                _row(stream.readline(4096).decode("utf-8-sig", "replace"), Described({}))
        except (OSError, ValueError):
            continue
        return True
    return False
