"""As much of a long curve as the eye can see: its lowest and highest point in each column of pixels. Knows no Qt.

A pyramid of lowest and highest numbers, each level a quarter of the one below, is made when a curve is first looked at; from
then on a view of a million points costs no more than one of a thousand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEP = 4
_SMALLEST = 1024


class Peaks:
    """A curve ``x (N,)``, ``y (N,)``; NaN is a gap only where a whole column of pixels is NaN."""

    def __init__(self, x: Array, y: Array) -> None:
        if (x[1:] < x[:-1]).any():  # a run that went on from a checkpoint did some steps twice
            order = np.argsort(x, kind="stable")
            x, y = x[order], y[order]
        self.x, self.y = x, y
        self._levels: list[tuple[Array, Array, Array]] | None = None

    def within(self, low: float, high: float, columns: int) -> tuple[Array, Array]:
        """Points to draw for the range from ``low`` to ``high`` at so many columns: at most about two for each column."""
        begin, end = self._rows(self.x, low, high)
        if end - begin <= 2 * columns:
            return self.x[begin:end], self.y[begin:end]
        if self._levels is None:
            self._levels = self._build()
        level = 0
        while level + 1 < len(self._levels) and (end - begin) // _STEP ** (level + 1) >= columns:
            level += 1
        x, lowest, highest = self._levels[level]
        begin, end = self._rows(x, low, high)
        starts = np.unique(np.linspace(begin, end, columns, endpoint=False).astype(np.intp))
        lows = np.fmin.reduceat(lowest[:end], starts)
        highs = np.fmax.reduceat(highest[:end], starts)
        return np.repeat(x[starts], 2), np.stack((lows, highs), axis=1).ravel()

    def _build(self) -> list[tuple[Array, Array, Array]]:
        x, lowest, highest = self.x, self.y, self.y
        levels = [(x, lowest, highest)]
        while len(x) > _SMALLEST:
            lowest, highest = _halved(np.fmin, _halved(np.fmin, lowest)), _halved(np.fmax, _halved(np.fmax, highest))
            x = x[::_STEP]
            levels.append((x, lowest, highest))
        return levels

    @staticmethod
    def _rows(x: Array, low: float, high: float) -> tuple[int, int]:
        """The rows in a range, and one more at each end, so that lines reach the edges."""
        return max(0, int(np.searchsorted(x, low)) - 1), min(len(x), int(np.searchsorted(x, high, side="right")) + 1)


def _halved(function: np.ufunc, values: Array) -> Array:
    pairs: Array = function(values[: len(values) // 2 * 2 : 2], values[1::2])
    return np.append(pairs, values[-1]) if len(values) % 2 else pairs
