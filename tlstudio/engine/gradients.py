"""The gradients of a batch, at once or, where the memory does not suffice, in parts."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import torch
from torch import Tensor

from tlstudio import faults
from tlstudio.api.events import Event, Note
from tlstudio.engine.device import seed_all
from tlstudio.engine.failure import is_out_of_memory
from tlstudio.engine.fitting import free_memory
from tlstudio.engine.random import step_seed
from tlstudio.engine.task import mix
from tlstudio.engine.training import Training

_MOST_PARTS = 8
_FEWEST = 2  # images in a part: batch norm cannot learn from a single one


def gradients_that_fit(
    run: Training, x: Tensor, target: Tensor, part: int, *, share: float, images: int
) -> Generator[Event, None, tuple[Tensor, Tensor]]:
    """`add_gradients`; when the memory does not suffice, again in 2, 4 or 8 parts, and so for the rest of the run."""
    while True:
        try:
            return add_gradients(run, x, target, part, share=share, images=images)
        except Exception as error:
            parts = 2 * run.parts
            hopeless = parts > _MOST_PARTS or len(target) < _FEWEST * parts
            if hopeless or part > 0 or not run.world.alone or not is_out_of_memory(error):
                raise
        # not within the handler: what it holds are the tensors that were too many
        run.parts = parts
        run.optimizer.zero_grad(set_to_none=True)
        free_memory(run.place)
        yield Note(
            level="warning",
            text=f"There is not enough memory for {len(target)} images at once: from step {run.step + 1} on, a batch is "
            f"learned from in {parts} parts. Not exact: batch norm sees the parts. A batch size of {len(target) // parts} "
            "fits.",
        )


def add_gradients(run: Training, x: Tensor, target: Tensor, part: int, *, share: float, images: int) -> tuple[Tensor, Tensor]:
    """Add a batch's gradients to those of the step; returns the mean loss of the batch and its logits.

    Args:
        part: the number of the batch in its step; gradients begin anew with the first.
        share: what the loss of this process counts, where others have other parts of the batch.
        images: in the batch of all processes.
    """
    if faults.active is not None:
        faults.active.count("step")
    config = run.recipe.config
    draw = run.step * config.optim.accumulate + part
    seed_all(run.place.device, step_seed(config.run.seed + run.world.rank, draw))
    assert run.cut.model is not None
    mixture = mix(x, config.augment, config.run.seed, draw, images=run.cut.model.frozen == 0)
    if part == 0:
        run.optimizer.zero_grad(set_to_none=True)
    if mixture is not None:
        x = mixture.x
    parts = pieces(run, len(target))
    losses, found = [], []
    for number, rows in enumerate(parts):
        logits = run.cut.suffix(x[rows])
        loss = run.task.objective(logits, target[rows]) if mixture is None else mixture.loss(run.task, logits, target, rows)
        count = 1.0 if len(parts) == 1 else len(logits) / len(target)
        total = loss * share * count
        if number == 0 and run.recipe.strategy.penalty is not None:
            total = total + run.recipe.strategy.penalty(run.backbone, run.start, run.recipe.strategy_options)
        run.scaler.scale(total * (images / images_in_step(run, images))).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach() * count)
        found.append(logits)
    return (losses[0], found[0]) if len(parts) == 1 else (torch.stack(losses).sum(), torch.cat([one.detach() for one in found]))


def images_in_step(run: Training, images: int) -> int:
    """How many images a step has, as far as one knows before its last batch, which has so many."""
    config = run.recipe.config
    return images if config.optim.accumulate == 1 else config.optim.accumulate * config.run.batch_size


def pieces(run: Training, images: int) -> list[slice]:
    """The parts of a batch of so many images that fit in memory one after the other."""
    count = max(1, min(run.parts, images // _FEWEST))
    bounds = [images * number // count for number in range(count + 1)]
    return [slice(begin, end) for begin, end in pairwise(bounds)]
