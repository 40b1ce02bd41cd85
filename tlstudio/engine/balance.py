"""Classes of unequal size: how much an image counts in the loss, or how often an epoch shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlstudio.engine.random import turn_order

if TYPE_CHECKING:
    from numpy.typing import NDArray


def class_weights(classes: NDArray[np.int32], count: int) -> NDArray[np.float32]:
    """What an image of each class counts: inversely to how many there are of it, and 1 on average over the images.

    Args:
        classes: of the training images.
        count: of classes; one without images gets 0.
    """
    sizes = np.bincount(classes, minlength=count)
    present = np.count_nonzero(sizes)
    return np.where(sizes > 0, len(classes) / (present * np.maximum(sizes, 1)), 0.0).astype(np.float32)


def balanced_epoch(classes: NDArray[np.int32], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Which images an epoch shows, as positions in ``classes``: as many of each class, about as many in all as there are.

    The images of a class come in turn, each once before any comes again, and an epoch goes on where the last one ended. A
    small class comes round several times in an epoch, a large one within several epochs. Every epoch is equally long.
    """
    present = np.unique(classes)
    each = max(1, round(len(classes) / len(present)))
    parts = []
    for kind in present.tolist():
        members = np.flatnonzero(classes == kind)
        first, last = epoch * each, (epoch + 1) * each  # of the endless row of turns
        turns = range(first // len(members), (last - 1) // len(members) + 1)
        row = np.concatenate([members[turn_order(seed, kind, turn, len(members))] for turn in turns])
        begin = first - turns.start * len(members)
        parts.append(row[begin : begin + each])
    return np.concatenate(parts)
