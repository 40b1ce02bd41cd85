"""One plot with its title, the values at the cursor and small tools. Knows nothing of what the numbers mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Slot
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.plot_area import Curve, CurveStyle, PlotArea

Array = NDArray[np.float64]


class CurvePlot(QWidget):
    """A plot over epochs.

    Args:
        title: what is on the vertical axis, with its unit.
        styles: the curves by name, drawn in this order.
        percent: whether the values lie between 0 and 100.
        legend_below: where curves rise, the legend has its room below them.
    """

    def __init__(
        self,
        title: str,
        styles: dict[str, CurveStyle],
        *,
        percent: bool = False,
        legend_below: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._title = title
        self.readout = QLabel()
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.readout.setProperty("role", "caption")
        heading = QLabel(title)
        heading.setProperty("role", "section")
        self._tools = QHBoxLayout()
        self._tools.setSpacing(theme.HALF)
        top = QHBoxLayout()
        top.setContentsMargins(theme.HALF, 0, 0, 0)
        top.addWidget(heading)
        top.addSpacing(theme.GRID)
        top.addWidget(self.readout, 1)
        top.addLayout(self._tools)
        self.view = PlotArea(percent=percent, legend_below=legend_below, axis=self.tr("Epoch"))
        self.view.setAccessibleName(title)
        self.view.setToolTip(self.tr("Scroll to zoom, drag to move, double click for all of it. Keys: ← →, + −, Home"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        self.cursor_moved = self.view.cursor_moved
        theme.changed.connect(self._restyle)
        self.set_styles(styles)

    def add_tool(self, icon: str, tip: str, *, checkable: bool = False) -> QToolButton:
        """A small button at the right of the title."""
        button = QToolButton()
        button.setCheckable(checkable)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        theme.set_icon(button, icon, "muted")
        self._tools.addWidget(button)
        return button

    def link(self, other: CurvePlot) -> None:
        """Look at the same part of the horizontal axis as another plot."""
        self.view.zoomed.connect(other.view.set_zoom)
        other.view.zoomed.connect(self.view.set_zoom)

    def set_styles(self, styles: dict[str, CurveStyle]) -> None:
        """Replace all curves by empty ones of these styles."""
        self.view.curves = {name: Curve(style=style) for name, style in styles.items()}
        self.view.update()

    def set_curve(self, name: str, x: Array, y: Array) -> None:
        """Show other numbers; ``x`` must rise."""
        curve = self.view.curves[name]
        curve.x, curve.y = x, y
        self.view.update()

    def curve(self, name: str) -> tuple[Array, Array]:
        """The numbers that are shown."""
        curve = self.view.curves[name]
        return curve.x, curve.y

    def set_span(self, right: float) -> None:
        """The horizontal axis goes from 0 to ``right``."""
        self.view.span = max(right, 1.0)
        self.view.set_zoom(None)
        self.view.update()

    def set_marks(self, best: float | None, changes: Sequence[float]) -> None:
        """Mark the best epoch, and where more of the network began to learn."""
        self.view.best, self.view.changes = best, tuple(changes)
        self.view.update()

    def set_cursor(self, position: float | None) -> None:
        """Move the crosshair; ``None`` hides it."""
        if position != self.view.cursor:
            self.view.cursor = position
            self.view.update()

    def set_readout(self, text: str) -> None:
        """Tell values beside the title, and to screen readers."""
        if text != self.readout.text():
            self.readout.setText(text)
            self.view.setAccessibleDescription(text)

    @Slot(bool)
    def set_log(self, on: bool) -> None:
        """Logarithmic vertical axis."""
        self.view.log = on
        self.view.update()

    def to_image(self, scale: float = 2.0) -> QImage:
        """The plot as a picture, ``scale`` times the size on the screen."""
        image = QImage(self.view.size() * scale, QImage.Format.Format_RGB32)
        painter = QPainter(image)
        painter.scale(scale, scale)
        self.view.paint(painter, self.view.size())
        painter.end()
        return image

    def draw_on(self, generator: QSvgGenerator) -> None:
        """Draw the plot as vectors; the generator must have its file name."""
        size = self.view.size()
        generator.setSize(size)
        generator.setViewBox(QRectF(0, 0, size.width(), size.height()))
        generator.setTitle(self._title)
        painter = QPainter(generator)
        self.view.paint(painter, size)
        painter.end()

    def sizeHint(self) -> QSize:
        """Enough for a small window."""
        return QSize(360, 240)

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.view.update()
