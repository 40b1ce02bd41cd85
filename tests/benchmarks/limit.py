"""How near full fine-tuning comes to what the processor can do: `python tests/benchmarks/limit.py DATA [--backbone NAME]`.

Trains as tlstudio does, and after each epoch times the same step on a synthetic batch that is ready in memory: the same network
in the same precision and memory format, the same optimiser and allocator, nothing beside it. Prints what each part of a steady
epoch took, as one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from stopwatch import EpochTimes, Stopwatch, watched_run
from torch import Tensor

from tlstudio.engine.training import Training

_STEPS = 8
_WARM_STEPS = 2


class Limit:
    """Times synthetic steps, and the making of pixels alone, between the epochs of a run."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.batch = 0
        self.pixels: list[float] = []

    def __call__(self, run: Training, like: Tensor) -> None:
        """``like`` is a batch of the run, whose shape, type and memory format the synthetic one has."""
        self.batch = len(like)
        time.sleep(0.5)  # what was fetched ahead is there by now
        x = torch.randn_like(like)
        target = torch.arange(self.batch, device=like.device) % len(run.images.classes)
        for group in run.optimizer.param_groups:
            group["lr"] = 0.0  # the loop sets it again; noise shall not be learned
        for step in range(_WARM_STEPS + _STEPS):
            began = time.perf_counter()
            _step(run, x, target)
            if step >= _WARM_STEPS:
                self.steps.append(time.perf_counter() - began)
        began = time.perf_counter()
        draw = 1000 + len(self.pixels)
        for start in range(0, len(run.train_rows), self.batch):
            run.source.batch(run.train_rows[start : start + self.batch], draw=draw)
        self.pixels.append(time.perf_counter() - began)


def _step(run: Training, x: Tensor, target: Tensor) -> None:
    assert run.cut.model is not None
    loss = run.task.loss(run.cut.model.suffix(x), target)
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()
    run.scaler.step(run.optimizer)
    run.scaler.update()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="timm/tf_efficientnet_lite0")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = [
        f"data.path={options.data}", f"model.backbone={options.backbone}", f"model.weights={options.weights}",
        "freezing.strategy=full", "augment.preset=light", f"run.epochs={options.epochs}", f"run.seed={options.seed}",
    ]  # fmt: skip
    limit = Limit()
    stopwatch = Stopwatch(between=limit)
    with tempfile.TemporaryDirectory() as workspace:
        watched_run(settings, Path(workspace), stopwatch)
    run = stopwatch.training
    assert run is not None
    steady = stopwatch.epochs[1:] or stopwatch.epochs
    parts = {name: statistics.median(asdict(epoch)[name] for epoch in steady) for name in asdict(EpochTimes())}
    images = len(np.unique(run.train_rows))
    at_limit = images * statistics.median(limit.steps) / limit.batch
    learning = parts["whole"] - parts["validation"] - parts["checkpoint"]
    facts = {
        "device": run.place.title, "images": images, "validation_images": len(run.val_rows), "limit": images / at_limit,
        "reached": images / learning, "share": at_limit / learning, "at_limit": at_limit, "parts": parts,
        "pixels_alone": images / statistics.median(limit.pixels),
    }  # fmt: skip
    print("facts " + json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
