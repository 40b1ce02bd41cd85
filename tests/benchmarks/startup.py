"""How long until something answers: `python tests/benchmarks/startup.py`. Medians of five, warm.

The window is timed from the start of the process: until its first paint, until the sample's images are open, until its Train
page is there, until torch is imported behind it (set QT_QPA_PLATFORM, or have a screen).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

_WINDOW = """
import gc, json, os, sys, time
import tlstudio.cli.app  # what the command costs before it comes to the window
gc.disable()  # as the window does, before it imports Qt
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication

seconds = {}

def mark(what):
    seconds.setdefault("window: " + what, time.time() - float(sys.argv[1]))

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and type(watched).__name__ == "MainWindow" and not seconds:
            mark("painted")
            watched.context.data_changed.connect(lambda _opened: mark("sample opened"))
        if event.type() == QEvent.Type.Paint and type(watched).__name__ == "TrainPage":
            mark("Train page painted")
        return False

app = QApplication([])
watch = Watch()
app.installEventFilter(watch)
from tlstudio.gui import startup

def warmed(self, device):
    mark("torch imported")
    print(json.dumps(seconds), flush=True)
    os._exit(0)

startup.Startup._warmed = warmed
from tlstudio.gui.app import run_window
run_window(demo=True)
"""

_COMMANDS = {
    "tlstudio --help": [sys.executable, "-m", "tlstudio", "--help"],
    "tlstudio plugins list": [sys.executable, "-m", "tlstudio", "plugins", "list"],
    "import PySide6.QtWidgets": [sys.executable, "-c", "import PySide6.QtWidgets"],
    "import tlstudio.api": [sys.executable, "-c", "import tlstudio.api"],
}


def _run(command: list[str], home: str) -> tuple[float, str]:
    start = time.time()
    environment = {**os.environ, "TLSTUDIO_HOME": home}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return time.time() - start, done.stdout


def main() -> None:
    """Print the medians."""
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(6):  # turns, so that a busy moment hits all; the first round only warms
            _, text = _run([sys.executable, "-c", _WINDOW, str(time.time())], home)
            for name, value in json.loads(text.splitlines()[-1]).items():
                times.setdefault(name, []).append(value)
            for name, command in _COMMANDS.items():
                times.setdefault(name, []).append(_run(command, home)[0])
    for name, values in times.items():
        print(f"{name:28} {statistics.median(values[1:]):6.3f} s   [{min(values[1:]):.3f} .. {max(values[1:]):.3f}]")


if __name__ == "__main__":
    main()
