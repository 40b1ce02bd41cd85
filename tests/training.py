"""Runs the engine as a script does, on the small network of the engine's tests."""

from __future__ import annotations

from typing import get_args

from tlstudio.api.config import OptimConfig, TrainConfig, with_overrides
from tlstudio.engine.control import Control
from tlstudio.engine.run import start_run

OPTIMIZERS = get_args(OptimConfig.model_fields["optimizer"].annotation)


def run(catalog, workspace, *overrides, control=None, on_event=None):
    """All events of a run with these settings, of the head alone unless they say else; ``on_event`` hears each as it comes."""
    usual = ["model.backbone=test/tiny", "model.weights=none", "freezing.strategy=freezing/head-only"]
    config = with_overrides(TrainConfig(), [*usual, *overrides])
    events = []
    for event in start_run(config, catalog, workspace, control or Control()):
        events.append(event)
        if on_event is not None:
            on_event(event)
    return events
