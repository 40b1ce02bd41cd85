"""Paints one stage of the strip, in the colours and words of `stage_look`."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPen

from tlstudio.api.events import StageState
from tlstudio.gui import theme
from tlstudio.gui.widgets import stage_look

_PAD = 6
_NARROW = 44  # below this width in pixels a stage shows no figures


def paint_stage(painter: QPainter, stage: StageState, box: QRectF, *, marked: bool) -> None:
    """Paint a stage into its place: its ground, its hatch or bar, its name and, where there is room, its figures.

    Args:
        marked: whether the keyboard is there.
    """
    now = theme.colors()
    edge = now.frozen if stage.factor == 0.0 else now.learn
    painter.setBrush(stage_look.ground(stage))
    painter.setPen(QPen(now.text if marked else edge, 2 if marked else 1))
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
    painter.setPen(Qt.PenStyle.NoPen)
    part = stage_look.in_part(stage)
    if stage.factor == 0.0 or part:
        painter.setBrush(stage_look.hatch())
        up = 8 if part else 0
        painter.drawRoundedRect(QRectF(box.left() + 1.5, box.bottom() - 13 - up, box.width() - 3, 11), 3, 3)
    if stage.factor > 0.0:
        _paint_level(painter, stage, box, part=part)
    painter.setPen(now.text)
    _paint_text(painter, stage, box)


def _paint_level(painter: QPainter, stage: StageState, box: QRectF, *, part: bool) -> None:
    """A bar at the foot whose length is the factor: the brightness again, for those who cannot see it."""
    now = theme.colors()
    if part:  # a thin warm band in a cold stage: what learns is little
        painter.setBrush(stage_look.warmth(stage.factor))
        painter.drawRoundedRect(QRectF(box.left() + 1.5, box.bottom() - 9, box.width() - 3, 8), 3, 3)
    share = max(0.04, min(stage.factor, 1.0))
    painter.setBrush(now.learn)
    painter.drawRoundedRect(QRectF(box.left() + 2, box.bottom() - 6, (box.width() - 4) * share, 4), 2, 2)


def _paint_text(painter: QPainter, stage: StageState, box: QRectF) -> None:
    now = theme.colors()
    name = stage_look.name_of(stage)
    inner = box.adjusted(_PAD, 4, -_PAD + 2, -14)
    caption = theme.font("caption")
    bold = theme.font("caption")
    bold.setBold(True)
    line = QFontMetrics(caption).height()
    painter.setFont(bold)
    fitted = QFontMetrics(bold).elidedText(name, Qt.TextElideMode.ElideMiddle, int(inner.width()))
    painter.drawText(QRectF(inner.left(), inner.top(), inner.width(), line), Qt.AlignmentFlag.AlignLeft, fitted)
    if box.width() < _NARROW:
        return
    painter.setFont(caption)
    rows = [stage_look.count_text(stage.params) if stage.params else "", stage_look.short_words(stage)]
    colors = [now.text, now.frozen_text if stage.factor == 0.0 else now.text]
    metrics = QFontMetrics(caption)
    if metrics.horizontalAdvance(rows[1]) > inner.width() + 2 and stage_look.in_part(stage):
        rows[1] = rows[1].partition(" ")[0]  # the word says more than the factor, which the band shows as well
    rows = [metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(inner.width()) + 2) for text in rows]
    for row, (text, color) in enumerate(zip(rows, colors, strict=True), start=1):
        painter.setPen(color)
        place = QRectF(inner.left(), inner.top() + row * (line + 1), inner.width(), line)
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft, text)
