"""The arithmetic of a plot: round tick marks, ranges that fit, and lines thinned out to what pixels can show. Knows no Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """About ``count`` round numbers within a range: multiples of 1, 2 or 5 times a power of ten."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return []
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [0.0 if index == 0 else round(index * step, 12) for index in range(first, min(last, first + 1000) + 1)]


def log_ticks(low: float, high: float, count: int) -> list[float]:
    """Ticks for a logarithmic axis, given and returned as exponents of ten: decades, or 1, 2 and 5 where there are few."""
    decades = math.floor(high) - math.ceil(low) + 1
    leads = (0.0,) if decades >= max(2, count - 1) else (0.0, math.log10(2), math.log10(5))
    every = max(1, math.ceil(decades / max(1, count)))
    found = [
        decade + lead
        for decade in range(math.floor(low), math.ceil(high) + 1)
        for lead in leads
        if decade % every == 0 and low <= decade + lead <= high
    ]
    return found if len(found) >= 2 else ticks(low, high, count)


def tick_text(value: float, step: float) -> str:
    """A tick's number, with as many digits as its distance to the next one needs."""
    if value != 0.0 and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:.{min(digits, 6)}f}"


def thin_out(x: Array, y: Array, low: float, high: float, columns: int) -> tuple[Array, Array]:
    """What a line needs between ``low`` and ``high`` on ``columns`` pixels: at most the least and the greatest of each.

    ``x`` must rise. Points that are not finite are left out; one point beyond either end is kept, so that the line goes on.
    """
    first = max(0, int(np.searchsorted(x, low)) - 1)
    last = min(len(x), int(np.searchsorted(x, high, side="right")) + 1)
    x, y = x[first:last], y[first:last]
    finite = np.isfinite(y)
    if not finite.all():
        x, y = x[finite], y[finite]
    per_bin = len(x) // max(1, columns)
    if per_bin < 4:
        return x, y
    bins = len(x) // per_bin
    whole = y[: bins * per_bin].reshape(bins, per_bin)
    thin_x = np.repeat(x[: bins * per_bin : per_bin], 2)
    thin_y = np.column_stack((whole.min(axis=1), whole.max(axis=1))).ravel()
    return np.append(thin_x, x[-1]), np.append(thin_y, y[-1])


def extent(lines: Iterable[tuple[Array, Array]], low: float, high: float) -> tuple[float, float] | None:
    """Least and greatest finite value of lines between two places; ``None`` where there is nothing."""
    least, greatest = math.inf, -math.inf
    for x, y in lines:
        part = y[np.searchsorted(x, low) : np.searchsorted(x, high, side="right")]
        part = part[np.isfinite(part)]
        if len(part):
            least, greatest = min(least, float(part.min())), max(greatest, float(part.max()))
    return (least, greatest) if least <= greatest else None


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """A range with some air; a single value gets a range around it."""
    if high - low < 1e-12:
        air = abs(low) * 0.1 or 0.5
        return low - air, high + air
    air = (high - low) * share
    return low - air, high + air
