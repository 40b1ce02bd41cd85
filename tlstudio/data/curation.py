"""The user's work on one set of images: edits and fixed splits, in a folder of the workspace, and the table that they give."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlstudio import safe_io
from tlstudio.api.config import SPLIT_FIELDS, DataConfig
from tlstudio.api.dataset import NO_SPLIT, SPLIT_NAMES, ImageSet
from tlstudio.api.errors import DataError
from tlstudio.data.edits import JOURNAL, Edit, Journal, Table, apply, rows_of
from tlstudio.data.moved import before, note_place
from tlstudio.data.splits import FOLD_0, SplitPlan, assign_parts, known_parts, splits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAN = "split.json"
_FOLD = "fold-"
Alike = Callable[[], "NDArray[np.int64] | None"]


class Drawing(NamedTuple):
    """Parts ``(N,)`` int8 that were drawn for these images, with near duplicates ``(N,)`` together."""

    images: ImageSet
    parts: NDArray[np.int8]
    alike: NDArray[np.int64]


def identity(config: DataConfig) -> str:
    """A name for the images that a configuration opens: the same path, kind and options give the same."""
    path = None if config.path is None else str(Path(config.path).expanduser().absolute())
    options = json.dumps(config.options, sort_keys=True, default=str)
    text = "\0".join((path or "", (config.dataset or "") if path is None else "", options))
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9-]+", "-", Path(path).name if path else (config.dataset or "")).strip("-")[:40]
    return f"{name or 'images'}-{digest}"


def work_folder(config: DataConfig, workspace: Path) -> Path:
    """Where the user's work on these images lies: by their place, or by the one they had before they were moved."""
    own = workspace / "data" / identity(config)
    if config.path is None or own.is_dir():
        return own
    places = before(str(Path(config.path).expanduser().absolute()), workspace)
    folders = (workspace / "data" / identity(config.model_copy(update={"path": place})) for place in places)
    return next((folder for folder in folders if folder.is_dir()), own)


def with_chosen_split(config: DataConfig, workspace: Path) -> DataConfig:
    """The configuration with the split that the user chose for these images in the window, unless it names one itself."""
    usual = DataConfig()
    if any(getattr(config, name) != getattr(usual, name) for name in SPLIT_FIELDS):
        return config
    try:
        chosen = json.loads((work_folder(config, workspace) / PLAN).read_bytes())
        return DataConfig.model_validate({**config.model_dump(), **{name: chosen[name] for name in SPLIT_FIELDS}})
    except (OSError, ValueError, KeyError, TypeError):  # never chosen, or of another version: the usual one
        return config


