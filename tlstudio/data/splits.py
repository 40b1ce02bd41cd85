"""Who trains and who measures: fixed by the data or drawn once from a seed, stratified by class, whole groups together."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.dataset import NO_SPLIT, TRAIN, VAL, ImageSet

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign_splits(images: ImageSet, *, val_fraction: float, seed: int) -> NDArray[np.int8]:
    """A split for every image: ``(N,)`` int8 of TRAIN, VAL, TEST.

    What the data say stays. Where they have no validation split, a share of each class is moved from training to validation;
    an image's place depends on the seed and its key (or group) alone, so that new images do not move old ones much.
    Every class keeps at least one training image.
    """
    splits = np.full(len(images), NO_SPLIT, np.int8) if images.splits is None else images.splits.copy()
    splits[splits == NO_SPLIT] = TRAIN
    if (splits == VAL).any() or val_fraction <= 0.0:
        return splits
    units = images.keys if images.groups is None else images.groups
    candidates = np.flatnonzero((splits == TRAIN) & (images.labels >= 0))
    order = np.array([_draw(seed, units[i]) for i in candidates])
    if images.groups is not None:
        splits[candidates[order < val_fraction]] = VAL
        return splits
    for label in np.unique(images.labels[candidates]):
        mine = candidates[images.labels[candidates] == label]
        ranks = np.argsort(order[images.labels[candidates] == label], kind="stable")
        count = min(max(1, round(val_fraction * len(mine))), len(mine) - 1)
        splits[mine[ranks[:count]]] = VAL
    return splits


def _draw(seed: int, text: str) -> float:
    """A number in 0..1 from a seed and a text, the same on every machine."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") / 2**64
