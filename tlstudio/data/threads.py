"""Work over the files of many images in threads: in batches, with results as they come, and ended at once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tlstudio.api.dataset import ImageSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

Progress = Callable[[int, int], bool]
"""``progress(done, total)``, called at least every tenth of a second; ``False`` ends the work early."""

T = TypeVar("T")
Rows = TypeVar("Rows")
_TICK = 0.1


def batches(images: ImageSet, rows: NDArray[np.int64], size: int) -> Iterator[list[list[int]]]:
    """The rows by file (rows of one file together), some files at a time."""
    if images.files is None or images.boxes is None:
        for start in range(0, len(rows), size):
            yield [[row] for row in rows[start : start + size].tolist()]
        return
    files = images.files
    ordered = sorted(rows.tolist(), key=lambda row: files[row])
    by_file = [list(group) for _, group in groupby(ordered, key=lambda row: files[row])]
    for start in range(0, len(by_file), size):
        yield by_file[start : start + size]


def in_threads(
    work: Callable[[Rows], list[T]], jobs: Iterable[list[Rows]], threads: int | None
) -> Generator[list[T], None, None]:
    """The results of all jobs as they come, an empty list at least every tenth of a second; closing it leaves no work behind.

    A job that is under way when it is closed ends after its present rows, and nobody waits for it.
    """
    count = threads or os.cpu_count() or 1
    stop = threading.Event()

    def run(job: list[Rows]) -> list[T]:
        found: list[T] = []
        for rows in job:
            if stop.is_set():
                break
            found += work(rows)
        return found

    pool = ThreadPoolExecutor(count)
    pending: set[Future[list[T]]] = set()
    remaining = iter(jobs)
    try:
        while True:
            while len(pending) < 2 * count and (job := next(remaining, None)) is not None:
                pending.add(pool.submit(run, job))
            if not pending:
                break
            ready, pending = wait(pending, timeout=_TICK, return_when=FIRST_COMPLETED)
            yield [item for future in ready for item in future.result()]
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)


class Ended(Exception):
    """The person who watches a piece of work has ended it."""


class Ticker:
    """Tells a `Progress` every tenth of a second how far a piece of work in one thread is."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total = progress, total
        self.told, self.done = 0.0, 0

    def at(self, done: int | None = None) -> None:
        """Say how much is done, or that it is as much as before.

        Raises:
            Ended: ``progress`` returned ``False``.
        """
        self.done = self.done if done is None else done
        if self.progress is None or time.monotonic() - self.told < _TICK:
            return
        self.told = time.monotonic()
        if not self.progress(min(self.done, self.total), self.total):
            raise Ended
