"""The stage strip: the network as a row of stages and its head, frozen ones in ice blue, learning ones in warm orange.

Draws `StageState` records and nothing else; brightness is the learning-rate factor, a hatch says "frozen" without colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QFontMetrics,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tlstudio.api.events import StageState
from tlstudio.gui import theme

HEAD = "head"
_GAP = 4
_HEIGHT = 72
_PAD = 6
_NARROW = 44  # below this width in pixels a stage shows no figures
_FAINTEST = 1e-4  # a factor this small or smaller is drawn palest


class StageStrip(QWidget):
    """A row of boxes; hover, or Tab and the arrow keys, tell more about each."""

    stage_clicked = Signal(object)
    """str: the name of a stage that was clicked or chosen with the keyboard."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stages: tuple[StageState, ...] = ()
        self._placeholder = ""
        self._current = -1
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("Stages of the network"))
        theme.changed.connect(self._restyle)

    @property
    def stages(self) -> tuple[StageState, ...]:
        """What is drawn, the head last."""
        return self._stages

    def set_stages(self, stages: Sequence[StageState]) -> None:
        """Draw these stages; a head that learns at full rate is added where the last one is not the head already."""
        wanted = tuple(stages)
        if wanted and wanted[-1].name != HEAD:
            wanted = (*wanted, StageState(name=HEAD, params=0, factor=1.0))
        if wanted == self._stages:
            return
        self._stages = wanted
        self._current = min(self._current, len(wanted) - 1)
        self.setAccessibleDescription("; ".join(self.describe(stage) for stage in wanted))
        self.update()

    def set_placeholder(self, text: str) -> None:
        """One sentence shown while there are no stages yet."""
        self._placeholder = text
        self.update()

    def describe(self, stage: StageState) -> str:
        """One sentence about a stage, for the tooltip and for screen readers."""
        name = self.tr("head") if stage.name == HEAD else stage.name
        if stage.factor == 0.0:
            state = self.tr("frozen: it stays as it is")
        else:
            state = self.tr("learns at {factor} times the learning rate").format(factor=f"{stage.factor:.3g}")
        text = f"{name}: {state}"
        if stage.params:
            text += self.tr(", {n} parameters").format(n=count_text(stage.params))
        if 0 < stage.trainable_params < stage.params:
            text += self.tr(", {n} of them learn").format(n=count_text(stage.trainable_params))
        return text

    def rectangles(self) -> list[QRectF]:
        """Where each stage is drawn. Widths grow with the logarithm of the parameters, so that small stages stay visible."""
        if not self._stages:
            return []
        room = self.width() - _GAP * (len(self._stages) - 1)
        weights = [1.0 + 0.25 * math.log10(max(stage.params, 1) / 1000 + 1) for stage in self._stages]
        left, result = 0.0, []
        for weight in weights:
            width = room * weight / sum(weights)
            result.append(QRectF(left, 0.5, width, self.height() - 1.0))
            left += width + _GAP
        return result

    def color_of(self, stage: StageState) -> QColor:
        """Ice blue when frozen; warm and the fuller the larger its factor when it learns."""
        now = theme.colors()
        if stage.factor == 0.0:
            return theme.mix(now.frozen, now.base, 0.79)
        share = 1.0 - math.log10(max(min(stage.factor, 1.0), _FAINTEST)) / math.log10(_FAINTEST)
        return theme.mix(now.learn, now.base, (0.88 - 0.32 * share) if now.dark else (0.8 - 0.5 * share))

    def sizeHint(self) -> QSize:
        """A band over the plots."""
        return QSize(480, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Even the deepest network has a place."""
        return QSize(200, _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the row, or the placeholder."""
        painter = QPainter(self)
        now = theme.colors()
        if not self._stages:
            painter.setPen(QPen(now.line))
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 4, 4)
            painter.setPen(now.muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._placeholder)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index, (stage, box) in enumerate(zip(self._stages, self.rectangles(), strict=True)):
            self._paint_stage(painter, stage, box, marked=index == self._current and self.hasFocus())

    def event(self, event: QEvent) -> bool:
        """Tooltips belong to the stage under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self._index_at(event.pos().x())
            if index >= 0:
                QToolTip.showText(event.globalPos(), self.describe(self._stages[index]), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the stage under the mouse."""
        index = self._index_at(int(event.position().x()))
        if index >= 0:
            self._choose(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from stage to stage."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        if not step or not self._stages:
            super().keyPressEvent(event)
            return
        self._choose(max(0, min(len(self._stages) - 1, self._current + step)))
        box = self.rectangles()[self._current]
        QToolTip.showText(self.mapToGlobal(box.bottomLeft().toPoint()), self.describe(self._stages[self._current]), self)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard is."""
        super().focusInEvent(event)
        if self._current < 0 and self._stages:
            self._current = 0
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the mark away."""
        super().focusOutEvent(event)
        self.update()

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.update()

    def _choose(self, index: int) -> None:
        self._current = index
        self.update()
        self.stage_clicked.emit(self._stages[index].name)

    def _index_at(self, x: int) -> int:
        return next((i for i, box in enumerate(self.rectangles()) if box.left() <= x <= box.right()), -1)

    def _paint_stage(self, painter: QPainter, stage: StageState, box: QRectF, *, marked: bool) -> None:
        now = theme.colors()
        frozen = stage.factor == 0.0
        edge = now.frozen if frozen else now.learn
        painter.setBrush(self.color_of(stage))
        painter.setPen(QPen(now.text if marked else edge, 2 if marked else 1))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        if frozen:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QBrush(theme.mix(now.frozen, now.base, 0.25), Qt.BrushStyle.BDiagPattern))
            painter.drawRoundedRect(QRectF(box.left() + 1.5, box.bottom() - 13, box.width() - 3, 11), 3, 3)
        else:
            self._paint_level(painter, stage, box)
        painter.setPen(now.text)
        self._paint_text(painter, stage, box)

    def _paint_level(self, painter: QPainter, stage: StageState, box: QRectF) -> None:
        """A bar at the foot whose length is the factor: the brightness again, for those who cannot see it."""
        now = theme.colors()
        share = max(0.04, min(stage.factor, 1.0))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(now.learn)
        painter.drawRoundedRect(QRectF(box.left() + 2, box.bottom() - 6, (box.width() - 4) * share, 4), 2, 2)

    def _paint_text(self, painter: QPainter, stage: StageState, box: QRectF) -> None:
        now = theme.colors()
        name = self.tr("head") if stage.name == HEAD else stage.name
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
        rows = [count_text(stage.params) if stage.params else "", "✻" if stage.factor == 0.0 else f"× {stage.factor:.2g}"]
        colors = [now.text, now.frozen_text if stage.factor == 0.0 else now.text]
        for row, (text, color) in enumerate(zip(rows, colors, strict=True), start=1):
            painter.setPen(color)
            place = QRectF(inner.left(), inner.top() + row * (line + 1), inner.width(), line)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft, text)


def count_text(count: int) -> str:
    """A number of parameters as people say it: 940, 12 k, 0.9 M, 25 M, 198 M, 1.2 G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= (0.1 * limit if unit == "M" else limit):
            value = count / limit
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return str(count)
