"""Settings that are fine on their own and cannot be together: each as a problem at its field."""

from __future__ import annotations

from collections.abc import Iterator

from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import Problem


def conflicts(config: TrainConfig) -> Iterator[Problem]:
    """All of them."""
    augment, optim, run = config.augment, config.optim, config.run
    for name in ("mixup", "cutmix"):
        if getattr(augment, name) and run.batch_size == 1:
            yield Problem(field=f"augment.{name}", message="needs at least two images in a batch (run.batch_size)")
    if optim.schedule == "step" and optim.step_epochs is not None and optim.step_epochs >= run.epochs:
        yield Problem(field="optim.step_epochs", message=f"must be below run.epochs ({run.epochs}), or the rate never falls")
    if optim.schedule == "plateau" and optim.plateau_patience + 2 >= run.epochs:
        yield Problem(field="optim.plateau_patience",
                      message=f"must be below run.epochs - 2 ({run.epochs - 2}), or the rate never falls")  # fmt: skip
    if optim.schedule == "plateau" and 0 < run.patience <= optim.plateau_patience + 1:
        yield Problem(field="run.patience", message=f"must be above {optim.plateau_patience + 1}: with a plateau patience of "
                      f"{optim.plateau_patience}, training would stop before the rate falls")  # fmt: skip
    if run.min_delta and not run.patience:
        yield Problem(field="run.min_delta", message="has no effect without run.patience")
