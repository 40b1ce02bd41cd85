"""Finds images that cannot be read, before they cost a run anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import ImageError


def find_unreadable(
    images: ImageSet, *, progress: Callable[[int, int], bool] | None = None, threads: int | None = None
) -> dict[int, str]:
    """Row -> reason for every image that does not decode in full.

    Args:
        progress: ``progress(done, total)`` is called now and then; returning ``False`` ends the check early.
        threads: decoding threads; by default one a core.
    """
    total = len(images)
    bad: dict[int, str] = {}

    def reason(index: int) -> str:
        try:
            images.load(index)
        except ImageError as error:
            return error.title
        return ""

    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for start, chunk in _chunks(total, 256):
            bad.update({start + i: text for i, text in enumerate(pool.map(reason, chunk)) if text})
            if progress is not None and not progress(chunk.stop, total):
                break
    return bad


def _chunks(total: int, size: int) -> Iterator[tuple[int, range]]:
    for start in range(0, total, size):
        yield start, range(start, min(start + size, total))
