"""Thumbnails: decoded behind the window, visible ones first, the last used ones kept in memory.

A row that cannot be decoded has a reason instead of a picture.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QImage, QPixmap

from tlstudio.api.errors import ImageError
from tlstudio.gui.widgets.background import Task, run_in_background

if TYPE_CHECKING:
    from PIL.Image import Image

Load = Callable[[int, int], "Image"]
"""``load(row, side)``: an RGB image, decoded no smaller than ``side`` pixels unless it is smaller itself."""

SIDES = (96, 192, 384)
"""Sides in pixels that are decoded and kept; a cell takes the smallest that is not smaller than itself."""

_MAX_BYTES = 192 * 2**20
_DRAIN_MS = 16
_DRAIN_IMAGES = 24  # a frame's worth: turning more of them into pixmaps at once would be felt


@dataclass(frozen=True)
class Thumbnail:
    """A decoded thumbnail. ``whole``: it has all the pixels of the image, so enlarging it shows these pixels."""

    pixmap: QPixmap
    side: int
    whole: bool
    reason: str = ""
    """Why there is no picture; empty where there is one."""


def to_qimage(image: Image) -> QImage:
    """A QImage with its own copy of an RGB image's pixels."""
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    width, height = rgb.size
    return QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()


def side_for(pixels: float) -> int:
    """The decoded side for a cell of so many device pixels."""
    return next((side for side in SIDES if side >= pixels), SIDES[-1])


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), thread_name_prefix="thumbnails")


class ThumbnailStore(QObject):
    """Thumbnails of one table of images. `want` says what is visible; `ready` tells that some arrived."""

    ready = Signal()

    def __init__(self, load: Load, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._load = load
        self._lock = threading.Lock()
        self._queue: list[tuple[int, int]] = []
        self._pending: set[tuple[int, int]] = set()
        self._arrived: list[tuple[int, int, QImage | None, bool, str]] = []
        self._workers = 0
        self._tasks: set[Task] = set()
        self._kept: OrderedDict[tuple[int, int], Thumbnail] = OrderedDict()
        self._bytes = 0
        self._timer = QTimer(self, interval=_DRAIN_MS)
        self._timer.timeout.connect(self._drain)

    def get(self, row: int, side: int) -> Thumbnail | None:
        """The thumbnail of a row, of this side or the nearest one that is there."""
        exact = self._kept.get((row, side))
        if exact is not None:
            self._kept.move_to_end((row, side))
            return exact
        return next((found for other in reversed(SIDES) if (found := self._kept.get((row, other))) is not None), None)

    def want(self, rows: Sequence[int], side: int) -> None:
        """These rows are visible or soon will be, the most urgent first; what was wanted before and is not, is dropped."""
        missing = [(row, side) for row in rows if (row, side) not in self._kept]
        if not missing:
            return
        with self._lock:
            self._queue = [key for key in reversed(missing) if key not in self._pending]
            start = min(len(self._queue), _pool()._max_workers - self._workers)
            self._workers += max(0, start)
        for _ in range(start):
            self._tasks.add(run_in_background(self, self._work, pool=_pool()))
        self._timer.start()

    def close(self) -> None:
        """Decode nothing more."""
        with self._lock:
            self._queue = []
        for task in self._tasks:
            task.cancel()
        self._timer.stop()

    def _work(self, task: Task) -> None:
        while True:
            with self._lock:
                if not self._queue or task.cancelled:
                    self._workers -= 1
                    return
                key = self._queue.pop()
                self._pending.add(key)
            arrived = (*key, *self._decoded(*key))
            with self._lock:
                self._arrived.append(arrived)

    def _decoded(self, row: int, side: int) -> tuple[QImage | None, bool, str]:
        try:
            image = self._load(row, side)
            whole = image.width <= side and image.height <= side
            if not whole:
                image.thumbnail((side, side), reducing_gap=2.0)
            return to_qimage(image), whole, ""
        except ImageError as error:
            return None, False, error.title
        except Exception as error:  # noqa: BLE001 - a plugin's reader may raise anything; it is one image that fails
            return None, False, str(error) or type(error).__name__

    @Slot()
    def _drain(self) -> None:
        with self._lock:
            batch, self._arrived = self._arrived[:_DRAIN_IMAGES], self._arrived[_DRAIN_IMAGES:]
            for row, side, *_ in batch:
                self._pending.discard((row, side))
            idle = not self._workers and not self._arrived
        for row, side, image, whole, reason in batch:
            self._keep((row, side), Thumbnail(QPixmap() if image is None else QPixmap.fromImage(image), side, whole, reason))
        if idle:
            self._timer.stop()
            self._tasks.clear()
        if batch:
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
