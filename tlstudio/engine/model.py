"""Builds the network of a recipe: the library's module, its weights, and the strategy's own preparation."""

from __future__ import annotations

import torch

from tlstudio.api.backbone import Backbone
from tlstudio.engine.weights import WeightsReport, load_weights
from tlstudio.registry.catalog import Recipe


def build_model(recipe: Recipe, num_classes: int) -> tuple[Backbone, WeightsReport | None]:
    """The network with a head for ``num_classes`` and the recipe's weights; the report is ``None`` without weights.

    The seed of the run decides every random initial value.

    Raises:
        WeightsError: the weights do not fit.
    """
    torch.manual_seed(recipe.config.run.seed)
    backbone = recipe.backbone.build(num_classes)
    report = None if recipe.weights.path is None else load_weights(backbone, recipe.backbone, recipe.weights)
    if recipe.strategy.prepare is not None:
        backbone = recipe.strategy.prepare(backbone, recipe.strategy_options)
    return backbone, report
