"""The model of a run that broke off, out of its newest checkpoint: what stopping it by hand would have kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tlstudio.api.backbone import Preprocessing
from tlstudio.api.errors import UserError
from tlstudio.engine.checkpoint import load_state, save_result
from tlstudio.engine.saved import open_saved
from tlstudio.engine.state import completed
from tlstudio.engine.training import Best, library_state
from tlstudio.registry import Catalog
from tlstudio.registry.catalog import Recipe
from tlstudio.runs.lock import hold


@torch.no_grad()
def keep_model(folder: Path, catalog: Catalog, workspace: Path) -> Path:
    """Write the best epoch's model so far as the result of a run, or where no epoch has ended, the weights as they are.

    The run can go on as before, and its result is then written anew. Its images need not be there.

    Returns:
        The file.

    Raises:
        UserError: the run is going, is finished, or has no intact checkpoint.
        OSError: it cannot be written.
    """
    with hold(folder):
        saved = open_saved(folder, epochs=None)
        if saved.checkpoint is None:
            raise UserError(
                f"The run {saved.info.id} has no intact checkpoint: there is no model to keep.",
                hint=f"Begin it anew: tlstudio runs resume {saved.info.id}",
            )
        recipe = saved.recipe(catalog, workspace)
        classes = list(saved.meta["classes"])
        backbone = recipe.backbone.build(len(classes))
        if recipe.strategy.prepare is not None:
            backbone = recipe.strategy.prepare(backbone, recipe.strategy_options)
        state = load_state(saved.checkpoint)
        backbone.module.load_state_dict(state["model"], strict=True)
        tensors = library_state(backbone, recipe.strategy)
        best = state["best"]
        if best["epoch"] >= 0:
            tensors = completed(best["weights"], tensors)
        return save_result(folder, tensors, about_model(recipe, classes, Best(best["epoch"], metrics=dict(best["metrics"]))))


def about_model(recipe: Recipe, classes: list[str], best: Best) -> Mapping[str, Any]:
    """What ``model.json`` says: all that is needed to use the model."""
    preprocessing: Preprocessing = recipe.preprocessing
    return {
        "backbone": recipe.config.model.backbone,
        "classes": classes,
        "preprocessing": asdict(preprocessing),
        "epoch": best.epoch,
        "metrics": best.metrics,
    }
