"""What plots, events and checkpoints cost: `python tests/benchmarks/overhead.py DATA VARIANT [--strategy NAME]`.

VARIANT is how a run is followed: ``bare`` (the training loop alone: nothing recorded, no checkpoint), ``recorded`` (as in the
terminal) or ``window`` (the real window, its Train page drawing the curves). The seconds that the loop waits while an event is
recorded and sent, those of checkpoints and, in the window, the processor time of its thread are counted directly: wall times of
two runs differ by more than that. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from stopwatch import EpochTimes, Stopwatch, watched_run

from tlstudio.engine import session

_TICK_MS = 20


def in_window(settings: list[str], stopwatch: Stopwatch) -> tuple[Path, float]:
    """Train in the real window; returns the folder of the run and the processor seconds of the window's thread."""
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from tlstudio.api.config import TrainConfig, with_overrides
    from tlstudio.gui.app import run_window

    app = QApplication([])
    session.train = stopwatch
    config = with_overrides(TrainConfig(), settings)
    spent = 0.0

    def steps() -> Iterator[Callable[[], bool]]:
        nonlocal spent
        window = None
        while window is None:
            yield lambda: True
            window = next((item for item in QApplication.topLevelWidgets() if type(item).__name__ == "MainWindow"), None)
        yield lambda: window.context.catalog is not None and "Preparing" not in window.status.device.text()
        window.open_config(config.data)
        yield lambda: window.context.data is not None
        window.show_page("train")
        page = window.page("train")
        page.set_config(config)
        page.start()
        yield lambda: bool(stopwatch.training)
        began = time.thread_time()
        yield lambda: len(stopwatch.epochs) == config.run.epochs
        spent = time.thread_time() - began
        yield lambda: not page.is_running()
        window.close()

    plan = steps()
    ready: Callable[[], bool] = lambda: True  # noqa: E731

    def tick() -> None:
        nonlocal ready
        if ready():
            try:
                ready = next(plan)
            except StopIteration:
                timer.stop()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(_TICK_MS)
    run_window()
    timer.deleteLater()
    app.quit()
    return max(Path(os.environ["TLSTUDIO_HOME"]).glob("workspace/runs/*"), key=os.path.getmtime), spent


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("variant", choices=["bare", "recorded", "window"])
    parser.add_argument("--strategy", default="full")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = [f"data.path={options.data}", f"freezing.strategy={options.strategy}", "augment.preset=light",
                f"run.epochs={options.epochs}", f"run.seed={options.seed}"]  # fmt: skip
    stopwatch = Stopwatch(bare=options.variant == "bare")
    thread = 0.0
    with tempfile.TemporaryDirectory() as home:
        os.environ["TLSTUDIO_HOME"] = home
        if options.variant == "window":
            folder, thread = in_window(settings, stopwatch)
        else:
            folder = watched_run(settings, Path(home) / "workspace", stopwatch)
        recorded = (folder / "events.jsonl").read_bytes().splitlines()
    parts = {name: sum(asdict(epoch)[name] for epoch in stopwatch.epochs) for name in asdict(EpochTimes())}
    extra = parts["events"] + parts["checkpoint"] + thread
    facts = {"seconds": parts["whole"], "events": parts["events"], "checkpoints": parts["checkpoint"], "window_thread": thread,
             "share": extra / parts["whole"], "lines": len(recorded), "bytes": sum(map(len, recorded)) + len(recorded),
             "largest": max(map(len, recorded)), "epochs": [epoch.whole for epoch in stopwatch.epochs]}  # fmt: skip
    print("facts " + json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
