"""Paints curves over a common horizontal axis, in one go of a millisecond or two.

Painted by hand because the window shares Python's lock with the thread that trains: a library that asks Python for every
item of a plot waits for the lock dozens of times in one painting, which is felt (see tests/gui/test_smooth.py).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.plot_math import extent, log_ticks, padded, thin_out, tick_text, ticks

Array = NDArray[np.float64]
_NONE: Array = np.empty(0)
_LEFT, _TOP, _RIGHT = 48.0, 8.0, 8.0
_MARK = 2.5
_MOST_MARKS = 120  # more would run into each other
_LEAST_SPAN = 0.2  # epochs


@dataclass(frozen=True, kw_only=True)
class CurveStyle:
    """How a curve is drawn. ``color`` is a field of `theme.Colors`, mixed with the ground by ``fade`` (0 = pure)."""

    title: str
    color: str = "text"
    series: int = -1
    """Instead of ``color``: an index into `theme.Colors.series`."""
    fade: float = 0.0
    marks: bool = False
    """A dot at every point."""
    star: bool = False
    """One star instead of a line."""
    counts: bool = True
    """Whether the vertical range must show all of it."""

    def pen_color(self) -> QColor:
        """The colour under the theme now in force."""
        now = theme.colors()
        color = now.series[self.series] if self.series >= 0 else getattr(now, self.color)
        return theme.mix(color, now.base, self.fade)


@dataclass(kw_only=True)
class Curve:
    """Numbers and their style."""

    style: CurveStyle
    x: Array = field(default_factory=lambda: _NONE)
    y: Array = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class Frame:
    """Where the plot lies on the widget, and which numbers are at its edges (vertical ones as drawn: logarithms if so)."""

    box: QRectF
    x0: float
    x1: float
    y0: float
    y1: float

    def px(self, x: Array | float) -> Array | float:
        """Horizontal pixels."""
        return self.box.left() + (x - self.x0) / (self.x1 - self.x0) * self.box.width()

    def py(self, y: Array | float) -> Array | float:
        """Vertical pixels."""
        return self.box.bottom() - (y - self.y0) / (self.y1 - self.y0) * self.box.height()


class PlotArea(QWidget):
    """Axes, grid, curves, marks, legend and a cursor. Scrolling zooms in time, dragging moves, a double click shows all."""

    cursor_moved = Signal(object)
    """float: the place under the mouse; ``None`` when it left."""
    zoomed = Signal(object)
    """tuple[float, float]: the part of the horizontal axis the user looks at; ``None`` for all of it."""

    def __init__(self, *, percent: bool, legend_below: bool, axis: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.curves: dict[str, Curve] = {}
        self.best: float | None = None
        self.changes: tuple[float, ...] = ()
        self.cursor: float | None = None
        self.span = 1.0
        self.log = False
        self.zoom: tuple[float, float] | None = None
        self.paint_ms = 0.0
        """How long the last painting took."""
        self._percent, self._legend_below, self._axis = percent, legend_below, axis
        self._drag: tuple[float, tuple[float, float]] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def set_zoom(self, zoom: tuple[float, float] | None) -> None:
        """Look at a part of the horizontal axis."""
        if zoom != self.zoom:
            self.zoom = zoom
            self.update()
            self.zoomed.emit(zoom)

    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(len(curve.x) for curve in self.curves.values())

    def frame(self, size: QSize) -> Frame:
        """Where things go on a plot of this size."""
        line = QFontMetricsF(theme.font("caption")).height()
        box = QRectF(_LEFT, _TOP, max(20.0, size.width() - _LEFT - _RIGHT), max(20.0, size.height() - _TOP - 2 * line - 8))
        x0, x1 = self.zoom or (-0.02 * self.span, self.span * 1.02)
        return Frame(box, x0, x1, *self._vertical_range(x0, x1))

    def paint(self, painter: QPainter, size: QSize) -> None:
        """Draw everything; also on pictures and vectors."""
        now, frame = theme.colors(), self.frame(size)
        painter.fillRect(QRectF(0, 0, size.width(), size.height()), now.base)
        painter.setFont(theme.font("caption"))
        self._paint_axes(painter, frame)
        painter.save()
        painter.setClipRect(frame.box.adjusted(-_MARK, -_MARK, _MARK, _MARK))
        for place in self.changes:
            _vertical(painter, frame, place, now.learn, Qt.PenStyle.DashLine)
        if self.best is not None:
            _vertical(painter, frame, self.best, now.accent, Qt.PenStyle.DashLine)
        for curve in self.curves.values():
            self._paint_curve(painter, frame, curve)
        if self.cursor is not None:
            _vertical(painter, frame, self.cursor, now.muted, Qt.PenStyle.SolidLine)
        painter.restore()
        if not self.is_empty():
            self._paint_legend(painter, frame)

    def sizeHint(self) -> QSize:
        """Enough for a small window."""
        return QSize(360, 220)

    def minimumSizeHint(self) -> QSize:
        """Still readable."""
        return QSize(160, 120)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw, and measure it."""
        began = time.perf_counter()
        painter = QPainter(self)
        self.paint(painter, self.size())
        if self.hasFocus():
            painter.setPen(theme.colors().accent)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
        self.paint_ms = 1000 * (time.perf_counter() - began)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the cursor, or what is looked at."""
        frame = self.frame(self.size())
        if self._drag is not None:
            start, (x0, x1) = self._drag
            self.set_zoom(self._limited((x0, x1), (start - event.position().x()) / frame.box.width() * (x1 - x0)))
            return
        place = frame.x0 + (event.position().x() - frame.box.left()) / frame.box.width() * (frame.x1 - frame.x0)
        self.cursor_moved.emit(min(max(place, frame.x0), frame.x1))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin to move what is looked at, where that is a part."""
        if self.zoom is not None and event.button() == Qt.MouseButton.LeftButton:
            self._drag = (event.position().x(), self.zoom)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Enough moved."""
        self._drag = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all of it."""
        self.set_zoom(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom in time, around the mouse."""
        turn = event.angleDelta().y()
        if not turn or self.is_empty():
            event.ignore()
            return
        frame = self.frame(self.size())
        share = min(1.0, max(0.0, (event.position().x() - frame.box.left()) / frame.box.width()))
        self.zoom_by(0.8 if turn > 0 else 1.25, share)

    def zoom_by(self, factor: float, share: float = 0.5) -> None:
        """Look at ``factor`` times as much; the point at ``share`` of the width stays where it is."""
        frame = self.frame(self.size())
        width = max(_LEAST_SPAN, (frame.x1 - frame.x0) * factor)
        if width >= 1.04 * self.span:
            self.set_zoom(None)
            return
        left = frame.x0 + share * (frame.x1 - frame.x0 - width)
        self.set_zoom(self._limited((left, left + width), 0.0))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right move the cursor by an epoch, plus and minus zoom, Home shows all."""
        steps = {Qt.Key.Key_Left: -1.0, Qt.Key.Key_Right: 1.0}
        key = Qt.Key(event.key())
        if key in steps:
            place = (self.cursor if self.cursor is not None else self.span) + steps[key]
            self.cursor_moved.emit(min(max(round(place), 0.0), self.span))
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus):
            self.zoom_by(0.8 if key == Qt.Key.Key_Plus else 1.25)
        elif key == Qt.Key.Key_Home:
            self.set_zoom(None)
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """No cursor any more."""
        self.cursor_moved.emit(None)

    def _limited(self, zoom: tuple[float, float], shift: float) -> tuple[float, float]:
        low, high = zoom[0] + shift, zoom[1] + shift
        move = max(0.0, -0.02 * self.span - low) - max(0.0, high - 1.02 * self.span)
        return low + move, high + move

    def _vertical_range(self, x0: float, x1: float) -> tuple[float, float]:
        lines = [(curve.x, self._drawn_values(curve.y)) for curve in self.curves.values() if curve.style.counts]
        found = extent(lines, x0, x1)
        if found is None:
            return (0.0, 100.0) if self._percent else (-1.0, 0.5) if self.log else (0.0, 1.0)
        low, high = padded(*found)
        if self._percent and not self.log:
            return max(-2.0, low), min(102.0, max(high, low + 1.0))
        return low, high

    def _drawn_values(self, y: Array) -> Array:
        if not self.log:
            return y
        return np.log10(y, out=np.full(len(y), np.nan), where=y > 0)

    def _paint_axes(self, painter: QPainter, frame: Frame) -> None:
        now, box = theme.colors(), frame.box
        line = QFontMetricsF(painter.font()).height()
        grid = theme.mix(now.line, now.base, 0.45)
        rows = int(max(2, box.height() // 48))
        places = log_ticks(frame.y0, frame.y1, rows) if self.log else ticks(frame.y0, frame.y1, rows)
        step = places[1] - places[0] if len(places) > 1 else 1.0
        for place in places:
            y = round(float(frame.py(place))) + 0.5
            painter.setPen(grid)
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
            painter.setPen(now.muted)
            text = f"{10.0**place:.2g}" if self.log else tick_text(place, step)
            painter.drawText(QRectF(0, y - line / 2, _LEFT - 6, line), Qt.AlignmentFlag.AlignRight, text)
        columns = int(max(2, box.width() // 56))
        places = ticks(frame.x0, frame.x1, columns, whole=frame.x1 - frame.x0 > 2)
        step = places[1] - places[0] if len(places) > 1 else 1.0
        for place in places:
            x = round(float(frame.px(place))) + 0.5
            painter.setPen(now.line)
            painter.drawLine(QPointF(x, box.bottom()), QPointF(x, box.bottom() + 4))
            painter.setPen(now.muted)
            painter.drawText(QRectF(x - 32, box.bottom() + 4, 64, line), Qt.AlignmentFlag.AlignHCenter, tick_text(place, step))
        painter.setPen(now.line)
        painter.drawLine(QPointF(box.left(), box.bottom() + 0.5), QPointF(box.right(), box.bottom() + 0.5))
        painter.setPen(now.muted)
        below = QRectF(box.left(), box.bottom() + 4 + line, box.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self._axis)

    def _paint_curve(self, painter: QPainter, frame: Frame, curve: Curve) -> None:
        if not len(curve.x):
            return
        x, y = thin_out(curve.x, self._drawn_values(curve.y), frame.x0, frame.x1, int(frame.box.width()))
        points = [QPointF(a, b) for a, b in zip(frame.px(x).tolist(), frame.py(y).tolist(), strict=True)]
        color = curve.style.pen_color()
        if curve.style.star:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for point in points:
                _star(painter, point, color)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            return
        painter.setPen(QPen(color, 1))
        painter.drawPolyline(QPolygonF(points))
        if curve.style.marks and len(points) <= _MOST_MARKS:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setBrush(color)
            for point in points:
                painter.drawEllipse(point, _MARK, _MARK)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_legend(self, painter: QPainter, frame: Frame) -> None:
        now, metrics = theme.colors(), QFontMetricsF(painter.font())
        line = metrics.height() + 1
        room = frame.box.width() - 60
        entries = [
            (metrics.elidedText(curve.style.title, Qt.TextElideMode.ElideMiddle, room), curve.style)
            for curve in self.curves.values()
        ]
        width = max(metrics.horizontalAdvance(text) for text, _ in entries) + 40
        height = line * len(entries) + 8
        top = frame.box.bottom() - height - 6 if self._legend_below else frame.box.top() + 4
        box = QRectF(frame.box.right() - width - 4, top, width, height)
        ground = QColor(now.base)
        ground.setAlpha(215)
        painter.fillRect(box, ground)
        for row, (text, style) in enumerate(entries):
            y = box.top() + 4 + row * line
            middle, color = y + line / 2, style.pen_color()
            if style.star:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                _star(painter, QPointF(box.left() + 16, middle), color, 5.0)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            else:
                painter.setPen(QPen(color, 1))
                painter.drawLine(QPointF(box.left() + 6, middle), QPointF(box.left() + 26, middle))
                if style.marks:
                    painter.setBrush(color)
                    painter.drawEllipse(QPointF(box.left() + 16, middle), _MARK, _MARK)
                    painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(now.muted)
            painter.drawText(QRectF(box.left() + 33, y, width, line), Qt.AlignmentFlag.AlignVCenter, text)


def _vertical(painter: QPainter, frame: Frame, place: float, color: QColor, style: Qt.PenStyle) -> None:
    x = round(float(frame.px(place))) + 0.5
    painter.setPen(QPen(color, 1, style))
    painter.drawLine(QPointF(x, frame.box.top()), QPointF(x, frame.box.bottom()))


def _star(painter: QPainter, middle: QPointF, color: QColor, radius: float = 7.0) -> None:
    points = []
    for corner in range(10):
        length = radius if corner % 2 == 0 else 0.42 * radius
        angle = math.pi * (corner / 5 - 0.5)
        points.append(QPointF(middle.x() + length * math.cos(angle), middle.y() + length * math.sin(angle)))
    painter.setPen(QPen(theme.colors().base, 1))
    painter.setBrush(color)
    painter.drawPolygon(QPolygonF(points))
    painter.setBrush(Qt.BrushStyle.NoBrush)
