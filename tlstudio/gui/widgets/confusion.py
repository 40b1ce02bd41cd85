"""A confusion matrix: rows are the true classes, columns what the model said. A click on a cell asks for its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tlstudio.api.images import printable
from tlstudio.gui import theme
from tlstudio.gui.widgets.cells import draw_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS_FROM = 22  # pixels that a cell needs to hold a number


class ConfusionView(QWidget):
    """Right answers in ice blue's place would mislead, so right is the accent and wrong is red; the number is always there."""

    cell_chosen = Signal(object)
    """(row, column) of the cell now chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self._classes: tuple[str, ...] = ()
        self._chosen: tuple[int, int] | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(240, 240))
        self.setAccessibleName(self.tr("Confusion matrix"))
        theme.changed.connect(self._repaint)

    def show_counts(self, classes: tuple[str, ...], counts: NDArray[np.int64]) -> None:
        """Show the matrix ``(C, C)``: rows true, columns predicted."""
        self._classes, self._counts, self._chosen = classes, counts, None
        self.update()

    def choose(self, row: int, column: int) -> None:
        """Choose a cell."""
        n = len(self._classes)
        if 0 <= row < n and 0 <= column < n:
            self._chosen = (row, column)
            self.setAccessibleDescription(self.describe(row, column))
            self.update()
            self.cell_chosen.emit((row, column))

    def describe(self, row: int, column: int) -> str:
        """A cell in words."""
        count, name = int(self._counts[row, column]), printable(self._classes[row])
        if row == column:
            return self.tr("{n} of {name}, rightly called so").format(n=f"{count:,}", name=name)
        other = printable(self._classes[column])
        return self.tr("{n} of {name}, called {other}").format(n=f"{count:,}", name=name, other=other)

    def cell_rect(self, row: int, column: int) -> QRect:
        """Where a cell lies."""
        left, top, side = self._frame()
        return QRect(int(left + column * side), int(top + row * side), int(side) - 1, int(side) - 1)

    def _frame(self) -> tuple[int, int, float]:
        n = max(1, len(self._classes))
        metrics = QFontMetrics(theme.font("caption"))
        widest = max((metrics.horizontalAdvance(printable(name)) for name in self._classes), default=40)
        margin = min(widest + 12, self.width() // 4)
        top = 44
        side = min((self.width() - margin - 32) / n, (self.height() - top - 8) / n, 96.0)
        return margin + 24, top, max(2.0, side)

    def _at(self, point: QPoint) -> tuple[int, int] | None:
        left, top, side = self._frame()
        row, column = int((point.y() - top) // side), int((point.x() - left) // side)
        n = len(self._classes)
        return (row, column) if 0 <= row < n and 0 <= column < n else None

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Paint names, cells and numbers."""
        painter = QPainter(self)
        now, n = theme.colors(), len(self._classes)
        if not n:
            return
        left, top, side = self._frame()
        painter.setFont(theme.font("caption"))
        self._paint_names(painter, left, top, side)
        totals = np.maximum(self._counts.sum(1), 1)
        for row in range(n):
            for column in range(n):
                count = int(self._counts[row, column])
                rect = self.cell_rect(row, column)
                share = count / totals[row]
                ground = now.base
                if count:
                    ground = theme.mix(now.base, now.accent if row == column else now.error, 0.12 + 0.6 * float(share))
                painter.fillRect(rect, ground)
                if side >= _NUMBERS_FROM:
                    light = ground.lightnessF() > 0.55
                    ink = now.muted if not count else Qt.GlobalColor.black if light else Qt.GlobalColor.white
                    painter.setPen(ink)
                    painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, f"{count:,}")
        if self._chosen is not None:
            painter.setPen(QPen(now.text, 2))
            painter.drawRect(self.cell_rect(*self._chosen).adjusted(1, 1, -1, -1))

    def _paint_names(self, painter: QPainter, left: int, top: int, side: float) -> None:
        now, n = theme.colors(), len(self._classes)
        draw_text(painter, QRect(left, 0, int(side * n), 18), self.tr("Predicted"), now.muted, Qt.AlignmentFlag.AlignHCenter)
        painter.save()
        painter.translate(0, top + side * n)
        painter.rotate(-90)
        draw_text(painter, QRect(0, 0, int(side * n), 18), self.tr("True"), now.muted, Qt.AlignmentFlag.AlignHCenter)
        painter.restore()
        if side < 12:
            return
        for i, name in enumerate(self._classes):
            row = QRect(22, int(top + i * side), left - 30, int(side))
            draw_text(painter, row, printable(name), now.text, Qt.AlignmentFlag.AlignRight)
            column = QRect(int(left + i * side) + 1, 20, int(side) - 2, 20)
            draw_text(painter, column, printable(name), now.text, Qt.AlignmentFlag.AlignHCenter)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the cell under the pointer."""
        cell = self._at(event.position().toPoint())
        if cell is not None:
            self.choose(*cell)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell what the cell under the pointer means."""
        cell = self._at(event.position().toPoint())
        if cell is None:
            QToolTip.hideText()
            return
        QToolTip.showText(event.globalPosition().toPoint(), self.describe(*cell), self)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the chosen cell."""
        keys = Qt.Key
        moves = {keys.Key_Left: (0, -1), keys.Key_Right: (0, 1), keys.Key_Up: (-1, 0), keys.Key_Down: (1, 0)}
        move = moves.get(keys(event.key()))
        if move is None or not self._classes:
            super().keyPressEvent(event)
            return
        row, column = self._chosen or (0, 0)
        self.choose(row + move[0], column + move[1])

    def _repaint(self, _colors: object) -> None:
        self.update()
