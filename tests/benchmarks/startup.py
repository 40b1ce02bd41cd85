"""How long until something answers: `python tests/benchmarks/startup.py`. Medians of five, warm.

The window is timed from the start of the process to its first paint (set QT_QPA_PLATFORM, or have a screen).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

_WINDOW = """
import os, sys, time
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication
class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint and type(watched).__name__ == "MainWindow":
            print(time.time() - float(sys.argv[1]), flush=True)
            os._exit(0)
        return False
app = QApplication([])
watch = Watch()
app.installEventFilter(watch)
from tlstudio.gui.app import run_window
run_window()
"""

_IMPORT = "import tlstudio.api"


def _seconds(command: list[str], home: str) -> float:
    import os

    start = time.time()
    done = subprocess.run(
        [*command, str(start)] if _WINDOW in command else command, capture_output=True, text=True, check=True,
        env={**os.environ, "TLSTUDIO_HOME": home},
    )  # fmt: skip
    return float(done.stdout) if _WINDOW in command else time.time() - start


def main() -> None:
    """Print the medians."""
    jobs = {
        "window painted": [sys.executable, "-c", _WINDOW],
        "tlstudio --help": [sys.executable, "-m", "tlstudio", "--help"],
        "tlstudio plugins list": [sys.executable, "-m", "tlstudio", "plugins", "list"],
        "import tlstudio.api": [sys.executable, "-c", _IMPORT],
    }
    with tempfile.TemporaryDirectory() as home:
        times: dict[str, list[float]] = {name: [] for name in jobs}
        for _ in range(6):  # turns, so that a busy moment hits all; the first round only warms
            for name, command in jobs.items():
                times[name].append(_seconds(command, home))
    for name, values in times.items():
        print(f"{name:24} {statistics.median(values[1:]):6.3f} s   [{min(values[1:]):.3f} .. {max(values[1:]):.3f}]")


if __name__ == "__main__":
    main()
