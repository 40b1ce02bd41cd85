"""How long the window takes to close while it trains: from the signal to the end of the process, the run saved.

    python tests/benchmarks/close.py [FOLDER]

Trains the shipped network on a folder of images (the sample without one): the head alone, the last stages, all of it. Lets it
come into its second epoch, and ends it as a log-off does. Prints seconds, the exit code, and how the run is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STRATEGIES = ("freezing/head-only", "freezing/last-stages", "freezing/full")
_WINDOW = """
import json, sys
from pathlib import Path
from tlstudio.api.config import parse_config
from tlstudio.cli import leave
from tlstudio.gui import startup
from tlstudio.gui.app import run_window

config, workspace = parse_config(json.loads(sys.argv[1])), Path(sys.argv[2])
warmed = startup.Startup._warmed

def ready(self, device):
    warmed(self, device)
    window = self._window
    window.context.run_event.connect(lambda event: print(event.event, getattr(event, "epoch", ""), flush=True))
    window.show_page("train")
    window.train_page.set_config(config)
    assert window.train_page.start()

startup.Startup._warmed = ready
leave.at_once(run_window(workspace=workspace))  # as the program does
"""


def measure(data: dict[str, str], strategy: str) -> str:
    """One line of the table."""
    import json

    from tlstudio.runs.standing import standing_of
    from tlstudio.runs.store import list_runs

    config = {"data": data, "freezing": {"strategy": strategy}, "run": {"epochs": 50}}
    with tempfile.TemporaryDirectory() as workspace:
        command = [sys.executable, "-c", _WINDOW, json.dumps(config), workspace]
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as window:
            first_done = False
            for line in window.stdout or ():
                first_done |= line.startswith("EpochDone")
                if first_done and line.startswith("StepDone"):
                    break
            time.sleep(0.3)
            began = time.perf_counter()
            window.send_signal(signal.SIGTERM)
            saved = None
            for line in window.stdout or ():
                if line.startswith("CheckpointSaved"):
                    saved = time.perf_counter() - began
            code = window.wait()
            seconds = time.perf_counter() - began
        (run,) = list_runs(Path(workspace))
        standing = standing_of(run)
    where = f"{run.status}, can go on after step {standing.step}" if standing else f"{run.status}, cannot go on"
    return f"{strategy:24} {seconds:5.2f} s  (saved after {saved or float('nan'):.2f} s)  exit {code}  {where}"


if __name__ == "__main__":
    source = {"path": str(Path(sys.argv[1]).resolve())} if len(sys.argv) > 1 else {"dataset": "datasets/digits"}
    for name in STRATEGIES:
        print(measure(source, name), flush=True)
