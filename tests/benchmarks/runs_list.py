"""How long the list of many runs takes: `python tests/benchmarks/runs_list.py [--runs 1000] [--steps 1000]`.

Writes a workspace of runs with so many told steps each into a temporary folder and lists it: without the cache of summaries,
then with it, then after one run went on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from tlstudio.api.config import parse_config
from tlstudio.api.events import EpochDone, Prepared, RunFinished, StepDone
from tlstudio.runs.notes import RunNotes, write_notes
from tlstudio.runs.store import create_run, list_runs

_EPOCHS = 30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["TLSTUDIO_HOME"] = home
        workspace = Path(home) / "workspace"
        folders = make_runs(workspace, options.runs, options.steps)
        size = sum((folder / "events.jsonl").stat().st_size for folder in folders)
        print(f"{options.runs:,} runs of {options.steps:,} steps: {size / 2**20:.0f} MiB of events")
        for what in ("first list, all events are read", "again", "again"):
            tell(workspace, what)
        with (folders[0] / "events.jsonl").open("ab") as file:
            file.write(_line(EpochDone(epoch=_EPOCHS, step=1, train={}, val={}, seconds=1.0, best=False)))
        tell(workspace, "after one run went on")


def make_runs(workspace: Path, runs: int, steps: int) -> list[Path]:
    """Runs that differ in their figures; every tenth has notes. Returns their folders."""
    per_epoch = max(1, steps // _EPOCHS)
    folders = []
    for number in range(runs):
        config = parse_config({"data": {"path": "/data/bees"}, "run": {"seed": number, "epochs": _EPOCHS}})
        _, folder = create_run(workspace, config, {})
        images = {"train": 32 * per_epoch, "val": 100}
        lines = [_line(Prepared(classes=("a", "b"), images=images, stages=(), device="CPU", weights="x", steps_per_epoch=1))]
        for step in range(steps):
            lines.append(_line(StepDone(epoch=0, step=step, steps=steps, loss=1 / (step + 1), lr=0.1, images_per_s=100.0)))
            if step % per_epoch == per_epoch - 1:
                epoch = step // per_epoch
                val = {"loss": 0.5, "accuracy": (number % 97) / 100}
                lines.append(_line(EpochDone(epoch=epoch, step=step, train=val, val=val, seconds=1.0, best=epoch == 0)))
        lines.append(_line(RunFinished(outcome="completed", metrics={"val_accuracy": (number % 97) / 100}, best_epoch=0,
                                       epochs=_EPOCHS, seconds=30.0, model="")))  # fmt: skip
        (folder / "events.jsonl").write_bytes(b"".join(lines))
        if number % 10 == 0:
            write_notes(folder, RunNotes(text=f"note {number}", tags=("tenth",)))
        folders.append(folder)
    return folders


def tell(workspace: Path, what: str) -> None:
    """List, and print how long it took."""
    began = time.perf_counter()
    count = len(list_runs(workspace))
    print(f"{what:34} {1000 * (time.perf_counter() - began):7.0f} ms   ({count:,} runs)")


def _line(event: object) -> bytes:
    return event.model_dump_json().encode() + b"\n"  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
