"""What a run has when its images are read, and how it is described before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlstudio.api.dataset import ImageSet
from tlstudio.api.events import Prepared
from tlstudio.api.freezing import FreezePlan
from tlstudio.api.images import printable
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place
from tlstudio.engine.fingerprint import Taken
from tlstudio.engine.freeze import apply_plan, stage_infos, states
from tlstudio.engine.loader import ImageSource
from tlstudio.engine.saved import SavedRun
from tlstudio.engine.training import Training
from tlstudio.registry.catalog import Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LISTED = 1000


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a run has when its images are read.

    Args:
        splits: ``(N,)`` int8 of `TRAIN`, `VAL`, `TEST` or `NO_SPLIT`.
        folder: of the run.
        began: when the run began, of `time.monotonic`; of one that goes on, less what it had taken.
        about: versions of the program and of the plugins.
        saved: of a run that goes on, what lies in its folder.
    """

    recipe: Recipe
    images: ImageSet
    splits: NDArray[np.int8]
    source: ImageSource
    place: Place
    control: Control
    folder: Path
    began: float
    about: dict[str, Any]
    saved: SavedRun | None = None


def prepared(run: Training, taken: Taken, plan: FreezePlan, excluded: Mapping[str, str]) -> Prepared:
    """The event, and the network in the modes of the plan.

    Args:
        excluded: images that cannot be read, by key, with the reason.
    """
    infos = stage_infos(run.backbone)
    return Prepared(
        classes=run.images.classes,
        images={name: len(keys) for name, keys in taken.keys.items()},
        excluded={printable(key): reason for key, reason in list(excluded.items())[:_LISTED]},
        stages=states(plan, infos, apply_plan(run.backbone, plan)),
        device=run.place.title,
        weights=run.recipe.weights.title,
        steps_per_epoch=run.steps_per_epoch,
    )
