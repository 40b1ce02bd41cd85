"""Small pictures of images, and the disk cache that keeps them: nothing here may cost the user more than a missing thumbnail.

The cache is one SQLite file for all data sets, since then there is one budget and one order of use: what was not looked at for
longest goes first, whichever folder it came from. A thumbnail is found by a digest of all that it was made from (path, box,
size and time of the file, its own side), so that of a changed file is not found. Nothing is written beside the user's data.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

    from tlstudio.api.dataset import ImageSet

BUDGET = 2 * 2**30
"""Bytes that the cache may take on the disk."""

_FILE = "thumbnails.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS thumbnails (id INTEGER PRIMARY KEY, rest BLOB NOT NULL, used REAL NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS thumbnails_used ON thumbnails (used);
"""
_BROKEN = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH})
_MAX_FAILURES = 20  # then the disk is full, read-only or gone: go without for the rest of the session
_PAGE = 8192  # most thumbnails fit in one or two
_TOUCH_SECONDS = 12 * 3600.0  # reading writes down the time of use no more often than this
_BATCH = 64
_BATCH_SECONDS = 0.3
_MAX_WAITING = 64 * 2**20  # bytes of pictures waiting for the writer; beyond it, new ones are not kept


class Thumb(NamedTuple):
    """A small picture. ``whole``: it has all the pixels of the image, so enlarging it shows these pixels."""

    picture: Image
    whole: bool


def shrink(image: Image, side: int) -> Thumb:
    """An image made to fit a square of ``side`` pixels; a smaller one stays as it is. Changes ``image``."""
    whole = image.width <= side and image.height <= side
    if not whole:
        image.thumbnail((side, side), reducing_gap=2.0)
    return Thumb(image, whole)


def thumbnail_key(images: ImageSet, row: int, side: int) -> bytes | None:
    """A digest (16 bytes) of all that a thumbnail is made from; ``None`` where the data are no files, or the file is gone."""
    path = images.path(row)
    if path is None:
        return None
    try:
        stat = os.stat(path)
    except OSError:
        return None
    box = b"" if images.boxes is None else images.boxes[row].tobytes()
    facts = f"\0{stat.st_size}\0{stat.st_mtime_ns}\0{side}\0".encode()
    return hashlib.blake2b(os.fsencode(os.path.abspath(path)) + facts + box, digest_size=16).digest()


