"""The status bar: one line of what happened, what runs and when it ends, memory, device."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QLabel, QMainWindow, QStatusBar

from tlstudio.gui.context import AppContext

if TYPE_CHECKING:
    from tlstudio.api.events import StepDone

_MEMORY_MS = 2000


class StatusBar(QStatusBar):
    """Follows the context."""

    def __init__(self, context: AppContext, parent: QMainWindow) -> None:
        super().__init__(parent)
        self._context = context
        self._first: tuple[float, int] | None = None
        self._is_still = False
        self._epoch, self._epochs = 0, 0
        self.run = QLabel()
        self.memory = QLabel()
        self.memory.setToolTip(self.tr("Memory this program uses now"))
        self.device = QLabel(self.tr("Preparing …"))
        self.device.setToolTip(self.tr("What training computes on"))
        for widget in (self.run, self.memory, self.device):
            widget.setAccessibleName(widget.toolTip() or self.tr("What runs"))
            self.addPermanentWidget(widget)
        self.setSizeGripEnabled(False)
        context.message.connect(self.say)
        context.run_event.connect(self._follow)
        context.run_active_changed.connect(self._active)
        context.run_still_changed.connect(self._still)
        self._timer = QTimer(self, interval=_MEMORY_MS)
        self._timer.timeout.connect(self._measure)
        self._timer.start()
        self._measure()

    @Slot(object)
    def say(self, text: str) -> None:
        """Show a line for eight seconds."""
        self.showMessage(text, 8000)

    def set_device(self, text: str) -> None:
        """Tell what training computes on."""
        self.device.setText(text)

    @Slot(object)
    def _active(self, active: bool) -> None:
        self.run.setText(self.tr("Starting to train …") if active else "")
        self._first = None

    @Slot(object)
    def _still(self, still: bool) -> None:
        self._is_still, self._first = still, None
        self.run.setText(self.tr("Training is paused") if still else "")

    @Slot(object)
    def _follow(self, event: object) -> None:
        from tlstudio.api.events import EpochStarted, Progress, RunFailed, RunFinished, RunStarted, StepDone

        if isinstance(event, RunStarted):
            self._epochs, self._epoch, self._first = event.epochs, 0, None
        elif isinstance(event, EpochStarted):
            self._epoch = event.epoch
        elif isinstance(event, Progress):
            share = f" {100 * event.done // event.total} %" if event.total else ""
            self.run.setText(f"{event.task}{share}")
        elif isinstance(event, StepDone):  # that of a step which was going is told after the pause
            self.run.setText(self.run.text() if self._is_still else self._eta(event))
        elif isinstance(event, RunFinished | RunFailed):
            self.run.setText("")

    def _eta(self, event: StepDone) -> str:
        text = self.tr("Training: epoch {i} of {n}").format(i=event.epoch + 1, n=self._epochs)
        now = time.monotonic()
        if self._first is None:
            self._first = (now, event.step)
            return text
        since, step = self._first
        if event.step <= step or now - since < 1.0:
            return text
        left = (now - since) / (event.step - step) * (event.steps - event.step)
        return f"{text}  ·  {self.tr('{time} left').format(time=duration(left))}"

    @Slot()
    def _measure(self) -> None:
        size = resident_bytes()
        self.memory.setText("" if size is None else f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB")


def duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 3:20 min, 2:05 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def resident_bytes() -> int | None:
    """Memory of this process, in bytes; ``None`` where it cannot be told."""
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    if sys.platform == "win32":
        return None
    with contextlib.suppress(ImportError, OSError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return None
