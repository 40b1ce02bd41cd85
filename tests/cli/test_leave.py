"""The program ends at once, and yet all is done that an ordinary end does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import atexit, sys, tempfile, threading, time, weakref
import typer
from tlstudio.cli.app import main
from tlstudio.cli.tree import app

class Gone:
    def __del__(self):
        print("taken apart", file=sys.stderr, flush=True)

def work():
    time.sleep(0.3)
    print("thread done")

def command():
    import torch
    global folder, kept
    folder, kept = tempfile.TemporaryDirectory(), Gone()
    kept.itself = kept
    print(folder.name)
    atexit.register(print, "exit function done")
    threading.Thread(target=work).start()
    print("no line end", end=" ")
    raise typer.Exit(%(status)d)

app.command("try")(command)
sys.argv[1:] = ["try"]
sys.exit(main())
"""


@pytest.mark.parametrize("status", [0, 3])
def test_threads_exit_functions_and_output_are_waited_for(status):
    done = subprocess.run([sys.executable, "-c", _PROGRAM % {"status": status}], capture_output=True, text=True, check=False)
    folder, *rest = done.stdout.splitlines()
    assert done.returncode == status
    assert rest == ["no line end thread done", "exit function done"]
    assert not os.path.exists(folder)
    assert done.stderr == ""  # not even what a collector would only find at the very end


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a Linux device")
def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM % {"status": 0}], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode > 0


def test_a_caller_within_a_program_gets_the_status_back():
    code = "import torch; from tlstudio.cli.app import main; print(main(['--version']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"


_WINDOW = """
import os, sys
os.environ["QT_QPA_PLATFORM"] = "offscreen"
import torch
from PySide6.QtWidgets import QApplication, QWidget
from tlstudio.cli import leave

app, window = QApplication([]), QWidget()
app.destroyed.connect(lambda: print("application", flush=True))
window.destroyed.connect(lambda: print("window", flush=True))
leave.at_once(0)
"""


def test_a_windows_application_is_destroyed_in_order():
    """Else what the user copied from it is gone with it."""
    done = subprocess.run([sys.executable, "-c", _WINDOW], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["window", "application"]
