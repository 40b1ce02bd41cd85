"""How a thumbnail is drawn in its cell: its shape kept, small images in crisp pixels, what cannot be read said in words."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen, QPixmap

from tlstudio.gui import theme
from tlstudio.gui.widgets.grid_view import Cell
from tlstudio.gui.widgets.thumbnails import Thumbnail

MARGIN = 6
CAPTION = 20


def draw_ground(painter: QPainter, cell: Cell) -> None:
    """The ground of a cell: hover, selection and the frame of the current one."""
    now = theme.colors()
    rect = QRectF(cell.rect).adjusted(1.5, 1.5, -1.5, -1.5)
    if cell.selected or cell.hovered or cell.current:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(now.selection if cell.selected else now.raised if cell.hovered else Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(now.accent, 1.5) if cell.selected or cell.current else Qt.PenStyle.NoPen)
        painter.drawRoundedRect(rect, 5, 5)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)


def draw_thumbnail(painter: QPainter, rect: QRect, thumbnail: Thumbnail | None) -> None:
    """A thumbnail in the middle of a mat, a placeholder of the same size while it is decoded, or why there is none."""
    now = theme.colors()
    painter.fillRect(rect, theme.mix(now.base, now.raised, 0.6))
    if thumbnail is None:
        return
    if thumbnail.reason:
        _draw_reason(painter, rect, thumbnail.reason)
        return
    draw_picture(painter, rect, thumbnail.pixmap, whole=thumbnail.whole)


def draw_picture(painter: QPainter, rect: QRect, pixmap: QPixmap, *, whole: bool) -> None:
    """A picture as large as it fits, its shape kept. Enlarging a whole image shows its pixels instead of blurring them."""
    if pixmap.isNull() or rect.isEmpty():
        return
    size = pixmap.size().scaled(rect.size(), Qt.AspectRatioMode.KeepAspectRatio)
    size = QSize(max(1, size.width()), max(1, size.height()))
    target = QRect(0, 0, size.width(), size.height())
    target.moveCenter(rect.center())
    enlarging = size.width() > pixmap.width()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not (enlarging and whole))
    painter.drawPixmap(target, pixmap)


def draw_text(
    painter: QPainter,
    rect: QRect,
    text: str,
    color: QColor,
    align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft,
    elide: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
) -> None:
    """One line of text, shortened where it does not fit."""
    painter.setPen(color)
    short = QFontMetrics(painter.font()).elidedText(text, elide, rect.width())
    painter.drawText(rect, align | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextSingleLine, short)


def _draw_reason(painter: QPainter, rect: QRect, reason: str) -> None:
    now = theme.colors()
    side = min(24, rect.height() // 3)
    picture = theme.pixmap("image-square", side, now.error)
    middle = rect.center()
    painter.drawPixmap(middle.x() - side // 2, middle.y() - side, picture)
    painter.setPen(now.error)
    painter.setFont(theme.font("caption"))
    below = QRect(rect.left() + 4, middle.y() + 2, rect.width() - 8, rect.height() // 2 - 2)
    painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, reason)
