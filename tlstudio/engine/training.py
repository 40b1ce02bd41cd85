"""What a run holds while it trains."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tlstudio.api.backbone import Backbone, StateDict
from tlstudio.api.dataset import ImageSet
from tlstudio.api.freezing import FreezingSpec
from tlstudio.engine.average import WeightAverage
from tlstudio.engine.balance import class_weights
from tlstudio.engine.control import Control
from tlstudio.engine.cut import Cut
from tlstudio.engine.device import Place
from tlstudio.engine.loader import ImageSource, epoch_batches
from tlstudio.engine.optim import build_optimizer
from tlstudio.engine.patience import Patience
from tlstudio.engine.task import Classification, Totals
from tlstudio.engine.world import World
from tlstudio.registry.catalog import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Best:
    """The best epoch so far and its weights, on the CPU."""

    epoch: int = -1
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Training:
    """Everything a run holds while it trains; `train` moves it on."""

    recipe: Recipe
    images: ImageSet
    train_rows: NDArray[np.int64]
    val_rows: NDArray[np.int64]
    backbone: Backbone
    source: ImageSource
    place: Place
    control: Control
    features: tuple[Path, str] | None = None
    """Where the output of frozen layers is kept from run to run, and the name of the images there."""
    world: World = field(default_factory=World.here)
    cut: Cut = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    groups: list[dict[str, Any]] = field(init=False)
    """All groups of the optimiser; it is given those that learn, since each costs time in every step."""
    scaler: torch.amp.GradScaler = field(init=False)
    task: Classification = field(init=False)
    average: WeightAverage | None = None
    patience: Patience = field(init=False)
    best: Best = field(default_factory=Best)
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    batch: int = 0
    """Batches of the running epoch that are done, and (below) the sums over them; ``None`` between epochs."""
    totals: Totals | None = None
    begun: int = 0
    """Images that a step has which has begun and is not ended: from the middle of a step nobody can go on."""
    parts: int = 1
    """Into how many a batch is divided, since the memory does not suffice for all of it."""
    finite: Tensor = field(init=False)
    """On the device: whether every loss so far was a number."""
    reported: float = field(default_factory=time.monotonic)
    """When the last step was reported, and (below) how many images have been learned from since."""
    unreported: int = 0
    loaded: frozenset[str] = frozenset()
    """Names of what came from weights, and (below) the values of those that are parameters, for a strategy's penalty."""
    start: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build what follows from the recipe."""
        config = self.recipe.config
        self.backbone.module.to(self.place.device)
        self.optimizer = build_optimizer(self.backbone, config.optim)
        self.groups = list(self.optimizer.param_groups)
        self.scaler = self.place.scaler()
        self.task = self._task()
        self.finite = torch.ones((), dtype=torch.bool, device=self.place.device)
        alone, control = self.world.alone, self.control  # not `self`: the source would hold the network after the run
        self.source.unwanted = lambda: alone and control.wish != "go"
        self.patience = Patience(config.run.patience, config.run.min_delta)
        if config.optim.ema_decay:
            self.average = WeightAverage(self.backbone.module, config.optim.ema_decay)
        self.cut = Cut(config, self.backbone, self.source, self.place, self.control, rows=(self.train_rows, self.val_rows),
                       labels=self.images.labels, folder=self.features, world=self.world)  # fmt: skip
        if self.recipe.strategy.penalty is not None:
            named = self.backbone.module.named_parameters()
            self.start = {name: p.detach().clone() for name, p in named if name in self.loaded}

    @cached_property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return math.ceil(len(self.batches(0)) / self.recipe.config.optim.accumulate)

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """The training rows of an epoch in the batches of all processes."""
        config = self.recipe.config
        classes = self.images.labels[self.train_rows] if config.optim.balance == "sampling" else None
        return epoch_batches(self.train_rows, batch_size=config.run.batch_size, seed=config.run.seed, epoch=epoch,
                             least=max(2, self.world.size), classes=classes)  # fmt: skip

    def averaged(self) -> AbstractContextManager[None]:
        """While it lasts, the network has the weights that are measured and saved."""
        return nullcontext() if self.average is None else self.average.applied()

    def _task(self) -> Classification:
        config = self.recipe.config.optim
        weights = None
        if config.balance == "weights":
            counts = class_weights(self.images.labels[self.train_rows], len(self.images.classes))
            weights = torch.from_numpy(counts).to(self.place.device)
        return Classification(label_smoothing=config.label_smoothing, weights=weights)


def labelled_rows(images: ImageSet, splits: NDArray[np.int8], split: int) -> NDArray[np.int64]:
    """The rows of one split that have a label, int64."""
    return np.flatnonzero((splits == split) & (images.labels >= 0))


def library_state(backbone: Backbone, strategy: FreezingSpec) -> StateDict:
    """The values of the library's network by name, not copied where the strategy has added nothing to them."""
    merged = strategy.merged
    return backbone.module.state_dict(keep_vars=True) if merged is None else merged(backbone)


@torch.no_grad()
def weights_of(run: Training) -> dict[str, Tensor]:
    """A copy of the values of the library's network on the CPU; what has not changed since the last is not copied again."""
    known = run.best.weights
    learning = {id(p) for p in run.backbone.module.parameters() if p.requires_grad}
    result = {}
    for name, tensor in library_state(run.backbone, run.recipe.strategy).items():
        same = name in known and id(tensor) not in learning and torch.equal(known[name], tensor.detach().cpu())
        result[name] = known[name] if same else tensor.detach().cpu().clone()
    return result
