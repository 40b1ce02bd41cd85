"""An engine that trains nothing: what it tells comes from the test."""

from __future__ import annotations

import queue
import threading

from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunStarted,
    StageState,
    StepDone,
)

STAGES = (
    StageState(name="stem", params=1000),
    StageState(name="block", params=9000, factor=0.1, trainable_params=9000),
    StageState(name="head", params=20, factor=1.0, trainable_params=20),
)


class FakeEngine:
    """A runner whose events come from the test, and which obeys its control as the engine does."""

    def __init__(self):
        self.steps = queue.Queue()
        self.config = None
        self.control = None
        self.runs = 0
        self.paused_at = threading.Event()

    def __call__(self, config, catalog, workspace, control):
        self.runs += 1
        self.config, self.control = config, control
        run = f"run{self.runs}"
        yield RunStarted(
            run=run, folder=str(workspace / "runs" / run), config=config.model_dump(mode="json"), epochs=config.run.epochs
        )
        while True:
            item = self.steps.get(timeout=20)
            if item is None:
                break
            yield item.model_copy(update={"run": item.run or run})
            if isinstance(item, RunFailed):
                return
            if control.paused:
                self.paused_at.set()
            if control.checkpoint() != "go":
                break
        outcome = {"go": "completed", "stop": "stopped", "cancel": "cancelled"}[control.wish]
        yield RunFinished(
            run=run, outcome=outcome, metrics={"val_accuracy": 0.948, "val_loss": 0.2}, best_epoch=6, epochs=10, seconds=12.0,
            model="" if outcome == "cancelled" else str(workspace / "runs" / run / "model.safetensors"),
        )  # fmt: skip

    def put(self, *events):
        for event in events:
            self.steps.put(event)

    def prepared(self):
        self.put(
            Progress(task="Reading images", done=120, total=397),
            Prepared(
                classes=("ants", "bees"), images={"train": 8, "val": 2}, stages=STAGES, device="CPU", weights="imagenet1k",
                steps_per_epoch=4,
            ),
        )  # fmt: skip

    def epoch(self, epoch, accuracy=0.9, best=True):
        self.put(EpochStarted(epoch=epoch, stages=STAGES))
        for i in range(4):
            self.put(StepDone(epoch=epoch, step=4 * epoch + i + 1, steps=40, loss=1 / (i + 1), lr=1e-3, images_per_s=44.0))
        self.put(
            EpochDone(
                epoch=epoch, step=4 * epoch + 4, train={"loss": 0.4, "accuracy": 0.95}, val={"loss": 0.5, "accuracy": accuracy},
                seconds=2.0, best=best,
            )
        )  # fmt: skip


def wait_run(qtbot, engine, page, number):
    """Wait until this run is going, counted from 1, and the page knows of it."""
    qtbot.waitUntil(lambda: engine.runs == number and page.is_running() and bool(page.session.run), timeout=20_000)