class ThumbnailCache:
    """The disk cache. All threads may use it; no method raises, waits for a writer, or needs the file to be sound.

    Args:
        folder: where its file lies; made when first needed.
        budget: bytes it may take; beyond them the thumbnails that were not used for longest go.
        clock: seconds, for the order of use.
    """

    def __init__(self, folder: Path, *, budget: int = BUDGET, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._budget, self._clock = folder, budget, clock
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._failures = 0
        self._waiting: deque[tuple[bytes, Thumb | None]] = deque()
        self._bytes = 0
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._hurry = False

    def get(self, key: bytes) -> Thumb | None:
        """The thumbnail kept under a key, or ``None``."""
        number, rest = _split(key)
        found: tuple[bytes, float, bytes] | None = None
        if self._given_up():
            return None
        with self._forgiven(), self._reading:
            if self._reader is None:
                self._reader = self._open()
            found = self._reader.execute("SELECT rest, used, data FROM thumbnails WHERE id = ?", (number,)).fetchone()
        if found is None or found[0] != rest:
            return None
        if self._clock() - found[1] > _TOUCH_SECONDS:
            self._add(key, None)
        return _unpacked(found[2])

    def put(self, key: bytes, thumb: Thumb) -> None:
        """Keep a thumbnail; it is written later, by another thread. ``thumb`` must not be changed afterwards."""
        if not self._given_up():
            self._add(key, thumb)

    def flush(self, seconds: float = 10.0) -> bool:
        """Write what waits, now; ``False`` where that takes longer."""
        with self._state:
            self._hurry = True
            self._state.notify_all()
            return self._state.wait_for(lambda: self._thread is None, seconds)

    def close(self) -> None:
        """Let go of the file; what waits to be written still is. Another `get` opens it again."""
        with self._state:
            self._hurry = True
            self._state.notify_all()
        if self._reading.acquire(blocking=False):  # else a thread reads just now: it will be closed with this object
            self._close_reader()
            self._reading.release()

    # Writing

    def _add(self, key: bytes, thumb: Thumb | None) -> None:
        with self._state:
            if self._bytes > _MAX_WAITING:
                return
            self._waiting.append((key, thumb))
            self._bytes += _bytes_of(thumb)
            if self._thread is None:
                self._hurry = False
                self._thread = threading.Thread(target=self._write_all, name="thumbnail cache", daemon=True)
                self._thread.start()
            elif len(self._waiting) >= _BATCH:
                self._state.notify_all()

    def _write_all(self) -> None:
        """The writer: one transaction for many thumbnails; ends when there are no more, so that no idle thread is left."""
        while True:
            with self._state:
                self._state.wait_for(lambda: self._hurry or len(self._waiting) >= _BATCH, _BATCH_SECONDS)
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                self._bytes -= sum(_bytes_of(thumb) for _, thumb in batch)
                if not batch:
                    self._thread = None
                    self._state.notify_all()
                    return
            if not self._given_up():
                packed = [(*_split(key), None if thumb is None else _packed(thumb)) for key, thumb in batch]
                with self._forgiven(), self._writing, closing(self._open()) as connection:
                    _write(connection, packed, self._clock())
                    _evict(connection, self._budget)

    # The file

    def _given_up(self) -> bool:
        return self._failures >= _MAX_FAILURES

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """What fails within is only not cached; a file that turns out to be broken is thrown away."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._failures += 1
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN:
                self._discard()

    def _open(self) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self._folder / _FILE, timeout=0.25, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != _VERSION:
                connection.executescript(f"BEGIN IMMEDIATE; DROP TABLE IF EXISTS thumbnails; {_SCHEMA}"
                                         f"PRAGMA user_version = {_VERSION}; COMMIT;")  # fmt: skip
        except BaseException:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        with self._reading, self._writing:
            self._close_reader()
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):
                    (self._folder / (_FILE + suffix)).unlink(missing_ok=True)

    def _close_reader(self) -> None:
        if self._reader is not None:
            with suppress(sqlite3.Error):
                self._reader.close()
            self._reader = None


class CachedThumbnails:
    """Thumbnails of one table of images, from the disk cache where they are in it. All threads may call it."""

    def __init__(self, images: ImageSet, cache: ThumbnailCache) -> None:
        self._images, self._cache = images, cache

    def __call__(self, row: int, side: int) -> Thumb:
        """The thumbnail of a row; raises as `ImageSet.load`."""
        key = thumbnail_key(self._images, row, side)
        found = None if key is None else self._cache.get(key)
        if found is not None:
            return found
        thumb = shrink(self._images.load(row, draft=side), side)
        if key is not None:
            self._cache.put(key, thumb)
        return thumb

    def close(self) -> None:
        """Let go of the file of the cache."""
        self._cache.close()


def _split(key: bytes) -> tuple[int, bytes]:
    """The number under which SQLite finds a row, and the rest of the digest, which must be that of the row found."""
    return int.from_bytes(key[:8], "big", signed=True), key[8:]


def _bytes_of(thumb: Thumb | None) -> int:
    return 0 if thumb is None else 3 * thumb.picture.width * thumb.picture.height


def _packed(thumb: Thumb) -> bytes:
    """A file's bytes: PNG keeps each pixel of an image that was not made smaller; otherwise JPEG."""
    file = io.BytesIO()
    if thumb.whole:
        thumb.picture.save(file, "PNG", compress_level=1)
    else:
        thumb.picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def _unpacked(data: bytes) -> Thumb | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            image.load()
            return Thumb(image, image.format == "PNG") if image.mode == "RGB" else None
    except Exception:  # noqa: BLE001 - bytes that rotted on the disk; the image itself is asked again
        return None


def _write(connection: sqlite3.Connection, rows: list[tuple[int, bytes, bytes | None]], now: float) -> None:
    """Insert thumbnails, and write down the time of use of those that come without bytes; in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    new = [(number, rest, now, data) for number, rest, data in rows if data is not None]
    used = [(now, number) for number, _, data in rows if data is None]
    connection.executemany("INSERT OR REPLACE INTO thumbnails (id, rest, used, data) VALUES (?, ?, ?, ?)", new)
    connection.executemany("UPDATE thumbnails SET used = ? WHERE id = ?", used)
    connection.execute("COMMIT")


def _evict(connection: sqlite3.Connection, budget: int) -> None:
    """Where the pages in use exceed the budget, delete what was not used for longest until a tenth of it is free.

    The file itself never shrinks: its free pages take the next thumbnails.
    """
    if _used_bytes(connection) <= budget:
        return
    while _used_bytes(connection) > 0.9 * budget:
        count = connection.execute("SELECT count(*) FROM thumbnails").fetchone()[0]
        if not count:
            return
        oldest = "SELECT id FROM thumbnails ORDER BY used LIMIT ?"
        connection.execute(f"DELETE FROM thumbnails WHERE id IN ({oldest})", (max(1, count // 32),))


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int(pages - free) * int(size)
