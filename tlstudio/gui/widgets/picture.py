"""One picture to look at closely: fit or any zoom, dragged by hand, single pixels with a grid between them.

Knows positions in the picture and on the screen, nothing of files. 100 % means one pixel of the picture on one of the screen.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QLineF, QPoint, QPointF, QRect, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.cells import draw_picture, mat
from tlstudio.gui.widgets.thumbnails import Thumbnail, to_qimage

if TYPE_CHECKING:
    from PIL.Image import Image

_MARGIN = 16
_STEP = 1.25
"""Factor of one notch of the wheel."""
_MAX_ZOOM = 64.0
_CRISP = 2.0
"""Above this zoom pixels are shown as squares."""
_GRID = 16.0
"""From this zoom on there is a line between them."""
_SMALL = 1024


def make_levels(image: Image) -> tuple[QImage, ...]:
    """A picture at full, half, quarter ... size, so that it looks right and paints quickly at any zoom. For any thread."""
    levels = [to_qimage(image)]
    while max(image.size) > _SMALL and min(image.size) > 1:
        image = image.reduce(2)
        levels.append(to_qimage(image))
    return tuple(levels)


class Picture(QWidget):
    """Shows the levels of a picture, a thumbnail until they are there, or the reason why there is none."""

    pointed = Signal(object)
    """QPoint: the pixel of the picture under the pointer; ``None`` when there is none."""
    zoomed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._levels: tuple[QImage, ...] = ()
        self._preview: Thumbnail | None = None
        self._waiting, self._reason = False, ""
        self._fitted, self._scale, self._corner = True, 1.0, QPointF()
        self._held: QPointF | None = None
        self._pointer: QPointF | None = None
        self.setMouseTracking(True)
        self.setMinimumSize(64, 64)
        theme.changed.connect(self._repaint)

    # What is shown

    def set_preview(self, thumbnail: Thumbnail | None) -> None:
        """Show a small picture, or nothing, until the whole one is there."""
        self._preview, self._waiting, self._reason = thumbnail, True, ""
        self.setAccessibleDescription("")
        self.update()
        self._point(self._pointer)

    def set_levels(self, levels: tuple[QImage, ...], *, keep_view: bool = False) -> None:
        """Show a picture; ``keep_view``: at the present zoom and place where it is as large as the one before."""
        before = self.picture_size()
        self._levels, self._preview, self._waiting, self._reason = levels, None, False, ""
        if not (keep_view and before == self.picture_size()):
            self._fitted = True
        self._settle()

    def set_reason(self, reason: str) -> None:
        """Say why there is no picture."""
        self._levels, self._preview, self._waiting, self._reason = (), None, False, reason
        self.setAccessibleDescription(reason)
        self._settle()

    def reason(self) -> str:
        """Why there is no picture; empty where there is one."""
        return self._reason

    def has_picture(self) -> bool:
        """Whether the whole picture is there, and not only its thumbnail."""
        return bool(self._levels) and not self._waiting

    def picture_size(self) -> QSize:
        """Width and height in pixels; empty without a picture."""
        return self._levels[0].size() if self._levels else QSize()

    def color_at(self, pixel: QPoint) -> QColor:
        """What is shown at a pixel of the picture."""
        return self._levels[0].pixelColor(pixel)

    # Zoom

    def zoom(self) -> float:
        """Pixels of the screen for one of the picture; 1.0 is 100 %."""
        return self._scale * self.devicePixelRatioF()

    def is_fitted(self) -> bool:
        """Whether the whole picture is shown as large as it fits."""
        return self._fitted

    def fit(self) -> None:
        """Show the whole of it, as large as it fits."""
        self._fitted = True
        self._settle()

    def set_zoom(self, zoom: float, anchor: QPointF | None = None) -> None:
        """Zoom; what is at ``anchor`` (in the widget; by default its middle) stays there."""
        if not self.has_picture():
            return
        at = anchor if anchor is not None else QRectF(self.rect()).center()
        least = min(self._fit_scale() * self.devicePixelRatioF(), 1.0)
        scale = min(max(zoom, least), max(_MAX_ZOOM, self._fit_scale())) / self.devicePixelRatioF()
        self._corner = at - (at - self._corner) * (scale / self._scale)
        self._scale, self._fitted = scale, False
        self._settle()

    def zoom_by(self, steps: float, anchor: QPointF | None = None) -> None:
        """Zoom in by so many notches of the wheel, or out by negative ones."""
        self.set_zoom(self.zoom() * _STEP**steps, anchor)

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture, as far as there is more of it to see."""
        self._corner += QPointF(dx, dy)
        self._settle()

    def pixel_at(self, point: QPointF) -> QPoint | None:
        """The pixel of the picture at a point of the widget."""
        size = self.picture_size()
        x, y = (math.floor(value) for value in ((point - self._corner) / self._scale).toTuple())
        return QPoint(x, y) if self.has_picture() and 0 <= x < size.width() and 0 <= y < size.height() else None

    def place_of(self, pixel: QPoint) -> QRectF:
        """Where a pixel of the picture lies in the widget."""
        return QRectF(self._corner + pixel.toPointF() * self._scale, QSizeF(self._scale, self._scale))

    def _room(self) -> QRect:
        return self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)

    def _fit_scale(self) -> float:
        size, room = self.picture_size(), self._room()
        if size.isEmpty():
            return 1.0
        return max(1e-6, min(room.width() / size.width(), room.height() / size.height()))

    def _settle(self) -> None:
        """Keep the picture in its place: in the middle where it is smaller than the widget, else without a gap at an edge."""
        if self._fitted:
            self._scale = self._fit_scale()
        size = self.picture_size()
        corner = []
        for at, length, room in (
            (self._corner.x(), size.width() * self._scale, self.width()),
            (self._corner.y(), size.height() * self._scale, self.height()),
        ):
            slack = room - length
            corner.append(slack / 2 if slack >= 0 else min(_MARGIN, max(slack - _MARGIN, at)))
        self._corner = QPointF(*corner) if self._fitted or self.zoom() > _CRISP else QPointF(*map(round, corner))
        self.setCursor(Qt.CursorShape.OpenHandCursor if self._overflows() else Qt.CursorShape.ArrowCursor)
        self.update()
        self.zoomed.emit()
        self._point(self._pointer)

    def _overflows(self) -> bool:
        size = self.picture_size()
        return size.width() * self._scale > self.width() + 1 or size.height() * self._scale > self.height() + 1

    # Events

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint the part in sight, from the level that is nearest to its size on the screen."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), mat())
        if self._reason:
            painter.setPen(theme.colors().error)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(32, 32, -32, -32), flags, self._reason)
        elif self._preview is not None:
            draw_picture(painter, self._room(), self._preview.pixmap, whole=self._preview.whole)
        elif self.has_picture():
            self._paint_levels(painter)

    def _paint_levels(self, painter: QPainter) -> None:
        seen, zoom = self._pixels_in_sight(), self.zoom()
        if seen.isEmpty():
            return
        level = min(len(self._levels) - 1, max(0, math.floor(math.log2(1 / zoom))))
        image, size = self._levels[level], self.picture_size()
        across, down = image.width() / size.width(), image.height() / size.height()
        source = QRectF(seen.x() * across, seen.y() * down, seen.width() * across, seen.height() * down)
        target = self.place_of(seen.topLeft()).united(self.place_of(seen.bottomRight()))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, zoom < _CRISP)
        painter.drawImage(target, image, source)
        if zoom >= _GRID:
            self._paint_grid(painter, seen, target)

    def _paint_grid(self, painter: QPainter, seen: QRect, target: QRectF) -> None:
        painter.setPen(QColor(128, 128, 128, 110))
        lines = []
        for i in range(seen.width() + 1):
            x = target.left() + i * self._scale
            lines.append(QLineF(x, target.top(), x, target.bottom()))
        for i in range(seen.height() + 1):
            y = target.top() + i * self._scale
            lines.append(QLineF(target.left(), y, target.right(), y))
        painter.drawLines(lines)

    def _pixels_in_sight(self) -> QRect:
        first = (-self._corner / self._scale).toTuple()
        last = ((QPointF(self.width(), self.height()) - self._corner) / self._scale).toTuple()
        shown = QRect(QPoint(*map(math.floor, first)), QPoint(*map(math.ceil, last)))
        return shown.intersected(QRect(QPoint(), self.picture_size()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit again, or stay."""
        super().resizeEvent(event)
        self._settle()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the pointer, with Ctrl or without."""
        self.zoom_by(event.angleDelta().y() / 120, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of the picture."""
        if event.button() == Qt.MouseButton.LeftButton and self._overflows():
            self._held = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag it, or tell what the pointer is at."""
        if self._held is not None:
            moved, self._held = event.position() - self._held, event.position()
            self.pan(moved.x(), moved.y())
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        self._point(event.position())

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go of it."""
        self._held = None
        self._settle()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """From the whole picture to 100 % at the pointer, and back."""
        if self._fitted:
            self.set_zoom(1.0 if self.zoom() < 1 else max(_GRID, self.zoom()), event.position())
        else:
            self.fit()

    def enterEvent(self, event: QEnterEvent) -> None:
        """The pointer is here."""
        super().enterEvent(event)
        self._point(event.position())

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is elsewhere."""
        super().leaveEvent(event)
        self._point(None)

    def _point(self, point: QPointF | None) -> None:
        self._pointer = point
        self.pointed.emit(None if point is None else self.pixel_at(point))

    def _repaint(self, _colors: object) -> None:
        self.update()
