"""Images to batches of pixels: decoded by threads, kept in memory where they fit, fetched ahead of the step that needs them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import DataError, ImageError
from tlstudio.api.images import printable
from tlstudio.engine.augment import Preset, plain_view, random_view
from tlstudio.engine.random import epoch_order, sample_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Item = TypeVar("_Item")

_MEMORY_BUDGET = 2 * 2**30
_LOST_LIMIT = 20
_LOST_SHARE = 0.01


class ImageSource:
    """The images of a run as pixels. One row's plain view is always the same; a varied one depends on the draw and the row.

    Args:
        images: the table.
        preprocessing: geometry of the views.
        preset: random variation of training views.
        augment: its details.
        seed: of the run.
        memory: bytes that plain views may occupy.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocessing: Preprocessing,
        *,
        preset: Preset = "none",
        augment: AugmentConfig | None = None,
        seed: int = 0,
        memory: int = _MEMORY_BUDGET,
    ) -> None:
        self.images = images
        self.preprocessing = preprocessing
        self.preset = preset
        self.unreadable: dict[int, str] = {}
        self._augment = augment or AugmentConfig()
        self._seed = seed
        self._capacity = memory // (preprocessing.image_size**2 * 3)
        self._plain: dict[int, NDArray[np.uint8]] = {}
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")

    def close(self) -> None:
        """End the decoding threads."""
        self._pool.shutdown(cancel_futures=True)

    def read_all(self, rows: Sequence[int] | NDArray[np.int64], *, chunk: int = 64) -> Iterator[int]:
        """Decode every image once, so that bad ones are known (`unreadable`) before training; yields how many are done."""
        for start in range(0, len(rows), chunk):
            part = rows[start : start + chunk]
            self.batch(part)
            yield start + len(part)

    def batch(
        self, rows: Sequence[int] | NDArray[np.int64], *, draw: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Pixels ``(n, S, S, 3)`` uint8 and the rows they belong to; a row that cannot be read is left out and noted.

        Args:
            draw: number of the random variation; ``None`` for the plain view.
        """
        view = self._plain_row if draw is None or self.preset == "none" else lambda row: self._random_row(row, draw)
        results = list(self._pool.map(self._guarded(view), rows))
        kept = [(row, pixels) for row, pixels in zip(rows, results, strict=True) if pixels is not None]
        side = self.preprocessing.image_size
        stacked = np.stack([pixels for _, pixels in kept]) if kept else np.empty((0, side, side, 3), np.uint8)
        return stacked, np.array([row for row, _ in kept], dtype=np.int64)

    def check_losses(self, known: int, total: int) -> None:
        """Raise `DataError` when many images that were readable at the start no longer are: the drive is gone."""
        lost = len(self.unreadable) - known
        if lost > max(_LOST_LIMIT, _LOST_SHARE * total):
            names = [printable(self.images.keys[row]) for row in list(self.unreadable)[known : known + 10]]
            raise DataError(
                f"{lost} images can no longer be read.",
                detail="\n".join(names),
                hint="Check that the drive is connected, then start the run again.",
            )

    def _guarded(self, view: Callable[[int], NDArray[np.uint8]]) -> Callable[[int], NDArray[np.uint8] | None]:
        def guarded(row: int) -> NDArray[np.uint8] | None:
            try:
                return view(int(row))
            except ImageError as error:
                self.unreadable.setdefault(int(row), error.title)
                return None

        return guarded

    def _plain_row(self, row: int) -> NDArray[np.uint8]:
        known = self._plain.get(row)
        if known is not None:
            return known
        pixels = plain_view(self.images.load(row), self.preprocessing)
        if len(self._plain) < self._capacity:
            self._plain[row] = pixels
        return pixels

    def _random_row(self, row: int, draw: int) -> NDArray[np.uint8]:
        rng = sample_generator(self._seed, draw, row)
        flip = self._augment.vertical_flip
        return random_view(self.images.load(row), self.preprocessing, self.preset, rng, vertical_flip=flip)


def epoch_batches(rows: NDArray[np.int64], *, batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The rows of one training epoch in shuffled batches.

    A last batch of one image joins the one before it: batch norm cannot learn from a single image.
    """
    return in_batches(rows[epoch_order(seed, epoch, len(rows))], batch_size, join_single=True)


def in_batches(rows: NDArray[np.int64], batch_size: int, *, join_single: bool = False) -> list[NDArray[np.int64]]:
    """Rows in order, cut into batches."""
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    if join_single and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def ahead(tasks: Iterable[Callable[[], _Item]], *, depth: int = 2) -> Iterator[_Item]:
    """The results of the tasks in order, each computed in a thread up to ``depth`` tasks ahead of its use."""
    waiting: deque[Future[_Item]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
