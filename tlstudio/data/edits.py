"""What the user changed in a set of images, kept beside it: the image files and label files are never touched.

Edits are small records in an append-only journal of JSON lines; undo and redo are lines too, so that both survive a restart.
`apply` folds them over a table. Keys name images, words name classes and splits; an image that is gone takes its edits along,
and gets them back with its return.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tlstudio import safe_io
from tlstudio.api.dataset import NO_SPLIT, SPLIT_NAMES, UNLABELLED, ImageSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

JOURNAL = "edits.jsonl"

Keys = tuple[str, ...]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # until the first edit


class Relabel(_Edit):
    """These images are of another class; ``None``: of none. A class of that name is made where there is none."""

    op: Literal["relabel"] = "relabel"
    keys: Keys
    label: Name | None


class Exclude(_Edit):
    """These images are left out of training and measuring, or (``out`` false) taken back in."""

    op: Literal["exclude"] = "exclude"
    keys: Keys
    out: bool = True


class Tag(_Edit):
    """These images carry a word of the user's, or (``on`` false) no longer."""

    op: Literal["tag"] = "tag"
    keys: Keys
    tag: Name
    on: bool = True


class MoveToSplit(_Edit):
    """These images train, validate or test, whatever the data or the plan say."""

    op: Literal["split"] = "split"
    keys: Keys
    split: Literal["train", "val", "test"]


class RenameClass(_Edit):
    """A class gets another name; where that name is taken already, the two become one."""

    op: Literal["rename"] = "rename"
    old: Name
    new: Name


Simple = Relabel | Exclude | Tag | MoveToSplit | RenameClass


class Together(_Edit):
    """Several edits that were one step for the user, and are undone as one."""

    op: Literal["together"] = "together"
    edits: tuple[Annotated[Simple, Field(discriminator="op")], ...]


Edit = Simple | Together


@functools.cache
def _edits() -> TypeAdapter[Edit]:
    return TypeAdapter(Annotated[Edit, Field(discriminator="op")])


@dataclass(frozen=True, kw_only=True)
class Table:
    """A set of images as it stands after the user's edits: what is shown, and what is trained.

    Args:
        images: the set, with the labels and classes now in force.
        splits: ``(N,)`` int8.
        excluded: ``(N,)`` bool: rows that take no part.
        edited: ``(N,)`` bool: rows that differ from what the data say.
        tags: the user's words, each with the rows that carry it, ascending.
    """

    images: ImageSet
    splits: NDArray[np.int8]
    excluded: NDArray[np.bool_]
    edited: NDArray[np.bool_]
    tags: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def taking_part(self) -> ImageSet:
        """The same rows, those left out without a label: what the trainer takes."""
        labels = np.where(self.excluded, UNLABELLED, self.images.labels).astype(np.int32)
        return self.images.relabelled(labels)


def apply(
    images: ImageSet,
    edits: Iterable[Edit],
    draw: Callable[[ImageSet], NDArray[np.int8]],
    *,
    rows: Mapping[str, int] | None = None,
) -> Table:
    """The table after these edits, one after the other. Keys and classes that do not exist are passed over.

    Args:
        images: as the data say.
        draw: the splits ``(N,)`` int8 by plan. It sees the labels that the data give, and the user's where they give none, so
            that a correction moves no image to another split.
        rows: the row of each key, where it is known already.
    """
    fold = _Fold(images, rows)
    for edit in edits:
        fold.take(edit)
    splits = draw(fold.to_draw())
    return fold.table(splits)


def rows_of(images: ImageSet) -> dict[str, int]:
    """The row of each key."""
    return {key: row for row, key in enumerate(images.keys)}


