"""A loss that is no number: which step began it, with which images, and what to try instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tlstudio.api.errors import ExitCode, UserError
from tlstudio.api.images import printable
from tlstudio.engine.training import Training

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMED = 10


class Watch:
    """The losses since they were last seen to be numbers, on the device: reading each at once would make it wait.

    Args:
        run: what trains.
        epoch: that it is in.
        batches: the rows of that epoch's batches, of all processes.
    """

    def __init__(self, run: Training, epoch: int, batches: list[NDArray[np.int64]]) -> None:
        self._run, self._epoch, self._batches = run, epoch, batches
        self._losses: list[tuple[int, int, Tensor]] = []

    def add(self, loss: Tensor) -> None:
        """The loss of the batch that the run is at."""
        self._run.finite &= torch.isfinite(loss.detach())
        self._losses.append((self._run.step + 1, self._run.batch, loss.detach()))

    def require_finite(self, rate: float) -> None:
        """Wait for the device, in all processes.

        Args:
            rate: the learning rate of the last step.

        Raises:
            UserError: a loss is no number.
        """
        if self._run.world.highest(0 if self._run.finite else 1, self._run.place.device):
            raise self._told(rate)
        self._losses.clear()

    def _told(self, rate: float) -> UserError:
        run, best = self._run, self._run.best
        bad = next(((step, batch) for step, batch, loss in self._losses if not bool(torch.isfinite(loss))), None)
        step, batch = bad if bad is not None else (run.step, None)  # else it was in another process
        lines = [f"Epoch {self._epoch + 1}, learning rate {rate:g}, length of the gradient in step {run.step}: {_norm(run):g}."]
        if batch is not None and batch < len(self._batches):
            rows = self._batches[batch]
            names = ", ".join(printable(run.images.keys[row]) for row in rows[:_NAMED])
            lines.append(
                f"The images of that step: {names}" + (f" and {len(rows) - _NAMED} more." if len(rows) > _NAMED else ".")
            )
        lines.append(f"The best epoch ({best.epoch + 1}) is kept." if best.epoch >= 0 else "No epoch was finished before.")
        base = run.recipe.config.optim.learning_rate or rate
        return UserError(
            f"Training diverged at step {step}: the loss is no longer a number.",
            detail="\n".join(lines),
            hint=f"Train anew with a smaller learning rate, for instance optim.learning_rate={base / 10:g}.",
            exit_code=ExitCode.DIVERGED,
        )


def _norm(run: Training) -> float:
    gradients = [p.grad for group in run.optimizer.param_groups for p in group["params"] if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))
