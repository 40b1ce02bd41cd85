"""How the window starts, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

_WATCHED = """
import os, sys, threading
from PySide6.QtCore import QObject

made = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("tlstudio.", "pyqtgraph")) and threading.current_thread() is not threading.main_thread():
            made[name] = None

sys.meta_path.insert(0, Watch())
from tlstudio.gui import startup

def drawn(self):
    own = [name for name in made if any(
        isinstance(value, type) and issubclass(value, QObject) and value.__module__ == name
        for value in vars(sys.modules[name]).values() if name in sys.modules
    )]
    print("imported elsewhere", len(made), "with classes of Qt's", own, flush=True)
    os._exit(0)

startup.Startup._draw_the_rest = drawn
from tlstudio.gui.app import run_window
run_window(demo=True)
"""


def test_classes_of_qt_are_made_in_the_windows_own_thread(tlstudio_home):
    """One that another thread made while the window made its widgets has ended the process."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True, env=environment, check=True)
    words = done.stdout.split()
    assert words[:2] == ["imported", "elsewhere"]
    assert int(words[2]) > 0  # plugins and the engine are
    assert done.stdout.endswith("with classes of Qt's []\n")
