"""Vertical ranges that show all numbers and end in round ones. Knows no Qt."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def range_of(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The lowest and the highest finite number; ``None`` where there is none."""
    if not len(values):
        return None
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if len(values) else None
    return low, high


def round_range(extent: tuple[float, float] | None, *, log: bool = False, from_zero: float = 0.9) -> tuple[float, float] | None:
    """A range with round ends around numbers; of logarithms if ``log``.

    It begins at zero where the lowest number is below the share ``from_zero`` of the highest one.
    """
    if extent is None:
        return None
    low, high = extent
    if log:
        first, last = math.floor(2 * math.log10(low)) / 2, math.ceil(2 * math.log10(high)) / 2
        return first, max(last, first + 0.5)
    if 0 <= low <= from_zero * high or low == high:
        low, high = min(low, 0.0), max(high, 0.0)
    step = 10.0 ** math.floor(math.log10((high - low) or 1.0)) / 2
    first, last = math.floor(round(low / step, 6)), math.ceil(round(high / step, 6))
    return step * first, step * max(last, first + 1)
