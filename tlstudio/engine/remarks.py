"""What the settings of the optimisation come to with these images and this network, where that is not plain to see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tlstudio.api.events import Note
from tlstudio.api.freezing import FreezePlan
from tlstudio.engine.training import Training


def remarks(run: Training, plan: FreezePlan) -> Iterator[Note]:
    """Notes before the first epoch, whose plan this is."""
    config = run.recipe.config
    optim, steps = config.optim, run.steps_per_epoch * config.run.epochs
    if optim.accumulate > 1:
        whole = optim.accumulate * config.run.batch_size
        yield Note(text=f"A step learns from {whole} images: {optim.accumulate} batches of {config.run.batch_size}.")
    if optim.warmup_steps >= steps:
        yield Note(level="warning", text=f"The whole run has {steps} steps: the warm-up ({optim.warmup_steps}) does not end.")
    if not plan.lr and plan.within in ("norm", "bias"):
        kind = "normalisation layers" if plan.within == "norm" else "biases"
        yield Note(level="warning", text=f"The stages of this network have no {kind}: only the head learns.")
    if config.augment.cutmix and plan.frozen_prefix(tuple(run.backbone.stages)):
        yield Note(text="Behind frozen layers there is no image to cut: mixup of features stands in for CutMix.")
    if optim.optimizer == "muon" and not any(group.get("matrix") for group in run.optimizer.param_groups):
        yield Note(
            level="advice", text="The stages of this network have no weight matrices for Muon: all of it learns by AdamW."
        )
    if optim.balance != "none":
        sizes = np.bincount(run.images.labels[run.train_rows], minlength=len(run.images.classes))
        there = sizes[sizes > 0]
        yield Note(text=f"Classes have from {there.min():,} to {there.max():,} training images, "
                   + ("and count alike in the loss." if optim.balance == "weights" else "and come equally often."))  # fmt: skip
