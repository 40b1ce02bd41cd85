"""Two models on the same images: what tells them apart, as numbers. Knows neither runs nor torch."""

from __future__ import annotations

import math

import numpy as np

DRAWS = 10_000
_CONFIDENCE = 0.95
_SEED = 0


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact p value of McNemar's test, two-sided: how often a split at least as uneven would arise by chance.

    Args:
        only_first: images that only the first model has right.
        only_second: images that only the second has right.

    Where the models are equally good, an image that they disagree on is as likely to be of the one kind as of the other:
    a fair coin for each (McNemar 1947, Note on the sampling error of the difference between correlated proportions).
    """
    n, k = only_first + only_second, min(only_first, only_second)
    term = math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))
    tail = 0.0
    while k >= 0 and term > 1e-17 * tail:  # what is left would not change the sum
        tail += term
        term *= k / (n - k + 1)
        k -= 1
    return min(1.0, 2 * tail)


def bootstrap_interval(images: int, only_first: int, only_second: int) -> tuple[float, float]:
    """The 95 % interval of the second model's accuracy minus the first's, by a paired bootstrap of the images.

    The images are drawn 10,000 times with replacement, each with both answers to it (percentiles; Efron 1979). Only how often
    each of the three kinds is drawn matters, so those counts are drawn: the same distribution at the price of three numbers.
    """
    shares = np.array([only_first, only_second, images - only_first - only_second]) / images
    counts = np.random.default_rng(_SEED).multinomial(images, shares, size=DRAWS)
    differences = (counts[:, 1] - counts[:, 0]) / images
    low, high = np.quantile(differences, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)
