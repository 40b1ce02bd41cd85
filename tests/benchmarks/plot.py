"""The picture of a comparison: bars by job, drawn by Qt in the product's colours on a ground of its own, for light and dark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QImage, QPainter

from tlstudio.gui.theme import GRID, LIGHT

WIDTH = 84 * GRID
"""What the help window has room for as it opens."""
_NAMES = 29 * GRID
_VALUES = 11 * GRID
_BAR = 2 * GRID
_ROW = 3 * GRID
_HEAD = 5 * GRID
_EDGE = 3 * GRID


@dataclass(frozen=True)
class Bar:
    """One tool: seconds, and whether it is tlstudio."""

    name: str
    seconds: float
    ours: bool


@dataclass(frozen=True)
class Panel:
    """One job."""

    title: str
    bars: Sequence[Bar]


def draw(panels: Sequence[Panel], file: Path) -> None:
    """Write the picture as PNG; each panel has a scale of its own, from 0 to its longest bar."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QGuiApplication.instance() or QGuiApplication([])
    height = 2 * _EDGE + sum(_HEAD + _ROW * len(panel.bars) for panel in panels) + GRID * (len(panels) - 1)
    image = QImage(WIDTH, height, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    painter.setPen(LIGHT.line)
    painter.setBrush(LIGHT.base)
    painter.drawRoundedRect(QRectF(0.5, 0.5, WIDTH - 1, height - 1), GRID, GRID)
    top = _EDGE
    for panel in panels:
        top = _draw_panel(painter, panel, top) + GRID
    painter.end()
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(str(file))
    del app


def _draw_panel(painter: QPainter, panel: Panel, top: int) -> int:
    _text(painter, QRectF(_EDGE, top, WIDTH - 2 * _EDGE, _HEAD - GRID), panel.title, LIGHT.text, bold=True)
    top += _HEAD - GRID // 2
    longest = max(bar.seconds for bar in panel.bars)
    room = WIDTH - 2 * _EDGE - _NAMES - _VALUES
    for bar in panel.bars:
        color = LIGHT.accent if bar.ours else LIGHT.muted
        _text(painter, QRectF(_EDGE, top, _NAMES - GRID, _BAR), bar.name, LIGHT.text, bold=bar.ours)
        length = max(2.0, room * bar.seconds / longest)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        painter.drawRect(QRectF(_EDGE + _NAMES, top, length, _BAR))
        place = QRectF(_EDGE + _NAMES + length + GRID, top, _VALUES, _BAR)
        _text(painter, place, seconds_text(bar.seconds), LIGHT.text, bold=bar.ours)
        top += _ROW
    return top + GRID // 2


def seconds_text(seconds: float) -> str:
    """With the unit and two or three figures that mean something."""
    if seconds < 0.1:
        return f"{1000 * seconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 2 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _text(painter: QPainter, place: QRectF, text: str, color: QColor, *, bold: bool) -> None:
    font = QFont(QGuiApplication.font())
    font.setPixelSize(13)
    font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    painter.setFont(font)
    painter.setPen(color)
    painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextDontClip, text)
