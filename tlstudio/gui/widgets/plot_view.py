"""The ground on which a plot draws: measures its painting, tells when the mouse leaves and when all is wanted again."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from tlstudio.gui.widgets.plot_library import pg


class PlotView(pg.PlotWidget):
    """The drawing itself; a double click shows everything again."""

    left = Signal()
    all_wanted = Signal()
    resized = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, enableMenu=False)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMinimumSize(160, 120)
        self.setAntialiasing(False)
        self.paint_ms = 0.0
        """How long the last painting took."""

    def paintEvent(self, event: object) -> None:
        """Paint, and measure it."""
        began = time.perf_counter()
        super().paintEvent(event)
        self.paint_ms = 1000 * (time.perf_counter() - began)

    def mouseDoubleClickEvent(self, event: object) -> None:
        """Undo zooming."""
        self.all_wanted.emit()

    def leaveEvent(self, event: object) -> None:
        """No cursor, no values."""
        super().leaveEvent(event)
        self.left.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More or fewer columns of pixels."""
        super().resizeEvent(event)
        self.resized.emit()
