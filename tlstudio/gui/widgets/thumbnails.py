"""Thumbnails: decoded behind the window, visible ones first, the last used ones kept in memory.

A row that cannot be decoded has a reason instead of a picture.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from tlstudio import paths
from tlstudio.api.errors import ImageError
from tlstudio.data.thumbnails import CachedThumbnails, Thumb, ThumbnailCache, shrink
from tlstudio.gui.widgets.background import Task, run_in_background

if TYPE_CHECKING:
    from PIL.Image import Image

    from tlstudio.api.dataset import ImageSet

Load = Callable[[int, int], "Image"]
"""``load(row, side)``: an RGB image, decoded no smaller than ``side`` pixels unless it is smaller itself."""

Fit = tuple[int, int]
"""Width and height in device pixels of the place in a cell where a picture is drawn."""

SIDES = (96, 192, 384, 640)
"""Sides in pixels that are decoded and kept; a cell takes the smallest that is not smaller than itself."""

_MAX_BYTES = 192 * 2**20
_DRAIN_MS = 16
_DRAIN_SECONDS = 0.003  # of the 16 ms of a frame: turning more of them into pixmaps at once would be felt
_BAND_PIXELS = 2**19
_NICENESS = 5
_SWITCH_SECONDS = 0.0001
"""How long a decoding thread may keep Python's lock when the window wants it; with the usual 5 ms the dozens of times that one
painting asks for it add up to a visible pause."""


@dataclass(frozen=True)
class Thumbnail:
    """A decoded thumbnail. ``whole``: it has all the pixels of the image, so enlarging it shows these pixels."""

    pixmap: QPixmap
    side: int
    whole: bool
    fit: Fit | None = None
    """The cell it was made to fit, where it was."""
    reason: str = ""
    """Why there is no picture; empty where there is one."""


def to_qimage(image: Image) -> QImage:
    """A QImage with its own copy of an RGB image's pixels, in the format that the screen takes as it is. For any thread."""
    width, height = image.size
    if width * height > _BAND_PIXELS:
        return _in_bands(image)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    view = QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return view.convertToFormat(QImage.Format.Format_RGB32)


def _in_bands(image: Image) -> QImage:
    """The same band by band: Qt converts under Python's lock, and the window would wait until a large picture is done."""
    import numpy as np

    width, height = image.size
    result = QImage(width, height, QImage.Format.Format_RGB32)
    pixels = np.frombuffer(result.bits(), np.uint8).reshape(height, 4 * width)
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = to_qimage(image.crop((0, top, width, min(height, top + rows))))
        pixels[top : top + rows] = np.frombuffer(band.constBits(), np.uint8).reshape(-1, 4 * width)
    return result


def side_for(pixels: float) -> int:
    """The decoded side for a cell of so many device pixels."""
    return next((side for side in SIDES if side >= pixels), SIDES[-1])


def _workers() -> int:
    return max(1, min(4, os.cpu_count() or 1))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_workers(), thread_name_prefix="thumbnails", initializer=_be_nice)