class Curation:
    """Edits and splits of one set of images, as they lie in ``<workspace>/data/<identity>`` (`work_folder`).

    Args:
        images: the set as the data say.
        config: what opened it; it says how to split.
        workspace: the user's workspace.
        alike: gives a number for each image ``(N,)``, the same for near duplicates, -1 for none: those are drawn together. It
            is asked only where something is drawn; ``None`` where nobody knows.

    Raises:
        DataError: the journal is there and cannot be read: opened without it, the user's work would look lost.
    """

    def __init__(self, images: ImageSet, config: DataConfig, workspace: Path, *, alike: Alike | None = None) -> None:
        self.original = images
        self.plan = SplitPlan.of(config)
        self.folder = work_folder(config, workspace)
        self._note_place = partial(note_place, workspace, config.path)
        self._note_place()
        self._alike = alike
        try:
            self.journal = Journal(self.folder / JOURNAL)
            self._stored = _read_parts(self._parts_file)
        except OSError as error:
            raise DataError(
                "The edits of these images cannot be read.",
                detail=f"{error.filename}: {error.strerror}",
                hint="Check the permissions of the workspace, or choose another one.",
            ) from None
        self._rows: dict[str, int] | None = None
        self._drawn: tuple[ImageSet, NDArray[np.int8]] | None = None
        self.table = self._fold()

    @property
    def edits(self) -> tuple[Edit, ...]:
        """What is done and not undone, in order."""
        return tuple(self.journal.done)

    def prepare(self) -> None:
        """Learn where each key is, before the first edit has to; any thread may do it."""
        if self._rows is None:
            self._rows = rows_of(self.original)

    def add(self, edit: Edit) -> Table:
        """Do something and return the table after it; raises `OSError` where it cannot be saved, and then it is not done."""
        self.journal.add(edit)
        self._note_place()
        return self._renew()

    def undo(self) -> Edit | None:
        """Take one's own last edit back; returns it, or ``None`` where there is none. Raises as `add`."""
        edit = self.journal.undo()
        self._renew()
        return edit

    def redo(self) -> Edit | None:
        """Do again what was undone; returns it, or ``None``. Raises as `add`."""
        edit = self.journal.redo()
        self._renew()
        return edit

    def catch_up(self) -> bool:
        """Take in what other processes edited since; returns whether there was anything. Raises `OSError`."""
        self.journal.catch_up()
        if self._folded == self.edits:
            return False
        self._renew()
        return True

    def fix_splits(self) -> None:
        """Keep the drawn parts for ever, by key, so that images which come later move none; raises `OSError`."""
        self._note_place()
        if self._drawn is None or not self.plan.draws(self.original):
            return
        images, parts = self._drawn
        now = {key: int(part) for key, part, label in zip(images.keys, parts, images.labels, strict=True) if label >= 0}
        if all(self._stored.get(key) == part for key, part in now.items()):
            return
        self._stored = {**self._stored, **now}
        self.folder.mkdir(parents=True, exist_ok=True)
        safe_io.write_text(self._parts_file, _parts_text(self._stored))

    def choose_split(self) -> None:
        """Let this plan be the one that these images open with from now on; raises `OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        safe_io.write_json(self.folder / PLAN, self.plan.fields())

    @property
    def fixed(self) -> bool:
        """Whether there is nothing left to draw: the data say it all, or every image has its part."""
        if self._drawn is None or not self.plan.draws(self.original):
            return True
        images = self._drawn[0]
        return all(key in self._stored for key, label in zip(images.keys, images.labels, strict=True) if label >= 0)

    def drawn_with(self, alike: NDArray[np.int64]) -> Drawing:
        """What would be drawn if near duplicates were known to be these; changes nothing, so that any thread may ask."""
        images = self.original if self._drawn is None else self._drawn[0]
        known = known_parts(images, self._stored) if self._stored else None
        return Drawing(images, assign_parts(images, self.plan, known=known, alike=alike), alike)

    def adopt(self, drawing: Drawing) -> Table:
        """Let what `drawn_with` gave be in force, and return the table after it."""
        self._alike = lambda: drawing.alike  # should labels have changed meanwhile, it is drawn anew, and knows them too
        self._drawn = drawing.images, drawing.parts
        return self._renew()

    def copy_edits(self, folder: Path) -> None:
        """Write the edits now in force into a folder, such as that of a run; raises `OSError`."""
        if self.journal.done:
            lines = [edit.model_dump_json() for edit in self.journal.done]
            safe_io.write_text(folder / JOURNAL, "\n".join(lines) + "\n")

    @property
    def _parts_file(self) -> Path:
        return self.folder / f"splits-{self.plan.name}.csv"

    def _renew(self) -> Table:
        self.table = self._fold()
        return self.table

    def _fold(self) -> Table:
        self._folded = self.edits
        if self._folded:
            self.prepare()
        return apply(self.original, self.journal.done, self._draw, rows=self._rows)

    def _draw(self, images: ImageSet) -> NDArray[np.int8]:
        if self._drawn is None or not np.array_equal(self._drawn[0].labels, images.labels):
            known = known_parts(images, self._stored) if self._stored else None
            new = self.plan.draws(images) and (known is None or bool(((known == NO_SPLIT) & (images.labels >= 0)).any()))
            alike = self._alike() if self._alike is not None and self.plan.together and new else None
            self._drawn = images, assign_parts(images, self.plan, known=known, alike=alike)
        return splits_of(self._drawn[1], self.plan)


def _parts_text(parts: dict[str, int]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("key", "part"))
    for key, part in parts.items():
        writer.writerow((key, f"{_FOLD}{part - FOLD_0}" if part >= FOLD_0 else SPLIT_NAMES[part]))
    return buffer.getvalue()


def _read_parts(path: Path) -> dict[str, int]:
    """What `_parts_text` wrote; lines that say nothing are passed over. Raises `OSError` unless the file is not there."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    names = {name: part for part, name in enumerate(SPLIT_NAMES)} | {f"{_FOLD}{fold}": FOLD_0 + fold for fold in range(100)}
    rows = csv.reader(io.StringIO(text, newline=""))
    return {row[0]: names[row[1]] for row in rows if len(row) == 2 and row[1] in names}
