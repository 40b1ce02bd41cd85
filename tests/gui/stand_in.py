"""A Train page without a network, for tests of the window around it."""

from __future__ import annotations

from types import SimpleNamespace

from PySide6.QtWidgets import QWidget


class StandIn(QWidget):
    """In the place of the Train page: its run ends when the test says so."""

    waiting = SimpleNamespace(may_start=lambda: False, may_add=lambda: False)
    elsewhere = SimpleNamespace(may_watch=lambda: False)

    def __init__(self, context):
        super().__init__()
        self._context, self.running, self.calls = context, False, []

    def start(self):
        self.running = True
        self._context.set_run_active(True)

    def stop(self, keep=True):
        self.calls.append(keep)

    def leave(self):
        self.calls.append("leave")
        return "run1"

    def wait_for_end(self, seconds):
        self.end()

    def end(self):
        self.running = False
        self._context.set_run_active(False)

    def is_running(self):
        return self.running

    def is_watching(self):
        return False