class Journal:
    """The edits of one set of images, in a file of JSON lines. ``path`` may not exist yet; its folder is made when needed.

    Several processes may work with one file. Each takes in what the others wrote before it writes itself, and takes back what
    it did itself: what was there when it began counts as its own. A plain undo in the file is about the last edit that stands,
    one with a ``line`` about the edit in that line.

    Raises:
        OSError: the file exists and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[int] = []
        """Numbers of lines, from 1, that could not be read and were passed over; they stay in the file."""
        self._begin()

    @property
    def done(self) -> list[Edit]:
        """The edits in force, in the order of the file."""
        return [self._edits[line] for line in self._standing]

    def add(self, edit: Edit) -> None:
        """Do something; what was undone before can no longer be redone. On the disk when this returns.

        Raises:
            OSError: it could not be saved; then it is not done either.
        """
        with self._alone():
            self._write(edit.model_dump(mode="json"))
            self._own.append(self._standing[-1])
            self._own_undone.clear()

    def undo(self) -> Edit | None:
        """Take one's own last edit back that still stands; returns it, or ``None`` where there is none. Raises as `add`."""
        with self._alone():
            line = next((line for line in reversed(self._own) if self._stands(line)), None)
            if line is None:
                return None
            self._write({"op": "undo"} if line == self._standing[-1] else {"op": "undo", "line": line})
            self._own_undone.append(line)
            return self._edits[line]

    def redo(self) -> Edit | None:
        """Do again what one undid last, and nobody else did again since; returns it, or ``None``. Raises `OSError` as `add`."""
        with self._alone():
            while self._own_undone and self._stands(self._own_undone[-1]):
                self._own_undone.pop()
            if not self._own_undone:
                return None
            line = self._own_undone[-1]
            self._write({"op": "redo"} if self._undone[-1:] == [line] else {"op": "redo", "line": line})
            return self._edits[self._own_undone.pop()]

    def is_behind(self) -> bool:
        """Whether others wrote since this was read; any thread may ask."""
        try:
            return self._size() != self._read_to
        except OSError:
            return False

    def catch_up(self) -> bool:
        """Take in what others wrote since; returns whether there was anything. Raises `OSError` where it cannot be read."""
        size = self._size()
        if size == self._read_to:
            return False
        if size < self._read_to:  # another file
            self._begin()
            return True
        with self.path.open("rb") as file:
            file.seek(self._read_to)
            before = self._read_to
            self._read(file.read())
        return self._read_to != before

    def _begin(self) -> None:
        self.damaged.clear()
        self._edits: dict[int, Edit] = {}
        self._standing: list[int] = []
        self._undone: list[int] = []
        """Lines of edits: all, those in force in ascending order, and those that a plain redo would do again."""
        self._line, self._read_to = 1, 0
        if self.path.exists():
            self._read(self.path.read_bytes())
        self._own, self._own_undone = list(self._edits), list(self._undone)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes while it lasts, and all that was written is known."""
        self._size()
        with safe_io.locked(self.path.with_suffix(".lock")):
            self.catch_up()
            yield

    def _size(self) -> int:
        """How long the file is; an error where it was there before, for then it is its drive that is gone."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            if self._read_to:
                raise
            return 0

    def _stands(self, line: int) -> bool:
        place = bisect.bisect_left(self._standing, line)
        return self._standing[place : place + 1] == [line]

    def _write(self, record: dict[str, Any]) -> None:
        safe_io.append_line(self.path, json.dumps(record, ensure_ascii=True).encode())
        self.catch_up()

    def _read(self, data: bytes) -> None:
        """Take lines from `_read_to` on. What has no line break yet counts once it is whole: somebody may be writing it."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if not self._took(line):
                self.damaged.append(self._line)
            self._line += 1
            self._read_to += len(line) + 1
        if rest and self._took(rest):
            self._read_to += len(rest)

    def _took(self, line: bytes) -> bool:
        try:
            if line.strip():
                self._take(json.loads(line))
        except (ValueError, RecursionError):  # pydantic's is a ValueError
            return False
        return True

    def _take(self, record: object) -> None:
        if not isinstance(record, dict) or record.get("op") not in {"undo", "redo"}:
            self._edits[self._line] = _edits().validate_python(record)
            self._standing.append(self._line)
            self._undone.clear()
            return
        again = record["op"] == "redo"
        last = self._undone if again else self._standing
        line = record.get("line", last[-1] if last else None)
        if record.keys() - {"op", "line"} or not isinstance(line, int | None):
            raise ValueError(record)
        if line not in self._edits or self._stands(line) == again:
            return
        if again:
            bisect.insort(self._standing, line)
            self._undone = [other for other in self._undone if other != line]
        else:
            del self._standing[bisect.bisect_left(self._standing, line)]
            self._undone.append(line)


class _Fold:
    """Columns that edits change one after the other."""

    def __init__(self, images: ImageSet, rows: Mapping[str, int] | None) -> None:
        self._images, self._rows = images, rows
        self._names = list(images.classes)
        self._labels = images.labels.copy()
        self._excluded = np.zeros(len(images), np.bool_)
        self._tags: dict[str, NDArray[np.bool_]] = {}
        self._moved = np.full(len(images), NO_SPLIT, np.int8)

    def take(self, edit: Edit) -> None:
        if isinstance(edit, Together):
            for part in edit.edits:
                self.take(part)
            return
        if isinstance(edit, RenameClass):
            self._rename(edit.old, edit.new)
            return
        rows = self._find(edit.keys)
        if isinstance(edit, Relabel):
            self._labels[rows] = UNLABELLED if edit.label is None else self._label(edit.label)
        elif isinstance(edit, Exclude):
            self._excluded[rows] = edit.out
        elif isinstance(edit, MoveToSplit):
            self._moved[rows] = SPLIT_NAMES.index(edit.split)
        else:
            self._tags.setdefault(edit.tag, np.zeros(len(self._labels), np.bool_))[rows] = edit.on

    def to_draw(self) -> ImageSet:
        images = self._images
        new = (images.labels == UNLABELLED) & (self._labels != UNLABELLED)
        if not new.any():
            return images
        labels = np.where(new, self._labels + len(images.classes), images.labels).astype(np.int32)
        return images.relabelled(labels, (*images.classes, *self._names))

    def table(self, splits: NDArray[np.int8]) -> Table:
        images = self._images
        moved = (self._moved != NO_SPLIT) & (self._moved != splits)
        edited = self._excluded | moved | self._renamed()
        tags = {tag: np.flatnonzero(rows) for tag, rows in sorted(self._tags.items()) if rows.any()}
        for rows in tags.values():
            edited[rows] = True
        if tuple(self._names) != images.classes or not np.array_equal(self._labels, images.labels):
            images = images.relabelled(self._labels, tuple(self._names))
        return Table(
            images=images,
            splits=np.where(moved, self._moved, splits).astype(np.int8),
            excluded=self._excluded,
            edited=edited,
            tags=tags,
        )

    def _renamed(self) -> NDArray[np.bool_]:
        """Rows whose class has another name than in the data."""
        place = {name: label for label, name in enumerate(self._names)}
        same = np.array([place.get(name, -2) for name in self._images.classes] + [UNLABELLED])
        result: NDArray[np.bool_] = same[self._images.labels] != self._labels
        return result

    def _label(self, name: str) -> int:
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def _rename(self, old: str, new: str) -> None:
        if old not in self._names or old == new:
            return
        label = self._names.index(old)
        if new not in self._names:
            self._names[label] = new
            return
        self._labels[self._labels == label] = self._names.index(new)
        self._labels[self._labels > label] -= 1
        del self._names[label]

    def _find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        if self._rows is None:
            self._rows = rows_of(self._images)
        rows = self._rows
        return np.array([rows[key] for key in keys if key in rows], np.int64)
