"""What is known of a set of images, kept in the user's cache folder so that opening it again is instant.

One SQLite file a set, with the table and what was measured as columns in blobs of many rows. All of it can be rebuilt: a file
that is damaged, locked or from another version is thrown away or passed by, never an error. The data folder is never written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import tlstudio
from tlstudio import paths
from tlstudio.api.config import DataConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.data.curation import identity
from tlstudio.data.measure import COLUMNS, NOT_MEASURED, Measures
from tlstudio.data.threads import Progress

if TYPE_CHECKING:
    from tlstudio.data.duplicates import Pairs

_VERSION = [2, tlstudio.__version__]
_TEXTS = ("groups", "files")
_ARRAYS: dict[str, tuple[str, tuple[int, ...]]] = {"labels": ("int32", ()), "splits": ("int8", ()), "boxes": ("float32", (4,))}
_CHUNK = 65_536
_PATIENCE_S = 5.0
_RACY_NS = 2 * 10**9  # a folder changed so shortly before it was read may have changed again within the same tick of its clock
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS columns (name TEXT, chunk INTEGER, data BLOB NOT NULL, PRIMARY KEY (name, chunk));
"""
_Result = TypeVar("_Result")


class Index:
    """The cached table and measures of one set of images.

    Args:
        config: what opens the set.
        kinds: names of the data-set plugins at hand: where there are others, another one might open the set.
        folder: where index files lie; by default in the user's cache.
    """

    def __init__(self, config: DataConfig, *, kinds: Iterable[str] = (), folder: Path | None = None) -> None:
        usual = DataConfig()
        limits = (config.megapixels, config.accept_damaged)  # they decide what is unreadable
        other = "" if limits == (usual.megapixels, usual.accept_damaged) else f"-{limits[0]}{'d' * limits[1]}"
        self.path = (folder or paths.cache() / "index") / f"{identity(config)}{other}.sqlite"
        self._opened = (config.path,) if config.path and os.path.isfile(config.path) else ()
        self._kinds = [config.dataset] if config.dataset else sorted(kinds)

    def load_images(self) -> ImageSet | None:
        """The table as it was saved, if no folder and no label file that it came from has changed since."""

        def read(database: sqlite3.Connection) -> ImageSet | None:
            about = _about(database)
            if not about.get("table") or about["kinds"] != self._kinds or not _unchanged(about["stamps"]):
                return None
            return _read_table(database, about["table"])

        return self._use(read)

    def save_images(self, images: ImageSet) -> bool:
        """Keep a table; returns whether it was kept. Only tables of image files are: others are quick to open."""
        if images.root is None or images.read is not None:
            return False
        stamps = _stamps(images, self._opened)

        def write(database: sqlite3.Connection) -> bool:
            table = {
                "classes": images.classes,
                "root": os.fspath(images.root or ""),
                "sources": images.sources,
                "notes": images.notes,
            }
            database.execute("DELETE FROM columns WHERE name LIKE 'table.%'")
            for name in ("keys", *_TEXTS, *_ARRAYS):
                column = getattr(images, name)
                if column is not None:
                    _save(database, f"table.{name}", column)
            _tell(database, table=table, stamps=stamps, kinds=self._kinds)
            return True

        return self._use(write) or False

    def load_measures(self, images: ImageSet) -> Measures:
        """What is known of each row, found by its key; nothing where nothing is."""

        def read(database: sqlite3.Connection) -> Measures | None:
            keys = _load_text(database, "measured.keys")
            about = _about(database)
            if keys is None or "reasons" not in about:
                return None
            columns = {
                name: _load(database, f"measured.{name}", np.dtype(kind), shape) for name, (kind, shape) in COLUMNS.items()
            }
            texts = ({int(row): text for row, text in about[name].items()} for name in ("reasons", "remarks"))
            measures = Measures.from_columns(columns, **dict(zip(("reasons", "remarks"), texts, strict=True)))
            return measures if keys == images.keys else _matched(measures, keys, images.keys)

        found = self._use(read)
        return found if found is not None and len(found) == len(images) else Measures.empty(len(images))

    def save_measures(self, images: ImageSet, measures: Measures, *, rows: NDArray[np.int64] | None = None) -> bool:
        """Keep what was measured; returns whether it was kept.

        Args:
            rows: which rows are new since the last time; by default all.
        """

        def write(database: sqlite3.Connection) -> bool:
            chunks = None if rows is None or _load_text(database, "measured.keys") != images.keys else np.unique(rows // _CHUNK)
            if chunks is None:
                database.execute("DELETE FROM columns WHERE name LIKE 'measured.%'")
                _save(database, "measured.keys", images.keys)
            for name, column in measures.columns().items():
                _save(database, f"measured.{name}", column, chunks)
            _tell(database, reasons=measures.reasons, remarks=measures.remarks)
            return True

        return self._use(write) or False

    def load_pairs(self, measures: Measures, *, flips: bool) -> Pairs | None:
        """The near duplicates that were found among exactly these looks before, or ``None``."""

        from tlstudio.data.duplicates import Pairs

        def read(database: sqlite3.Connection) -> Pairs | None:
            if _about(database).get("pairs") != _seal(measures, flips):
                return None
            first, second = (_load(database, f"pairs.{name}", np.dtype(np.int64)) for name in ("first", "second"))
            return Pairs(first=first, second=second, similarity=_load(database, "pairs.similarity", np.dtype(np.float32)))

        return self._use(read)

    def save_pairs(self, measures: Measures, pairs: Pairs, *, flips: bool) -> bool:
        """Keep the near duplicates that were found among these; returns whether they were kept."""

        def write(database: sqlite3.Connection) -> bool:
            database.execute("DELETE FROM columns WHERE name LIKE 'pairs.%'")
            for name in ("first", "second", "similarity"):
                _save(database, f"pairs.{name}", getattr(pairs, name))
            _tell(database, pairs=_seal(measures, flips))
            return True

        return self._use(write) or False

    def _use(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result | None:
        """Do something with the file in one transaction; ``None`` where it cannot be used. A damaged one is thrown away."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                database.executescript(_SCHEMA)
                database.execute("BEGIN IMMEDIATE")
                if _about(database).get("version") != _VERSION:
                    database.execute("DELETE FROM columns")
                    database.execute("DELETE FROM about")
                    _tell(database, version=_VERSION)
                result = work(database)
                database.execute("COMMIT")
                return result
        except sqlite3.OperationalError:  # locked, full, read-only: do without
            return None
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError):
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    self.path.with_name(self.path.name + suffix).unlink()
        except OSError:
            return None
        return None


def _seal(measures: Measures, flips: bool) -> str:
    """Differs where the looks do, or which rows have one."""
    seal = hashlib.blake2b(digest_size=16, key=b"flips" if flips else b"")
    seal.update(measures.state.tobytes())
    seal.update(np.ascontiguousarray(measures.look).data)
    return seal.hexdigest()


def stale_rows(images: ImageSet, measures: Measures, *, progress: Progress | None = None) -> NDArray[np.int64]:
    """The measured rows ``(S,)`` whose file has another size or time than when it was measured, or is gone.

    Args:
        progress: see `Progress`; rows that were not reached when it ends the work are taken to be as they were.
    """
    stale: list[int] = []
    if not len(images) or images.path(0) is None:
        return np.empty(0, np.int64)
    root, names = os.fspath(images.root or ""), images.files or images.keys
    measured = np.flatnonzero(measures.state != NOT_MEASURED)
    for done, row in enumerate(measured.tolist()):
        try:
            stat = os.stat(os.path.join(root, names[row]))
            same = stat.st_size == measures.file_size[row] and stat.st_mtime_ns == measures.modified[row]
        except OSError:
            same = measures.file_size[row] < 0
        if not same:
            stale.append(row)
        if done % 4096 == 4095 and progress is not None and not progress(done + 1, len(measured)):
            break
    return np.array(stale, np.int64)


def forget(measures: Measures, rows: NDArray[np.int64]) -> Measures:
    """The same, with these rows not measured; the columns that do not change are shared."""
    if not len(rows):
        return measures
    state = measures.state.copy()
    state[rows] = NOT_MEASURED
    gone = set(rows.tolist())
    reasons = {row: text for row, text in measures.reasons.items() if row not in gone}
    remarks = {row: text for row, text in measures.remarks.items() if row not in gone}
    return replace(measures, state=state, reasons=reasons, remarks=remarks)


def _about(database: sqlite3.Connection) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in database.execute("SELECT name, value FROM about")}


def _tell(database: sqlite3.Connection, **values: object) -> None:
    rows = [(name, json.dumps(value)) for name, value in values.items()]
    database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)


def _save(
    database: sqlite3.Connection, name: str, column: NDArray[Any] | tuple[str, ...], chunks: NDArray[np.int64] | None = None
) -> None:
    """Write a column; of an array, only some chunks if they are given."""
    if isinstance(column, tuple):
        if any("\0" in text for text in column):
            raise ValueError("a zero byte in a name")
        for chunk, start in enumerate(range(0, max(1, len(column)), _CHUNK)):
            data = _text_bytes(column[start : start + _CHUNK])
            database.execute("INSERT OR REPLACE INTO columns VALUES (?, ?, ?)", (name, chunk, data))
        return
    for chunk in range(-(-len(column) // _CHUNK)) if chunks is None else chunks.tolist():
        data = np.ascontiguousarray(column[chunk * _CHUNK : (chunk + 1) * _CHUNK]).tobytes()
        database.execute("INSERT OR REPLACE INTO columns VALUES (?, ?, ?)", (name, chunk, data))


def _load(database: sqlite3.Connection, name: str, kind: np.dtype[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
    chunks = database.execute("SELECT data FROM columns WHERE name = ? ORDER BY chunk", (name,)).fetchall()
    return np.frombuffer(bytearray().join(data for (data,) in chunks), kind).reshape(-1, *shape)


def _load_text(database: sqlite3.Connection, name: str) -> tuple[str, ...] | None:
    """A column of texts; in steps, since one step over a million would keep every other thread waiting."""
    chunks = database.execute("SELECT data FROM columns WHERE name = ? ORDER BY chunk", (name,)).fetchall()
    texts: list[str] = []
    for (data,) in chunks:
        if data:
            texts.extend(data.decode("utf-8", "surrogateescape")[1:].split("\0"))
    return tuple(texts) if chunks else None


def _text_bytes(texts: tuple[str, ...]) -> bytes:
    """All texts in one, each with a zero byte before it: so none and one that is empty differ."""
    return "".join(f"\0{text}" for text in texts).encode("utf-8", "surrogateescape")


def _read_table(database: sqlite3.Connection, about: dict[str, Any]) -> ImageSet:
    keys = _load_text(database, "table.keys")
    there = {name for (name,) in database.execute("SELECT DISTINCT name FROM columns")}
    if keys is None or "table.labels" not in there:
        raise ValueError("the table is not whole")
    columns: dict[str, Any] = {name: _load_text(database, f"table.{name}") for name in _TEXTS}
    for name, (kind, shape) in _ARRAYS.items():
        columns[name] = (
            _load(database, f"table.{name}", np.dtype(kind), shape) if f"table.{name}" in there or name == "labels" else None
        )
    return ImageSet(
        classes=tuple(about["classes"]),
        keys=keys,
        root=Path(about["root"]),
        sources=tuple(about["sources"]),
        notes=tuple(about["notes"]),
        **columns,
    )


def _matched(measures: Measures, keys: tuple[str, ...], wanted: tuple[str, ...]) -> Measures:
    """The measures of other keys, in their order; nothing for those that are new."""
    place = {key: row for row, key in enumerate(keys)}
    source = np.array([place.get(key, -1) for key in wanted], np.int64)
    there = source >= 0
    result = Measures.empty(len(wanted))
    for name, column in result.columns().items():
        column[there] = measures.columns()[name][source[there]]
    target = {int(old): new for new, old in enumerate(source) if old >= 0}
    for before, after in ((measures.reasons, result.reasons), (measures.remarks, result.remarks)):
        after.update({target[row]: text for row, text in before.items() if row in target})
    return result


def _stamps(images: ImageSet, files: Iterable[str]) -> dict[str, int]:
    """When each folder of images, each folder below the root and each file of labels changed, in ns; -1: too lately to tell."""
    root = os.fspath(images.root or "")
    names = images.files or images.keys
    folders = {root, *(os.path.dirname(os.path.join(root, name)) for name in names)}
    for folder, _subfolders, _files in os.walk(root):
        folders.add(folder)
    now = time.time_ns()
    stamps = {}
    for path in (*folders, *images.sources, *files):
        with contextlib.suppress(OSError):
            changed = os.stat(path).st_mtime_ns
            stamps[path] = changed if now - changed > _RACY_NS else -1
    return stamps


def _unchanged(stamps: dict[str, int]) -> bool:
    try:
        return all(os.stat(path).st_mtime_ns == changed for path, changed in stamps.items())
    except OSError:
        return False
