"""Arrays by key in one file that only grows, mapped into memory: decoded images, and the output of frozen layers.

Everything in here can be computed again. So nothing waits for the disk: a full disk, a folder that cannot be written or
a second run at the same time only mean that less is kept; and what a power cut has torn is found by its checksum and computed
anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import numpy as np

from tlstudio import safe_io

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

FORMAT = 1
_DATA, _INDEX, _ABOUT, _LOCK = "data.bin", "index.npy", "about.json", "lock"
_ENTRY = np.dtype([("key", "V16"), ("offset", "<u8"), ("shape", "<u4", (3,)), ("sum", "<u4")])
_FREE = 2**30  # bytes of the disk that are never used up
_LOOK_EVERY = 64 * 2**20


class RowStore:
    """Arrays of up to three dimensions and one type, by a key of 16 bytes. Threads may share it.

    Args:
        folder: of its own; made where it is missing.
        dtype: of all arrays.
        budget: bytes that the data may take.
        about: what the arrays are; a folder with something else in it is emptied.
    """

    def __init__(self, folder: Path, dtype: DTypeLike, *, budget: int, about: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self._dtype = np.dtype(dtype)
        self._budget = budget
        self._about = {"format": FORMAT, "dtype": self._dtype.str, **(about or {})}
        self._guard = threading.Lock()
        self._places: dict[bytes, int] = {}
        self._entries = np.empty(0, _ENTRY)
        self._count = 0
        self._checked = np.empty(0, bool)
        self._size = 0
        self._mapped: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._looked_at = 0
        self._file: int | None = None
        self._lock: filelock.BaseFileLock | None = None
        self._unsaved = False
        with contextlib.suppress(OSError, ValueError):
            self._open()

    def __len__(self) -> int:
        """How many arrays it holds."""
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        """Whether it holds an array of this key; whether that is intact, only `get` finds out."""
        return key in self._places

    @property
    def writable(self) -> bool:
        """Whether this process may add to it."""
        return self._file is not None

    def get(self, key: bytes) -> NDArray[Any] | None:
        """The array, read-only and without copying it; ``None`` where there is none or it is not as it was written."""
        with self._guard:
            place = self._places.get(key)
            if place is None:
                return None
            entry = self._entries[place]
            start, shape = int(entry["offset"]), tuple(int(side) for side in entry["shape"] if side)
            data = self._bytes(start, int(np.prod(shape)) * self._dtype.itemsize)
            known_good = bool(self._checked[place])
        if data is None or not (known_good or zlib.crc32(data.data) == int(entry["sum"])):
            with self._guard:
                self._places.pop(key, None)
            return None
        self._checked[place] = True
        return data.view(self._dtype).reshape(shape)

    def put(self, key: bytes, array: NDArray[Any]) -> bool:
        """Keep an array; tells whether it was kept.

        Raises:
            ValueError: of another type, with more than three dimensions, or empty.
        """
        if array.dtype != self._dtype or not 1 <= array.ndim <= 3 or not array.size:
            raise ValueError(f"cannot keep {array.dtype} of shape {array.shape}")
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        checksum = zlib.crc32(data.data)
        with self._guard:
            if self._file is None or key in self._places or not self._has_room(data.nbytes):
                return key in self._places
            try:
                _write_at(self._file, data, self._size)
            except OSError:  # the disk is full or gone: no more is kept
                self._release()
                return False
            self._add(key, self._size, array.shape, checksum)
            self._size += data.nbytes
        return True

    def save(self) -> None:
        """Make what was added known to later processes."""
        with self._guard, contextlib.suppress(OSError):
            if self._file is not None and self._unsaved:
                live = np.zeros(self._count, bool)
                live[list(self._places.values())] = True
                entries = self._entries[: self._count][live]
                safe_io.atomic_write(self.folder / _INDEX, lambda file: np.save(file, entries, allow_pickle=False))
                self._unsaved = False

    def close(self) -> None:
        """Save, and let others write."""
        self.save()
        with self._guard:
            self._release()
            self._places.clear()
            self._mapped = np.empty(0, np.uint8)

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.folder / _LOCK, blocking=False)
        with contextlib.suppress(filelock.Timeout, OSError):
            lock.acquire()
            self._lock = lock
        with contextlib.suppress(OSError, ValueError):
            self._read_index()
        if self._lock is None:
            return
        try:
            if not self._places:  # another process may still have the old file mapped: it keeps it
                (self.folder / _DATA).unlink(missing_ok=True)
                (self.folder / _INDEX).unlink(missing_ok=True)
                safe_io.write_json(self.folder / _ABOUT, self._about)
            os.utime(self.folder / _ABOUT)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.folder / _DATA, flags, 0o666)
            if os.fstat(self._file).st_size != self._size:
                os.ftruncate(self._file, self._size)  # what lies behind was never known to the index
        except OSError:
            self._release()

    def _read_index(self) -> None:
        about = json.loads((self.folder / _ABOUT).read_bytes())
        if about != self._about:
            return
        entries = np.load(self.folder / _INDEX, allow_pickle=False)
        if entries.dtype != _ENTRY:
            return
        sizes = _bytes_of(entries, self._dtype.itemsize)
        there = (self.folder / _DATA).stat().st_size
        entries = entries[entries["offset"] + sizes <= there]
        self._entries, self._count = entries, len(entries)
        self._checked = np.zeros(len(entries), bool)
        self._size = int((entries["offset"] + _bytes_of(entries, self._dtype.itemsize)).max(initial=0))
        self._places = {bytes(key): place for place, key in enumerate(entries["key"].tolist())}

    def _add(self, key: bytes, offset: int, shape: tuple[int, ...], checksum: int) -> None:
        if self._count == len(self._entries):
            more = max(1024, self._count // 2)
            self._entries = np.concatenate([self._entries, np.zeros(more, _ENTRY)])
            self._checked = np.concatenate([self._checked, np.zeros(more, bool)])
        entry = self._entries[self._count]
        entry["key"], entry["offset"], entry["sum"] = np.void(key), offset, checksum
        entry["shape"] = (*shape, *(0,) * (3 - len(shape)))
        self._checked[self._count] = True
        self._places[key] = self._count
        self._count += 1
        self._unsaved = True

    def _bytes(self, start: int, size: int) -> NDArray[np.uint8] | None:
        """A part of the file, mapped; the map is made anew, and larger, when the file has grown beyond it."""
        if start + size > len(self._mapped):
            try:
                there = os.stat(self.folder / _DATA).st_size
                if start + size > there:
                    return None
                self._mapped = np.memmap(self.folder / _DATA, np.uint8, mode="r", shape=(there,))
            except (OSError, ValueError):
                return None
        part: NDArray[np.uint8] = np.asarray(self._mapped[start : start + size])
        return part

    def _has_room(self, more: int) -> bool:
        if self._size + more > self._budget:
            return False
        if self._size + more > self._looked_at:
            with contextlib.suppress(OSError):
                if shutil.disk_usage(self.folder).free < _FREE + _LOOK_EVERY:
                    return False
            self._looked_at = self._size + _LOOK_EVERY
        return True

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def make_room(folder: Path, budget: int, *, keep: Iterable[Path] = ()) -> int:
    """Delete the stores below a folder that were not used for longest, until they take at most ``budget`` bytes.

    A store that another process writes at the moment stays; those in ``keep`` stay and are not counted. Returns the bytes that
    the others take then.
    """
    kept, total = set(keep), 0
    with contextlib.suppress(OSError):
        sizes = {path: _size_of(path / _DATA) for path in folder.iterdir() if path.is_dir() and path not in kept}
        total = sum(sizes.values())
        for path in sorted(sizes, key=lambda path: _used_at(path / _ABOUT)):
            if total > budget and _delete(path):
                total -= sizes[path]
    return total


def _delete(store: Path) -> bool:
    try:
        with filelock.FileLock(store / _LOCK, blocking=False):
            (store / _INDEX).unlink(missing_ok=True)
            (store / _DATA).unlink(missing_ok=True)
    except (OSError, filelock.Timeout):
        return False
    shutil.rmtree(store, ignore_errors=True)
    return True


def _write_at(file: int, data: NDArray[np.uint8], offset: int) -> None:
    view = data.data
    os.lseek(file, offset, os.SEEK_SET)
    while view:
        view = view[os.write(file, view) :]


def _bytes_of(entries: NDArray[Any], itemsize: int) -> NDArray[np.uint64]:
    """The bytes of each entry, ``(n,)`` uint64; an unused dimension counts as one."""
    sizes: NDArray[np.uint64] = np.maximum(entries["shape"], 1).astype(np.uint64).prod(axis=1) * np.uint64(itemsize)
    return sizes


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _used_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
