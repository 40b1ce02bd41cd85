"""Mean, standard deviation and the interval of a mean from a few figures, by Student's t."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Of ``n`` figures: their mean, their standard deviation (n - 1), and the 95 % interval of the mean (``low`` to ``high``).

    Of a single figure only the mean is known; the others are ``None``.
    """

    n: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None


def spread_of(values: Sequence[float]) -> Spread:
    """The spread of fractions, such as accuracies; the interval ends at 0 and 1, as they do.

    Raises:
        ValueError: there are no values.
    """
    n = len(values)
    if not n:
        raise ValueError("no values")
    mean = statistics.fmean(values)
    if n == 1:
        return Spread(n=1, mean=mean, deviation=None, low=None, high=None)
    deviation = statistics.stdev(values)
    reach = t_quantile(n - 1) * deviation / math.sqrt(n)
    return Spread(n=n, mean=mean, deviation=deviation, low=max(0.0, mean - reach), high=min(1.0, mean + reach))


def t_quantile(freedom: int) -> float:
    """How many standard errors to each side hold `CONFIDENCE` of Student's t, for ``freedom`` = 1, 2, … degrees of freedom."""
    low, high = 0.0, 1.0
    while _share_within(high, freedom) < CONFIDENCE:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, freedom) < CONFIDENCE else (low, middle)
    return (low + high) / 2


def _share_within(t: float, freedom: int) -> float:
    """The share of Student's t between -t and t, by the finite sums for whole ``freedom`` (Abramowitz and Stegun, 26.7.3-4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine**2 * (k - 1) / k
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
