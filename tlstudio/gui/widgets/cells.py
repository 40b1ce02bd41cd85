"""How a thumbnail is drawn in its cell: its shape kept, small images in crisp pixels, what cannot be read said in words."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap

from tlstudio.gui import theme
from tlstudio.gui.widgets.grid_view import Cell
from tlstudio.gui.widgets.thumbnails import Thumbnail

MARGIN = 6
CAPTION = 20
_SLACK = 2  # pixels: the columns of a row differ by one, and so do the pictures made for them
_FLAGS = {
    align: (align | Qt.AlignmentFlag.AlignVCenter).value | Qt.TextFlag.TextSingleLine.value
    for align in (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
}


def draw_ground(painter: QPainter, cell: Cell) -> None:
    """The ground of a cell: hover, selection and the frame of the current one."""
    if cell.selected or cell.hovered or cell.current:
        ratio = painter.device().devicePixelRatioF()
        size = cell.rect.size()
        dark = theme.colors().dark
        painter.drawPixmap(
            cell.rect.topLeft(),
            _ground(size.width(), size.height(), ratio, cell.selected, cell.hovered, cell.selected or cell.current, dark),
        )


@lru_cache(maxsize=32)
def _ground(width: int, height: int, ratio: float, selected: bool, hovered: bool, framed: bool, _dark: bool) -> QPixmap:
    """Drawn once: a screen full of selected cells would be felt otherwise."""
    now = theme.colors()
    result = QPixmap(round(width * ratio), round(height * ratio))
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(now.selection if selected else now.raised if hovered else Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(now.accent, 1.5) if framed else Qt.PenStyle.NoPen)
    painter.drawRoundedRect(QRectF(0, 0, width, height).adjusted(1.5, 1.5, -1.5, -1.5), 5, 5)
    painter.end()
    return result


def draw_thumbnail(painter: QPainter, rect: QRect, thumbnail: Thumbnail | None) -> None:
    """A thumbnail in the middle of a mat, a placeholder of the same size while it is decoded, or why there is none."""
    painter.fillRect(rect, mat())
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
    have = pixmap.size()
    size = have.scaled(rect.size(), Qt.AspectRatioMode.KeepAspectRatio)
    size = QSize(max(1, size.width()), max(1, size.height()))
    if abs(size.width() - have.width()) <= _SLACK and abs(size.height() - have.height()) <= _SLACK:
        size = have  # made for such a cell: copying its pixels is quick, scaling them is not and blurs
    target = QRect(0, 0, size.width(), size.height())
    target.moveCenter(rect.center())
    enlarging = size.width() > pixmap.width()
    if size != have:
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
    font = painter.font()
    short = _elided(text, rect.width(), elide, (font.family(), font.pointSizeF(), font.weight()))
    painter.drawText(rect, _FLAGS[align], short)


def mat() -> QColor:
    """The ground of pictures."""
    return _mat(theme.colors().dark)


def caption_font() -> QFont:
    """The font of captions; cells ask for it hundreds of times in one painting."""
    return _caption_font(theme.base_points())


@lru_cache(maxsize=2)
def _mat(_dark: bool) -> QColor:
    now = theme.colors()
    return theme.mix(now.base, now.raised, 0.6)


@lru_cache(maxsize=2)
def _caption_font(_points: float) -> QFont:
    return theme.font("caption")


@lru_cache(maxsize=8192)
def _elided(text: str, width: int, elide: Qt.TextElideMode, font: tuple[str, float, QFont.Weight]) -> str:
    family, points, weight = font
    spec = QFont(family)
    spec.setPointSizeF(points)
    spec.setWeight(weight)
    return QFontMetrics(spec).elidedText(text, elide, width)


def _draw_reason(painter: QPainter, rect: QRect, reason: str) -> None:
    now = theme.colors()
    side = min(24, rect.height() // 3)
    picture = theme.pixmap("image-square", side, now.error)
    middle = rect.center()
    painter.drawPixmap(middle.x() - side // 2, middle.y() - side, picture)
    painter.setPen(now.error)
    painter.setFont(caption_font())
    below = QRect(rect.left() + 4, middle.y() + 2, rect.width() - 8, rect.height() // 2 - 2)
    painter.drawText(below, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap, reason)
