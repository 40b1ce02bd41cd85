"""The steps of the search for a learning rate, on a network of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tlstudio.api.errors import DataError
from tlstudio.api.events import Event, RateFound, RateTried
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place, settings_for
from tlstudio.engine.finder import STEPS, rates, suggestion
from tlstudio.engine.freeze import plan_at, stage_infos
from tlstudio.engine.gradients import add_gradients, images_in_step
from tlstudio.engine.loader import ImageSource
from tlstudio.engine.loop import adopt
from tlstudio.engine.model import build_model
from tlstudio.engine.optim import in_groups, set_learning_rates, take_step
from tlstudio.engine.random import epoch_order
from tlstudio.engine.reading import Abandoned
from tlstudio.engine.training import Training
from tlstudio.engine.world import World
from tlstudio.registry.catalog import Recipe, usual_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 0.9  # of the running average, a step
_RUNS_AWAY = 3.0  # times the lowest loss: higher rates need not be tried


def sweep(recipe: Recipe, source: ImageSource, rows: NDArray[np.int64], place: Place, control: Control) -> Iterator[Event]:
    """Learn for `STEPS` steps at rates that rise from step to step; the last event is `RateFound`.

    Args:
        recipe: of the run that is to follow.
        source: the images; its variation is set here.
        rows: training rows; as many are used as the steps need.
        place: the device.
        control: asked before every batch.

    Raises:
        UserError: in words.
    """
    device = [place.device] if place.device.type == "cuda" else []
    with torch.random.fork_rng(devices=device), settings_for(place, recipe.config.run):
        run = _training(recipe, source, rows, place, control)
        try:
            yield from _tried(run)
        except Abandoned:
            yield RateFound(rate=None, lowest=None)
        finally:
            run.cut.close()


def _training(recipe: Recipe, source: ImageSource, rows: NDArray[np.int64], place: Place, control: Control) -> Training:
    """All that a run has, for some of its images, and without a place where anything is kept."""
    config, images = recipe.config, source.images
    needed = STEPS * config.run.batch_size * config.optim.accumulate
    some = np.sort(rows[epoch_order(config.run.seed, 0, len(rows))[:needed]])
    backbone, report = build_model(recipe, len(images.classes))
    return Training(recipe, images, some, some[:0], backbone, source, place, control, world=World(),
                    loaded=frozenset(() if report is None else report.matched))  # fmt: skip


def _tried(run: Training) -> Iterator[Event]:
    optim, infos = run.recipe.config.optim, stage_infos(run.backbone)
    plan = plan_at(run.recipe, infos, 0)
    adopt(run, plan)
    yield from run.cut.follow(plan, 0)
    wanted = rates(usual_rate(run.recipe.strategy, optim.optimizer))
    smoothed: list[float] = []
    average, losses, seen = 0.0, 0.0, 0
    for part, closes, (x, target) in in_groups(_inputs(run), optim.accumulate):
        if run.control.checkpoint() != "go":
            break
        loss, _ = add_gradients(run, x, target, part, share=1.0, images=len(target))
        losses, seen = losses + float(loss.detach()) * len(target), seen + len(target)
        if not closes:
            continue
        rate, mean = wanted[run.step], losses / seen
        set_learning_rates(run.optimizer, plan, rate)
        take_step(run.optimizer, run.scaler, scale=images_in_step(run, len(target)) / seen, clip=optim.clip_norm)
        run.step += 1
        losses, seen = 0.0, 0
        average = _KEPT * average + (1.0 - _KEPT) * mean
        now = average / (1.0 - _KEPT**run.step)
        if not math.isfinite(now):
            break
        smoothed.append(now)
        yield RateTried(step=run.step, steps=STEPS, rate=rate, loss=mean, smoothed=now)
        if run.step == STEPS or now > _RUNS_AWAY * min(smoothed):
            break
    if not smoothed and run.control.wish == "go" and not run.step:
        raise DataError("None of the training images can be read.", hint="Open one of them with another program.")
    best, lowest = suggestion(wanted[: len(smoothed)], smoothed) if run.control.wish == "go" else (None, None)
    yield RateFound(rate=best, lowest=lowest)


def _inputs(run: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """What enters the part that learns, from the batches of the first epoch and, where they are few, of later ones."""
    for epoch in count():
        found = False
        for item in run.cut.batches(run.batches(epoch), run.cut.draw(0)):
            found = True
            yield item
        if not found:
            return
