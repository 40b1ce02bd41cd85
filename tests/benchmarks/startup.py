"""How long until something answers: `python tests/benchmarks/startup.py`. Medians of five, warm.

The window is timed from the start of the process: until its first paint, until the sample's images are open, until its Train
page is painted, until torch is imported behind it (set QT_QPA_PLATFORM, or have a screen). The reference rows are the floor: an
empty window of PySide6, and one with two empty plots of pyqtgraph, with nothing of tlstudio. `--against OTHER` times another
checkout as well, in turns, and prints the ratios; `--commands` leaves the window out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_WINDOW = """
import gc, json, os, sys, time
import tlstudio.cli.app  # what the command costs before it comes to the window
gc.disable()  # as the window does, before it imports Qt
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication

seconds = {}

def mark(what):
    seconds.setdefault("window: " + what, time.time() - float(sys.argv[1]))

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and type(watched).__name__ == "MainWindow" and not seconds:
            QTimer.singleShot(0, lambda: mark("painted"))
            watched.context.data_changed.connect(lambda _opened: mark("sample opened"))
        if event.type() == QEvent.Type.Paint and type(watched).__name__ == "TrainPage":
            QTimer.singleShot(0, lambda: mark("Train page painted"))
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

_REFERENCE = """
import gc, sys, time
gc.disable()
from PySide6.QtWidgets import QApplication, QMainWindow, QSplitter
app = QApplication([])
window = QMainWindow()
if sys.argv[2] == "plots":
    import pyqtgraph
    box = QSplitter()
    for _ in range(2):
        box.addWidget(pyqtgraph.PlotWidget())
    window.setCentralWidget(box)
window.resize(1280, 800)
window.show()
app.processEvents()
print(time.time() - float(sys.argv[1]), flush=True)
"""

_COMMANDS = {
    "tlstudio --help": [sys.executable, "-m", "tlstudio", "--help"],
    "tlstudio plugins list": [sys.executable, "-m", "tlstudio", "plugins", "list"],
    "tlstudio backbones --all": [sys.executable, "-m", "tlstudio", "backbones", "--all"],
    "all backbones listed": [sys.executable, "-c", "from tlstudio.registry import load_catalog; len(load_catalog().backbones)"],
    "import PySide6.QtWidgets": [sys.executable, "-c", "import PySide6.QtWidgets"],
    "import tlstudio.api": [sys.executable, "-c", "import tlstudio.api"],
}


def _run(command: list[str], home: str, tree: str = "") -> tuple[float, str]:
    environment = {**os.environ, "TLSTUDIO_HOME": home}
    environment["PYTHONPYCACHEPREFIX"] = str(Path(home) / "compiled")  # warm means compiled, wherever the sources may lie
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=tree or None)
    return time.time() - start, done.stdout


def _times(home: str, tree: str, *, window: bool) -> dict[str, float]:
    """Each thing once, in seconds."""
    found = _window_times(home, tree) if window else {}
    for name, command in _COMMANDS.items():
        found[name] = _run(command, home, tree)[0]
    return found


def _window_times(home: str, tree: str) -> dict[str, float]:
    found = {}
    for name, words in {"reference: empty window": "window", "reference: window, two plots": "plots"}.items():
        found[name] = float(_run([sys.executable, "-c", _REFERENCE, str(time.time()), words], home)[1])
    _, text = _run([sys.executable, "-c", _WINDOW, str(time.time())], home, tree)
    return found | json.loads(text.splitlines()[-1])


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", default="", help="another checkout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", action="store_true")
    arguments = parser.parse_args()
    trees = [str(Path(__file__).parents[2])] + ([str(Path(arguments.against).resolve())] if arguments.against else [])
    times: list[dict[str, list[float]]] = [{} for _ in trees]
    with tempfile.TemporaryDirectory() as home:
        for turn in range(1 + arguments.rounds):  # in turns, so that a busy moment hits all; the first round only warms
            for tree, kept in zip(trees, times, strict=True):
                for name, value in _times(str(Path(home) / Path(tree).name), tree, window=not arguments.commands).items():
                    kept.setdefault(name, []).extend([value] if turn else [])
    for name, values in times[0].items():
        line = f"{name:32} {statistics.median(values):6.3f} s   [{min(values):.3f} .. {max(values):.3f}]"
        if arguments.against:
            other = times[1][name]
            line += f"   other {statistics.median(other):6.3f} s [{min(other):.3f} .. {max(other):.3f}]"
            line += f"   x{statistics.median(other) / statistics.median(values):.2f}"
        print(line)


if __name__ == "__main__":
    main()
