"""The model of a run that broke off, out of its newest checkpoint: what stopping it by hand would have kept."""

from __future__ import annotations

from pathlib import Path

import torch

from tlstudio.api.errors import UserError
from tlstudio.engine.checkpoint import about_model, load_state, save_result
from tlstudio.engine.describe import build_with
from tlstudio.engine.saved import open_saved
from tlstudio.engine.state import completed
from tlstudio.engine.training import Best, library_state
from tlstudio.registry import Catalog
from tlstudio.runs import spool
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
        spool.fetch(folder)
        saved = open_saved(folder, epochs=None)
        if saved.checkpoint is None:
            raise UserError(
                f"The run {saved.info.id} has no intact checkpoint: there is no model to keep.",
                hint=f"Begin it anew: tlstudio runs resume {saved.info.id}",
            )
        recipe = saved.recipe(catalog, workspace)
        classes = list(saved.meta["classes"])
        backbone = build_with(recipe.backbone, len(classes), recipe.strategy, recipe.strategy_options)
        state = load_state(saved.checkpoint)
        backbone.module.load_state_dict(state["model"], strict=True)
        tensors = library_state(backbone, recipe.strategy)
        best = state["best"]
        if best["epoch"] >= 0:
            tensors = completed(best["weights"], tensors)
        return save_result(folder, tensors, about_model(recipe, classes, Best(best["epoch"], metrics=dict(best["metrics"]))))
