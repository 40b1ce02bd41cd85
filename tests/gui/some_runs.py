"""Runs in a workspace without any training, and what a test of the Runs page asks of it."""

from __future__ import annotations

import os
import time

from tlstudio.api.config import parse_config
from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Note,
    Prepared,
    RunFailed,
    RunFinished,
    RunStarted,
    StageState,
    StepDone,
)
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run

STAGES = (StageState(name="stem", params=100), StageState(name="head", params=20, factor=1.0, trainable_params=20))


def make_run(
    workspace,
    *,
    name="",
    backbone="timm/tf_efficientnet_lite0",
    path="/data/bees",
    outcome="completed",
    accuracy=0.9,
    seed=0,
):
    config = parse_config({
        "data": {"path": path}, "model": {"backbone": backbone}, "freezing": {"strategy": "freezing/head-only"},
        "run": {"epochs": 3, "name": name, "seed": seed},
    })  # fmt: skip
    run, folder = create_run(workspace, config, {})

    def events():
        yield RunStarted(folder=str(folder), config=config.model_dump(mode="json"), epochs=3)
        yield Prepared(
            classes=("ants", "bees"), images={"train": 8, "val": 2}, stages=STAGES, device="CPU", weights="w", steps_per_epoch=5
        )
        yield Note(text="A note about <bees> & ants.")
        for epoch in range(3):
            yield EpochStarted(epoch=epoch, stages=STAGES)
            for i in range(5):
                step = 5 * epoch + i + 1
                yield StepDone(epoch=epoch, step=step, steps=15, loss=1 / step, lr=0.1, images_per_s=3)
            yield EpochDone(
                epoch=epoch, step=5 * epoch + 5, train={"loss": 0.3, "accuracy": 0.9},
                val={"loss": 0.4, "accuracy": accuracy - 0.1 * (2 - epoch)}, seconds=2.0, best=True,
            )  # fmt: skip
        if outcome == "failed":
            yield RunFailed(error="The disk is full.", hint="Make room.")
        elif outcome != "interrupted":
            yield RunFinished(
                outcome=outcome, metrics={"val_accuracy": accuracy, "val_loss": 0.4}, best_epoch=2, epochs=3, seconds=6.5,
                model=str(folder / "model.safetensors"),
            )  # fmt: skip

    for _ in record((event.model_copy(update={"run": run}) for event in events()), folder):
        pass
    if outcome in ("completed", "stopped"):
        (folder / "model.safetensors").write_bytes(b"weights")
    return run


def shown(qtbot, page, count):
    page.show()
    qtbot.waitUntil(lambda: page.proxy.rowCount() == count and not page.details.busy, timeout=10_000)


def chosen(qtbot, page, run):
    page.show_run(run)
    qtbot.waitUntil(lambda: [r.id for r in page.chosen()] == [run] and settled(page), timeout=10_000)


def settled(page):
    return not page.details.busy and not page._settle.isActive() and page._reading is None


def texts(page, column):
    """What stands in a column, by its name."""
    return [page.proxy.index(row, page.table.column_of(column)).data() for row in range(page.proxy.rowCount())]


def age(folder):
    """Make a run's heartbeat old."""
    old = time.time() - 1000
    os.utime(folder / "run.json", (old, old))
