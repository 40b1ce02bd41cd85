"""The training loop, to be read from top to bottom.

Prepare: read the images, build the network. For each epoch: ask the strategy what learns; cut the network after its frozen
beginning, whose output is computed once and kept; step through the shuffled batches; validate; keep the best. The loop
yields what happens as events and asks `Control` between steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tlstudio.api.backbone import Backbone
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import ExitCode, UserError
from tlstudio.api.events import EpochDone, EpochStarted, Event, Note, Progress, StepDone
from tlstudio.api.freezing import FreezePlan
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place
from tlstudio.engine.features import FeatureCache, SplitModel, fits_in_memory, to_input
from tlstudio.engine.freeze import apply_plan, make_plan, stage_infos, states
from tlstudio.engine.loader import ImageSource, ahead, epoch_batches, in_batches
from tlstudio.engine.optim import build_optimizer, schedule_factor, set_learning_rates
from tlstudio.engine.random import step_seed
from tlstudio.engine.task import Classification, Totals
from tlstudio.registry.catalog import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REPORT_SECONDS = 0.05  # StepDone at most 20 times a second: reading a number makes the device wait
_WATCH_STEPS = 20


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
    optimizer: torch.optim.Optimizer = field(init=False)
    scaler: torch.amp.GradScaler = field(init=False)
    task: Classification = field(init=False)
    best: Best = field(default_factory=Best)
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    reported: float = field(default_factory=time.monotonic)
    """When the last step was reported, and (below) how many images have been learned from since."""
    unreported: int = 0
    start: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Build what follows from the recipe."""
        config = self.recipe.config
        self.backbone.module.to(self.place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = build_optimizer(self.backbone, config.optim)
        self.scaler = self.place.scaler()
        self.task = Classification(label_smoothing=config.optim.label_smoothing)
        if self.recipe.strategy.penalty is not None:
            self.start = {name: p.detach().clone() for name, p in self.backbone.module.named_parameters()}

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return len(in_batches(self.train_rows, self.recipe.config.run.batch_size, join_single=True))

    @property
    def labels(self) -> NDArray[np.int32]:
        """The class of every row."""
        return self.images.labels


def train(run: Training, *, after_epoch: Callable[[EpochDone, bool], Iterator[Event]]) -> Iterator[Event]:
    """Train for the epochs of the recipe, or until the control says stop; ``run.best`` holds the result.

    Args:
        after_epoch: yields what happens after an epoch (checkpoints); told whether it was the last one.

    Raises:
        UserError: the loss is no longer a number, or the images are gone.
    """
    config = run.recipe.config
    cut = _Cut(run)
    waited = 0
    for epoch in range(config.run.epochs):
        began = time.monotonic()
        plan = _plan(run, epoch)
        trainable = apply_plan(run.backbone, plan)
        yield from cut.follow(plan, epoch)
        if run.control.checkpoint() != "go":
            return
        infos = stage_infos(run.backbone)
        yield EpochStarted(epoch=epoch, stages=states(plan, infos, trainable), cached=cut.cache is not None)

        totals = Totals(run.place.device)
        yield from _steps(run, plan, cut, epoch, totals)
        if run.control.wish == "cancel":
            return
        train_metrics = totals.metrics()
        val_metrics = _validate(run, cut)

        better = _is_better(val_metrics or train_metrics, run.best.metrics)
        if better:
            weights = {name: tensor.detach().cpu().clone() for name, tensor in run.backbone.module.state_dict().items()}
            run.best = Best(epoch, run.step, dict(val_metrics or train_metrics), weights)
        waited = 0 if better else waited + 1
        run.history.append(val_metrics or train_metrics)
        done = EpochDone(
            epoch=epoch, step=run.step, train=train_metrics, val=val_metrics, seconds=time.monotonic() - began, best=better
        )
        yield done
        out_of_patience = 0 < config.run.patience <= waited
        last = epoch + 1 == config.run.epochs or run.control.wish != "go" or out_of_patience
        yield from after_epoch(done, last)
        if out_of_patience and epoch + 1 < config.run.epochs:
            yield Note(text=f"Stopped early: no better epoch for {waited} epochs.")
        if last:
            return


class _Cut:
    """Follows the plan: where the network is cut, and the cache of what comes before."""

    def __init__(self, run: Training) -> None:
        self.run = run
        self.model: SplitModel | None = None
        self.cache: FeatureCache | None = None

    def draw(self, epoch: int) -> int | None:
        """The number of the random variation in an epoch; ``None`` for plain images. Cached ones come round again."""
        if self.run.source.preset == "none":
            return None
        return epoch % self.run.recipe.config.augment.views if self.cache is not None else epoch

    def follow(self, plan: FreezePlan, epoch: int) -> Iterator[Event]:
        """Move the cut to where the plan puts it and fill the cache; does nothing where nothing changed."""
        run = self.run
        frozen = plan.frozen_prefix(tuple(run.backbone.stages))
        if self.model is None or frozen != self.model.frozen:
            self.model = SplitModel(run.backbone, frozen, run.place)
            self.cache = None
            views = 1 if run.source.preset == "none" else min(run.recipe.config.augment.views, run.recipe.config.run.epochs)
            images = len(run.train_rows) * views + len(run.val_rows)
            if frozen and fits_in_memory(self.model, run.source, run.place, images):
                self.cache = FeatureCache(self.model, run.source)
        if self.cache is None:
            return
        draw = self.draw(epoch)
        wanted = [(run.train_rows, draw), (run.val_rows, None)]
        if draw is None:
            wanted = [(np.concatenate([run.train_rows, run.val_rows]), None)]
        for rows, view in wanted:
            for done in self.cache.fill(rows, view):
                yield Progress(task="Running the frozen layers", done=done, total=len(rows))
                if run.control.checkpoint() != "go":
                    return

    def batches(self, parts: list[NDArray[np.int64]], draw: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """The suffix's input and the target for each batch of rows, on the device."""
        run, device = self.run, self.run.place.device
        assert self.model is not None
        if self.cache is not None:
            for part in parts:
                features, kept = self.cache.batch(part, draw)
                if len(kept):
                    yield features, torch.from_numpy(run.labels[kept].astype(np.int64)).to(device)
            return
        tasks = (partial(run.source.batch, part, draw=draw) for part in parts)
        for pixels, kept in ahead(tasks):
            if len(kept):
                x = self.model.prefix(to_input(pixels, run.source, run.place))
                yield x, torch.from_numpy(run.labels[kept].astype(np.int64)).to(device, non_blocking=True)


def _steps(run: Training, plan: FreezePlan, cut: _Cut, epoch: int, totals: Totals) -> Iterator[Event]:
    config = run.recipe.config
    steps = run.steps_per_epoch * config.run.epochs
    parts = epoch_batches(run.train_rows, batch_size=config.run.batch_size, seed=config.run.seed, epoch=epoch)
    known_bad = len(run.source.unreadable)
    finite = torch.ones((), dtype=torch.bool, device=run.place.device)
    for x, target in cut.batches(parts, cut.draw(epoch)):
        if run.control.checkpoint() != "go":
            break
        rate = (config.optim.learning_rate or 0.0) * schedule_factor(config.optim, run.step, steps)
        set_learning_rates(run.optimizer, plan, rate)
        loss, logits = _step(run, cut, x, target)
        run.step += 1
        run.unreported += len(target)
        totals.add(loss, logits, target)
        finite &= torch.isfinite(loss.detach())
        waited = time.monotonic() - run.reported
        due = waited >= _REPORT_SECONDS
        if due or run.step % _WATCH_STEPS == 0 or run.step % run.steps_per_epoch == 0:
            _require_finite(bool(finite), run, rate)  # waits for the device, so only now and then
        if due:
            yield StepDone(
                epoch=epoch, step=run.step, steps=steps, loss=float(loss.detach()), lr=rate,
                images_per_s=run.unreported / max(waited, 1e-9),
            )  # fmt: skip
            run.reported, run.unreported = time.monotonic(), 0
    run.source.check_losses(known_bad, len(run.train_rows))


def _step(run: Training, cut: _Cut, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """One optimiser step; returns the mean loss of the batch and its logits."""
    assert cut.model is not None
    torch.manual_seed(step_seed(run.recipe.config.run.seed, run.step))
    logits = cut.model.suffix(x)
    loss = run.task.loss(logits, target)
    total = loss
    if run.recipe.strategy.penalty is not None:
        total = total + run.recipe.strategy.penalty(run.backbone.module, run.start)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return loss, logits


@torch.no_grad()
def _validate(run: Training, cut: _Cut) -> dict[str, float]:
    """Metrics over the validation images; empty where there are none, or the user has asked to stop."""
    assert cut.model is not None
    modes = [(module, module.training) for module in run.backbone.module.modules()]
    run.backbone.module.eval()
    run.backbone.head.eval()
    totals = Totals(run.place.device)
    for x, target in cut.batches(in_batches(run.val_rows, max(64, run.recipe.config.run.batch_size)), None):
        logits = cut.model.suffix(x)
        totals.add(run.task.loss(logits, target), logits, target)
        if run.control.checkpoint() == "cancel":
            break
    for module, training in modes:
        module.training = training
    return totals.metrics()


def _plan(run: Training, epoch: int) -> FreezePlan:
    return make_plan(
        run.recipe.strategy,
        run.recipe.strategy_options,
        stage_infos(run.backbone),
        epoch=epoch,
        epochs=run.recipe.config.run.epochs,
        pretrained=run.recipe.weights.path is not None,
        history=tuple(run.history),
    )


def _is_better(metrics: dict[str, float], best: dict[str, float]) -> bool:
    """Higher accuracy, or the same with a lower loss; what is not a number never wins."""
    if not metrics or not all(np.isfinite(value) for value in metrics.values()):
        return False
    if not best:
        return True
    return (metrics["accuracy"], -metrics["loss"]) > (best["accuracy"], -best["loss"])


def _require_finite(finite: bool, run: Training, rate: float) -> None:
    if finite:
        return
    kept = f"The best epoch ({run.best.epoch + 1}) is kept." if run.best.epoch >= 0 else "No epoch was finished before."
    raise UserError(
        f"Training diverged at step {run.step}: the loss is no longer a number.",
        detail=f"Learning rate {rate:g}. {kept}",
        hint=f"Use a smaller learning rate, for instance {rate / 10:.0e}.",
        exit_code=ExitCode.DIVERGED,
    )


def labelled_rows(images: ImageSet, splits: NDArray[np.int8], split: int) -> NDArray[np.int64]:
    """The rows of one split that have a label, int64."""
    return np.flatnonzero((splits == split) & (images.labels >= 0))


def training_state(run: Training) -> dict[str, Any]:
    """What a checkpoint keeps: tensors, numbers and strings only."""
    return {
        "model": run.backbone.module.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "step": run.step,
        "epoch": len(run.history),
        "history": run.history,
        "best": {"epoch": run.best.epoch, "step": run.best.step, "metrics": run.best.metrics},
    }
