"""The search for a learning rate, from a configuration to a suggestion, as a generator of events. It never raises.

A run that follows is the run that it would have been: the search has a network, an optimiser and images of its own, keeps
none of them, and leaves torch's generators as they were. What needs torch is `tlstudio.engine.sweep`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tlstudio.api.config import TrainConfig
from tlstudio.api.dataset import TRAIN
from tlstudio.api.events import Event
from tlstudio.data.curation import Curation
from tlstudio.data.index import Index
from tlstudio.data.scan import known_alike
from tlstudio.engine.control import Control
from tlstudio.engine.failure import failed
from tlstudio.engine.loader import ImageSource
from tlstudio.registry.catalog import Catalog

STEPS = 100
_BELOW, _ABOVE = 1e-4, 1e3  # where the search begins and ends, times the usual rate
_HIGHEST = 10.0  # that a setting may have
_SIDE = 4  # points on either side by which a slope is told
_LEAST_FALL = 0.02  # of the first loss: less is chance


def find_rate(config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event]:
    """Try rising learning rates on some of the training images, as the first epoch would use them.

    The learning-rate range test of Smith (2017, Cyclical learning rates for training neural networks): the loss falls where
    the rate is large enough, and runs away where it is too large.

    Args:
        config: as for a run; its learning rate does not matter.
        catalog: where its names are looked up.
        workspace: whose edits and splits of the images hold.
        control: asked between steps whether to go on; stopped, it suggests nothing.

    Yields:
        `Note`, `Progress`, a `RateTried` for each step and `RateFound`; or `RunFailed`.
    """
    try:
        recipe = catalog.resolve(config, workspace=workspace)
        opened, index = recipe.open_images(), Index(recipe.config.data)
        curation = Curation(opened, recipe.config.data, workspace, alike=lambda: known_alike(opened, index))
        images = curation.table.taking_part()
        rows = np.flatnonzero((curation.table.splits == TRAIN) & (images.labels >= 0))
        source = ImageSource(images, recipe.preprocessing, augment=config.augment, seed=config.run.seed)
        try:
            place = importlib.import_module("tlstudio.engine.device").choose_place(config.run)
            yield from importlib.import_module("tlstudio.engine.sweep").sweep(recipe, source, rows, place, control)
        finally:
            source.close()
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one funnel: every error becomes an event
        yield failed(error, workspace)


def rates(usual: float) -> list[float]:
    """The learning rates to try, each so many times the one before it.

    Args:
        usual: the rate that suits the strategy and the optimiser.
    """
    return [float(rate) for rate in np.geomspace(usual * _BELOW, min(_HIGHEST, usual * _ABOVE), STEPS)]


def suggestion(tried: Sequence[float], smoothed: Sequence[float]) -> tuple[float | None, float | None]:
    """The rate at which the loss falls fastest, and the one at which it is lowest; ``None`` where it does not fall.

    Args:
        tried: rates, rising by a constant factor.
        smoothed: the loss at each of them, finite.
    """
    if len(tried) <= 2 * _SIDE:
        return None, None
    lowest = int(np.argmin(smoothed))
    if smoothed[lowest] > (1.0 - _LEAST_FALL) * smoothed[0]:
        return None, None
    slopes = [np.polyfit(np.arange(2 * _SIDE + 1), smoothed[at - _SIDE : at + _SIDE + 1], 1)[0]
              for at in range(_SIDE, min(lowest + 1, len(tried) - _SIDE))]  # fmt: skip
    steepest = _SIDE + int(np.argmin(slopes)) if slopes else lowest
    return float(tried[steepest]), float(tried[lowest])
