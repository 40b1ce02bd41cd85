"""The training loop, to be read from top to bottom.

Prepare: read the images, build the network. For each epoch: ask the strategy what learns; cut the network after its frozen
beginning, whose output is computed once and kept; step through the shuffled batches; validate; keep the best. The loop
yields what happens as events and asks `Control` between steps.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from tlstudio.api.errors import UserError
from tlstudio.api.events import EpochDone, EpochStarted, Event, Note, StepDone
from tlstudio.api.freezing import FreezePlan, StageInfo
from tlstudio.api.images import printable
from tlstudio.engine.augment import effective_preset
from tlstudio.engine.control import Wish
from tlstudio.engine.diverged import Watch
from tlstudio.engine.failure import is_out_of_memory
from tlstudio.engine.fitting import free_memory, no_memory
from tlstudio.engine.freeze import apply_plan, batch_norms, plan_at, stage_infos, states
from tlstudio.engine.gradients import gradients_that_fit, images_in_step, pieces
from tlstudio.engine.loader import ImagesGone, in_batches
from tlstudio.engine.modes import in_eval_mode
from tlstudio.engine.norms import taken_anew
from tlstudio.engine.optim import follow_memory_order, in_groups, set_learning_rates, take_step
from tlstudio.engine.reading import Abandoned
from tlstudio.engine.schedule import schedule_factor
from tlstudio.engine.task import Totals
from tlstudio.engine.training import Best, Training, weights_of

_REPORT_SECONDS = 0.05  # StepDone at most 20 times a second: reading a number makes the device wait
_WATCH_STEPS = 20
_RECALIBRATION_IMAGES = 10_000  # more do not change a mean that one can measure


class Keeps(Protocol):
    """Who saves the run so that it can go on from there; `tlstudio.engine.keeper` does."""

    def due(self) -> bool:
        """Whether it shall be saved after this step."""

    def now(self) -> Iterator[Event]:
        """Save it; the run is at the end of an optimiser step."""

    def after_epoch(self, done: EpochDone, last: bool) -> Iterator[Event]:
        """What happens after an epoch; told whether it was the last one."""


def train(run: Training, keeper: Keeps) -> Iterator[Event]:
    """Train for the epochs of the recipe, or until the control says stop; ``run.best`` holds the result.

    A run that was resumed goes on where it is: after so many epochs, and so many batches of the next.

    Ended by the user while a read hangs, it is saved as it was at the end of its last step, and nothing more is measured.

    Raises:
        UserError: the loss is no longer a number, the images are gone, or there is not enough memory.
    """
    try:
        yield from _epochs(run, keeper)
    except Abandoned:
        if run.control.wish == "stop":
            run.control.leave()
            yield from _kept(run, keeper)
        return
    except ImagesGone:
        with contextlib.suppress(ImagesGone):  # of a drive that lost images before nothing is kept
            yield from _kept(run, keeper)
        raise
    except Exception as error:
        if isinstance(error, UserError) or not is_out_of_memory(error):
            raise
        said = str(error).partition("\n")[0]
    else:
        return
    run.optimizer.zero_grad(set_to_none=True)  # not within the handler: what it holds are the tensors that were too many
    free_memory(run.place)
    yield from _kept(run, keeper)
    raise no_memory(max(1, run.recipe.config.run.batch_size // run.parts), run.recipe.preprocessing.image_size, said)


def _kept(run: Training, keeper: Keeps) -> Iterator[Event]:
    """Save what broke off between steps; in the middle of one, or of a change of what learns, nobody could go on from it."""
    if run.world.alone and not run.begun and run.cut.model is not None:
        yield from keeper.now()


def _epochs(run: Training, keeper: Keeps) -> Iterator[Event]:
    config = run.recipe.config
    infos = stage_infos(run.backbone)
    plan: FreezePlan | None = None
    trainable: dict[str, int] = {}
    for epoch in range(len(run.history), config.run.epochs):
        if run.patience.over:
            yield Note(text=f"Stopped early: no better epoch for {run.patience.waited} epochs.")
            return
        began, known = time.monotonic(), len(run.source.unreadable)
        if plan is not None and run.control.paused and run.world.alone:
            yield from keeper.now()  # before one waits where the cache is filled
        before, plan = plan, plan_at(run.recipe, infos, epoch, run.history)
        if plan != before:
            trainable = adopt(run, plan)
        yield from run.cut.follow(plan, epoch, anew=plan != before)
        follow_memory_order(run.optimizer)
        if run.control.paused and run.world.alone:
            yield from keeper.now()
        if (wish := _agreed(run, 0, keeper)[1]) != "go":
            yield from keeper.now() if wish == "stop" else ()
            return
        if run.totals is None:
            run.totals, run.batch = Totals(run.place.device), 0
            yield EpochStarted(epoch=epoch, stages=states(plan, infos, trainable), cached=run.cut.cache is not None)

        yield from _steps(run, plan, epoch, run.totals, keeper)
        done = _ended(run, infos, plan, epoch, began)
        yield from [] if done is None else [done]  # first: the run counts the epoch, and may be saved while something is told
        yield from _lost(run, known)
        yield from run.cut.news()
        if done is None:
            yield from keeper.now() if run.control.leaving else ()  # it goes on later from here, and is measured then
            return
        stopped = run.control.wish != "go"
        yield from keeper.after_epoch(done, epoch + 1 == config.run.epochs or stopped or run.patience.over)
        if stopped:
            return


def _lost(run: Training, known: int) -> Iterator[Event]:
    """Say which images were readable before."""
    lost = [f"{printable(run.images.keys[row])} ({reason})" for row, reason in list(run.source.unreadable.items())[known:]]
    if lost:
        yield Note(level="warning", text=f"{len(lost)} images can no longer be read and are left out: {', '.join(lost[:3])}"
                   + (", …" if len(lost) > 3 else ""))  # fmt: skip


def _ended(run: Training, infos: tuple[StageInfo, ...], plan: FreezePlan, epoch: int, began: float) -> EpochDone | None:
    """Measure the network after an epoch, and keep it if it is the best so far; ``None`` where nobody waits for that."""
    assert run.totals is not None
    if run.control.wish == "cancel" or run.control.leaving:
        return None
    run.world.add(*run.totals.sums)
    train_metrics = run.totals.metrics()
    with run.averaged():
        if plan.norm_stats == "recalibrated":
            _recalibrate(run, plan, epoch)
        val_metrics = _validate(run)
        if run.control.leaving:
            return None
        measured = val_metrics or train_metrics
        better = _is_better(measured, run.best.metrics)
        if better:
            run.best = Best(epoch, run.step, dict(measured), weights_of(run))
    if measured:
        run.patience.hear(measured["accuracy"], better=better, settled=_is_settled(run, infos, plan))
    run.history.append(measured)
    run.totals, run.batch = None, 0
    return EpochDone(
        epoch=epoch, step=run.step, train=train_metrics, val=val_metrics, seconds=time.monotonic() - began, best=better
    )


def adopt(run: Training, plan: FreezePlan) -> dict[str, int]:
    """Follow another plan; returns trainable parameters by stage.

    A tensor that no longer learns also loses what the optimiser remembers of it: if it learns again later, it starts afresh.
    """
    trainable = apply_plan(run.backbone, plan)
    run.source.preset = effective_preset(run.recipe.config.augment, learns_stages=plan.learns_stages)
    run.optimizer.param_groups = [group for group in run.groups if any(p.requires_grad for p in group["params"])]
    for parameter in [p for p in run.optimizer.state if not p.requires_grad]:
        del run.optimizer.state[parameter]
    if run.average is not None:
        run.average.follow()
    return trainable


def _steps(run: Training, plan: FreezePlan, epoch: int, totals: Totals, keeper: Keeps) -> Iterator[Event]:
    config, world, each = run.recipe.config, run.world, run.steps_per_epoch
    steps = each * config.run.epochs
    known_bad = len(run.source.unreadable)
    batches = run.batches(epoch)
    watch = Watch(run, epoch, batches)
    inputs = run.cut.batches(batches[run.batch :], run.cut.draw(epoch))
    run.begun = 0
    for part, closes, (x, target) in in_groups(inputs, config.optim.accumulate):
        if part == 0 and run.control.paused and world.alone:
            yield from keeper.now()
        images, wish, due = _agreed(run, len(target), keeper, begins=part == 0)
        if wish == "cancel":
            break
        if wish == "stop" and part == 0:  # a step that has begun is ended: nobody can go on from half of one
            yield from keeper.now()
            break
        share = world.size * len(target) / images
        loss, logits = yield from gradients_that_fit(run, x, target, part, share=share, images=images)
        run.begun += images
        run.unreported += images
        totals.add(loss, logits, target)
        watch.add(loss)
        run.batch += 1
        if not closes:
            continue

        factor = schedule_factor(config.optim, run.step, steps, each, run.history)
        rate = (config.optim.learning_rate or 0.0) * factor
        set_learning_rates(run.optimizer, plan, rate)
        take_step(run.optimizer, run.scaler, scale=images_in_step(run, images) / run.begun, clip=config.optim.clip_norm)
        if run.average is not None:
            run.average.update()
        run.step += 1
        run.begun = 0
        waited = time.monotonic() - run.reported
        tells = waited >= _REPORT_SECONDS
        if (tells and world.alone) or run.step % _WATCH_STEPS == 0 or run.step % each == 0:
            watch.require_finite(rate)  # waits for the device, so only now and then
        if tells:
            yield StepDone(
                epoch=epoch, step=run.step, steps=steps, loss=float(loss.detach()), lr=rate,
                images_per_s=run.unreported / max(waited, 1e-9),
            )  # fmt: skip
            run.reported, run.unreported = time.monotonic(), 0
        if due and run.step % each:  # at the end of an epoch it is saved after it was measured
            yield from keeper.now()
    run.source.check_losses(known_bad, len(run.train_rows))


def _agreed(run: Training, images: int, keeper: Keeps, *, begins: bool = True) -> tuple[int, Wish, bool]:
    """How many images all processes have in this step, what the user wants, which any of them may have heard, and whether the
    first thinks that the run should be saved.

    Args:
        begins: whether a step begins here; only there one waits while the run is held.
    """
    wish = run.control.checkpoint() if begins else run.control.wish
    if run.world.alone:
        return images, wish, keeper.due()
    told = torch.tensor([images, wish == "stop", wish == "cancel", run.world.first and keeper.due()], device=run.place.device)
    run.world.add(told)
    total, stop, cancel, due = told.tolist()
    if cancel:
        run.control.cancel()
    elif stop:
        run.control.stop()
    return total, run.control.wish, bool(due)


@torch.no_grad()
def _recalibrate(run: Training, plan: FreezePlan, epoch: int) -> None:
    """Take the batch-norm statistics of learning stages anew, from the images of this epoch as they were varied in it."""
    assert run.cut.model is not None
    config, parts = run.recipe.config.run, run.backbone.stages
    layers = [layer for name, stage in parts.items() if plan.factor(name) > 0.0 for layer in batch_norms(stage)]
    if not layers:
        return
    enough = max(1, _RECALIBRATION_IMAGES // config.batch_size)
    with in_eval_mode(run.backbone.module, *parts.values(), run.backbone.head), taken_anew(layers):
        for x, _ in run.cut.batches(run.batches(epoch)[:enough], run.cut.draw(epoch)):
            for part in pieces(run, len(x)):
                run.cut.model.suffix(x[part])
            if _breaks_off(run):
                return


@torch.no_grad()
def _validate(run: Training) -> dict[str, float]:
    """Metrics over the validation images; empty where there are none, or the user has asked to stop."""
    assert run.cut.model is not None
    totals = Totals(run.place.device, classes=len(run.images.classes))
    size = max(1024 if run.cut.head_only else 64, run.recipe.config.run.batch_size)
    with in_eval_mode(run.backbone.module, *run.backbone.stages.values(), run.backbone.head):
        for x, target in run.cut.batches(in_batches(run.val_rows, size), None):
            logits = run.cut.fitting.run(run.cut.model.suffix, x)
            totals.add(run.task.loss(logits, target), logits, target)
            if _breaks_off(run):
                break
    run.world.add(*totals.sums)
    return totals.metrics()


def _breaks_off(run: Training) -> bool:
    """Whether nobody waits for a measurement any more. A run is not held in the middle of one: afterwards it can be saved."""
    return run.world.alone and (run.control.wish == "cancel" or run.control.leaving)


def _is_settled(run: Training, infos: tuple[StageInfo, ...], plan: FreezePlan) -> bool:
    """Whether what learns now is what the last epoch will let learn; before that, no epoch is the last worth waiting for."""
    config = run.recipe.config.run
    return not config.patience or plan_at(run.recipe, infos, config.epochs - 1, run.history).lr.keys() == plan.lr.keys()


def _is_better(metrics: dict[str, float], best: dict[str, float]) -> bool:
    """Higher accuracy, or the same with a lower loss; what is not a number never wins."""
    if not metrics or not all(np.isfinite(value) for value in metrics.values()):
        return False
    if not best:
        return True
    return (metrics["accuracy"], -metrics["loss"]) > (best["accuracy"], -best["loss"])
