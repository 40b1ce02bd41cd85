"""Brings what is known of a set of images up to date: from the index what is there, from the files what is new or changed."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from tlstudio.api.dataset import ImageSet
from tlstudio.data.duplicates import Pairs, inseparable, near_pairs
from tlstudio.data.headers import headers
from tlstudio.data.index import Index, forget, stale_rows
from tlstudio.data.measure import NOT_MEASURED, Measures, measure
from tlstudio.data.threads import Progress

_AT_ONCE = 4096
_SAVE_S = 60.0


def look_up(images: ImageSet, index: Index | None, *, progress: Progress | None = None) -> Measures:
    """What the index knows and still holds; of all other files the size, the time and the pixels, from their first bytes.

    Args:
        progress: see `Progress`; where it ends the work, some rows stay as they were.
    """
    measures = Measures.empty(len(images)) if index is None else index.load_measures(images)
    measures = forget(measures, stale_rows(images, measures, progress=progress))
    unknown = np.flatnonzero((measures.state == NOT_MEASURED) & (measures.file_size < 0))
    if len(unknown) and images.path(0) is not None:
        found = headers(images, rows=unknown, progress=progress)
        for name in ("file_size", "modified", "width", "height"):
            getattr(measures, name)[unknown] = getattr(found, name)[unknown]
        if index is not None:
            index.save_measures(images, measures, rows=unknown)
    return measures


def measure_missing(images: ImageSet, measures: Measures, index: Index | None, *, progress: Progress | None = None) -> Measures:
    """Measure every row that is not, in place, and keep it in the index, now and then while it goes on.

    Args:
        progress: see `Progress`; ``done`` and ``total`` count all images. Where it ends the work, what was measured is kept.
    """
    missing = np.flatnonzero(measures.state == NOT_MEASURED)
    known, saved = len(images) - len(missing), time.monotonic()
    new: list[NDArray[np.int64]] = []
    going = True

    def told(done: int, _total: int) -> bool:
        nonlocal going
        going = progress is None or progress(known + done, len(images))
        return going

    for start in range(0, len(missing), _AT_ONCE):
        part = missing[start : start + _AT_ONCE]
        measures = measure(images, known=measures, rows=part, in_place=True, progress=told)
        new.append(part)
        known += len(part)
        late = not going or known == len(images) or time.monotonic() - saved > _SAVE_S
        if late and index is not None:
            index.save_measures(images, measures, rows=np.concatenate(new))
            new, saved = [], time.monotonic()
        if not going:
            break
    return measures


def duplicates_in(measures: Measures, index: Index | None, *, flips: bool = False, progress: Progress | None = None) -> Pairs:
    """Near duplicates among what is measured: from the index where it knows them, else looked for now and kept there.

    Args:
        progress: see `Progress`; where it ends the search, the pairs so far come back and are not kept.
    """
    known = None if index is None else index.load_pairs(measures, flips=flips)
    if known is not None:
        return known
    going = True

    def told(done: int, total: int) -> bool:
        nonlocal going
        going = progress is None or progress(done, total)
        return going

    pairs = near_pairs(measures, flips=flips, progress=told)
    if going and index is not None:
        index.save_pairs(measures, pairs, flips=flips)
    return pairs


def known_alike(images: ImageSet, index: Index) -> NDArray[np.int64] | None:
    """``(N,)`` int64 as `inseparable` gives it, if a check measured every image; ``None`` else."""
    measures = index.load_measures(images)
    if (measures.state == NOT_MEASURED).any():
        return None
    return inseparable(duplicates_in(measures, index), len(images))
