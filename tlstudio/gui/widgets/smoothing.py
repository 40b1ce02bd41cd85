"""The exponential moving average of a curve, without lag at its beginning. Knows no Qt, so that a thread can do it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_BLOCK_DIGITS = 100  # within a block, weights differ by at most so many powers of ten


def smoothed(values: Array, weight: float) -> Array:
    """The average of ``values`` ``(N,)`` up to each of them, in which one counts ``weight`` times as much as the next one.

    The sum of weights is divided out, so that the first numbers are not drawn towards zero. What is not finite counts
    nothing and stays a gap.

    Args:
        weight: from 0 (nothing is smoothed) to below 1.
    """
    if weight <= 0.0 or not len(values):
        return values
    known = np.isfinite(values)
    sums, counts = _running(np.where(known, values, 0.0), weight), _running(known.astype(np.float64), weight)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=known)


def _running(values: Array, weight: float) -> Array:
    """``s[i] = weight * s[i - 1] + values[i]``, in blocks without a loop over points."""
    size = int(min(len(values), max(1.0, -_BLOCK_DIGITS / np.log10(weight))))
    size = min(size, 4096)
    blocks = -(-len(values) // size)
    padded = np.zeros(blocks * size)
    padded[: len(values)] = values
    table = padded.reshape(blocks, size)
    powers = weight ** np.arange(size)
    inside = np.cumsum(table / powers, axis=1) * powers
    carried = 0.0
    carries = np.empty(blocks)
    for block, last in enumerate(inside[:, -1].tolist()):
        carries[block] = carried
        carried = last + carried * float(powers[-1]) * weight
    inside += np.outer(carries, powers * weight)
    return inside.ravel()[: len(values)]