def _be_nice() -> None:
    """Let the window go first where both want the processor (on Linux niceness belongs to the thread)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class _Decoded(NamedTuple):
    row: int
    side: int
    fit: Fit | None
    image: QImage | None
    whole: bool
    reason: str


class ThumbnailStore(QObject):
    """Thumbnails of one table of images. `want` says what is visible; `arrived` tells what came.

    Args:
        load: how to decode an image; its thumbnails are kept in memory only. `of_images` keeps them on disk, too.
    """

    arrived = Signal(object)
    """frozenset[int]: rows that now have a thumbnail."""
    ready = Signal()
    """The same, for who repaints everything."""

    def __init__(self, load: Load, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._make: Callable[[int, int], Thumb] = lambda row, side: shrink(load(row, side), side)
        self._close: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._queue: list[tuple[int, int]] = []
        self._fit: Fit | None = None
        self._pending: set[tuple[int, int, Fit | None]] = set()
        self._arrived: deque[_Decoded] = deque()
        self._workers = 0
        self._tasks: set[Task] = set()
        self._kept: OrderedDict[tuple[int, int], Thumbnail] = OrderedDict()
        self._bytes = 0
        self._timer = QTimer(self, interval=_DRAIN_MS)
        self._timer.timeout.connect(self._drain)

    @classmethod
    def of_images(cls, images: ImageSet, parent: QObject | None = None) -> ThumbnailStore:
        """The thumbnails of a table of images; those of files are kept on disk."""
        store = cls(lambda row, side: images.load(row, draft=side), parent)
        source = CachedThumbnails(images, ThumbnailCache(paths.cache() / "thumbnails"))
        store._make, store._close = source, source.close
        return store

    def get(self, row: int, side: int) -> Thumbnail | None:
        """The thumbnail of a row, of this side or the nearest one that is there."""
        exact = self._kept.get((row, side))
        if exact is not None:
            self._kept.move_to_end((row, side))
            return exact
        return next((found for other in reversed(SIDES) if (found := self._kept.get((row, other))) is not None), None)

    def want(self, rows: Iterable[int], side: int, fit: Fit | None = None) -> None:
        """These rows are visible or soon will be, the most urgent first; what was wanted before and is not, is dropped.

        Args:
            fit: make them so small that they fit in there, so that painting need not scale them.
        """
        kept = self._kept
        missing = [key for row in rows if (found := kept.get(key := (row, side))) is None or found.fit != fit]
        with self._lock:
            self._fit = fit
            self._queue = [key for key in reversed(missing) if (*key, fit) not in self._pending]
            start = max(0, min(len(self._queue), _workers() - self._workers))
            self._workers += start
        if start and sys.getswitchinterval() > _SWITCH_SECONDS:
            sys.setswitchinterval(_SWITCH_SECONDS)
        for _ in range(start):
            self._tasks.add(run_in_background(self, self._work, pool=_pool()))
        if missing:
            self._timer.start()

    def close(self) -> None:
        """Decode nothing more."""
        with self._lock:
            self._queue = []
        for task in self._tasks:
            task.cancel()
        self._timer.stop()
        self._close()

    def _work(self, task: Task) -> None:
        while True:
            with self._lock:
                if not self._queue or task.cancelled:
                    self._workers -= 1
                    return
                key, fit = self._queue.pop(), self._fit
                self._pending.add((*key, fit))
            self._arrived.append(_Decoded(*key, fit, *self._decoded(*key, fit)))

    def _decoded(self, row: int, side: int, fit: Fit | None) -> tuple[QImage | None, bool, str]:
        try:
            picture, whole = self._make(row, side)
            if fit is not None and (picture.width > fit[0] or picture.height > fit[1]):
                picture, whole = picture.copy(), False
                picture.thumbnail(fit)
            return to_qimage(picture), whole, ""
        except ImageError as error:
            return None, False, error.title
        except Exception as error:  # noqa: BLE001 - a plugin's reader may raise anything; it is one image that fails
            return None, False, str(error) or type(error).__name__

    @Slot()
    def _drain(self) -> None:
        end, came = time.perf_counter() + _DRAIN_SECONDS, set()
        while self._arrived and time.perf_counter() < end:
            new = self._arrived.popleft()
            if new.fit == self._fit or (new.row, new.side) not in self._kept:  # not one for cells as they were before
                pixmap = QPixmap() if new.image is None else QPixmap.fromImage(new.image)
                self._keep((new.row, new.side), Thumbnail(pixmap, new.side, new.whole, new.fit, new.reason))
            came.add((new.row, new.side, new.fit))
        with self._lock:
            self._pending -= came
            idle = not self._workers and not self._arrived
        if idle:
            self._timer.stop()
            self._tasks.clear()
        if came:
            self.arrived.emit(frozenset(row for row, *_ in came))
            self.ready.emit()

    def _keep(self, key: tuple[int, int], thumbnail: Thumbnail) -> None:
        if key in self._kept:
            self._bytes -= _size(self._kept.pop(key))
        self._kept[key] = thumbnail
        self._bytes += _size(thumbnail)
        while self._bytes > _MAX_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)


def _size(thumbnail: Thumbnail) -> int:
    return 4 * thumbnail.pixmap.width() * thumbnail.pixmap.height() + 256
