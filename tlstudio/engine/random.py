"""Randomness by counter: every draw is a function of the seed and of where it is used, never of what was drawn before.

Workers, prefetching, pauses and restarts then change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDER, _SAMPLE, _STEP, _MIX, _TURN = 1, 2, 3, 4, 5


def epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order of ``n`` training images in one epoch: a permutation of ``0..n-1``, int64."""
    return np.random.default_rng((seed, _ORDER, epoch)).permutation(n)


def turn_order(seed: int, kind: int, turn: int, n: int) -> NDArray[np.int64]:
    """The order in which the ``n`` images of one class come in turn number ``turn`` of them all."""
    return np.random.default_rng((seed, _TURN, kind, turn)).permutation(n)


def sample_generator(seed: int, draw: int, row: int) -> np.random.Generator:
    """The generator for one image's augmentation in draw (epoch or cached view) number ``draw``."""
    return np.random.default_rng((seed, _SAMPLE, draw, row))


def step_seed(seed: int, step: int) -> int:
    """The seed of torch's generator for one optimiser step (dropout and the like)."""
    return int(np.random.SeedSequence((seed, _STEP, step)).generate_state(1, np.uint64)[0] >> 1)


def step_generator(seed: int, step: int) -> np.random.Generator:
    """The generator for what one optimiser step draws itself (mixup)."""
    return np.random.default_rng((seed, _MIX, step))
