"""The time axis of a strategy: a row for each stage, a column for each epoch; cold and hatched is frozen, warm learns.

Draws what it is given. A click asks for an epoch; a drag, where editing is on, says from which epoch on stages learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFocusEvent, QFontMetrics, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from tlstudio.api.events import StageState
from tlstudio.gui import theme
from tlstudio.gui.widgets import stage_look
from tlstudio.gui.widgets.stage_look import HEAD

LABELS = 76
_AXIS = 15
_ROW, _LOWEST_ROW, _HIGHEST = 13, 6, 118
_FAR = 4


@dataclass(frozen=True, kw_only=True)
class RasterEdit:
    """These stages are to learn from a column on, and to be frozen before it; a column behind the last means never.

    A later edit of the same gesture replaces the earlier one.
    """

    stages: tuple[str, ...]
    column: int
    gesture: int


class PlanRaster(QWidget):
    """What learns in each epoch; the mouse, or the arrow keys, tell more of each cell."""

    epoch_chosen = Signal(object)
    """int: the column that the user wants to look at."""
    edited = Signal(object)
    """RasterEdit: the user wants this; only where editing is on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._plans: tuple[tuple[StageState, ...], ...] = ()
        self._epochs: tuple[int, ...] = ()
        self._column = 0
        self._row = 0
        self._running = -1
        self._editable = False
        self._gesture = 0
        self._press: tuple[QPointF, int, int] | None = None
        self._dragging = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("What learns in each epoch"))
        theme.changed.connect(self._restyle)

    def set_plans(self, plans: Sequence[tuple[StageState, ...]], epochs: Sequence[int]) -> None:
        """Draw these, one an epoch; ``epochs`` are their numbers, counted from 0."""
        rows = tuple(tuple(stage for stage in plan if stage.name != HEAD) for plan in plans)
        if (rows, tuple(epochs)) == (self._plans, self._epochs):
            return
        self._plans, self._epochs = rows, tuple(epochs)
        self._column = min(self._column, max(0, len(rows) - 1))
        self._row = min(self._row, max(0, self._count - 1))
        self.setFixedHeight(self.sizeHint().height())
        self._tell()
        self.update()

    def set_column(self, column: int) -> None:
        """Mark the epoch that the strip shows."""
        if column != self._column and 0 <= column < len(self._plans):
            self._column = column
            self._tell()
            self.update()

    def set_running(self, epoch: int | None) -> None:
        """Mark the epoch that a run is in, counted from 0; ``None`` where none is going."""
        self._running = -1 if epoch is None else epoch
        self.update()

    def set_editable(self, editable: bool) -> None:
        """Let the user change from which epoch stages learn, or only look."""
        self._editable = editable
        if not editable:
            self._press = None

    @property
    def column(self) -> int:
        """The marked one."""
        return self._column

    @property
    def running(self) -> int:
        """The epoch of the run; -1 where none is going."""
        return self._running

    def cell(self, row: int, column: int) -> QRectF:
        """Where a stage in an epoch is drawn."""
        width = (self.width() - LABELS - 1) / max(1, len(self._plans))
        height = self._row_height()
        return QRectF(LABELS + column * width, row * height, width, height)

    def describe(self, row: int, column: int) -> str:
        """One sentence on a cell."""
        state = self._plans[column][row]
        return self.tr("{stage}, epoch {n}: {state}").format(
            stage=state.name, n=self._epochs[column] + 1, state=stage_look.words(state)
        )

    def sizeHint(self) -> QSize:
        """A band under the strip."""
        return QSize(480, int(self._row_height() * self._count) + _AXIS)

    def minimumSizeHint(self) -> QSize:
        """As low as it is."""
        return QSize(200, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw cells that are alike in one piece, the names, the axis and the marks."""
        painter = QPainter(self)
        if not self._plans:
            return
        now = theme.colors()
        painter.setFont(theme.font("caption"))
        named = self._row_height() >= _ROW - 2
        for row in range(self._count):
            if named or row == self._row:
                self._paint_name(painter, row, named=named)
            for first, last in self._alike(row):
                box = self.cell(row, first).united(self.cell(row, last)).adjusted(0, 0.5, 0, -0.5)
                self._paint_run(painter, box, self._plans[first][row])
        self._paint_axis(painter)
        bottom = self._row_height() * self._count
        if self._running >= 0:
            column = max((at for at, epoch in enumerate(self._epochs) if epoch <= self._running), default=0)
            center = self.cell(0, column).center().x()
            painter.setPen(QPen(now.accent, 2))
            painter.drawLine(QPointF(center, 0), QPointF(center, bottom))
        mark = self.cell(0, self._column)
        mark.setBottom(bottom)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(now.text, 1))
        painter.drawRect(mark.adjusted(0.5, 0.5, -0.5, -0.5))
        if self.hasFocus():
            painter.setPen(QPen(now.accent, 2))
            painter.drawRect(self.cell(self._row, self._column).adjusted(1, 1, -1, -1))

    def event(self, event: QEvent) -> bool:
        """Tooltips belong to the cell under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            row, column = self._at(QPointF(event.pos()))
            text = self.describe(row, column) if event.pos().x() >= LABELS and self._plans else ""
            if text and self._editable:
                text += "\n" + self.tr("A drag says from which epoch on a stage learns.")
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click looks at an epoch; what a drag does is seen when the mouse moves."""
        if event.button() == Qt.MouseButton.LeftButton and self._plans and event.position().x() >= LABELS:
            self._press = (event.position(), *self._at(event.position()))
            self._dragging = False
            self._gesture += 1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """While the button is down: the stages passed learn from the epoch under the mouse on."""
        if self._press is None or not self._editable:
            return
        start, row, _ = self._press
        self._dragging = self._dragging or (event.position() - start).manhattanLength() >= _FAR
        if self._dragging:
            here, column = self._at(event.position())
            behind = event.position().x() > self.width()
            self._edit(row, here, len(self._plans) if behind else column)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Without a drag it was a click."""
        if self._press is not None and not self._dragging:
            _, self._row, column = self._press
            self._go_to(column)
        self._press = None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows go from cell to cell; Space lets the stage learn from this epoch on, Delete freezes it in all of them."""
        key, count = Qt.Key(event.key()), len(self._plans)
        across = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Home: -count, Qt.Key.Key_End: count}
        down = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        sets = {Qt.Key.Key_Space: self._column, Qt.Key.Key_Delete: count}
        if not self._plans or not (key in across or key in down or (key in sets and self._editable)):
            super().keyPressEvent(event)
            return
        if key in sets:
            self._gesture += 1
            self._edit(self._row, self._row, sets[key])
        elif key in across:
            self._go_to(max(0, min(len(self._plans) - 1, self._column + across[key])))
        else:
            self._row = max(0, min(self._count - 1, self._row + down[key]))
        self._tell()
        self.update()
        place = self.cell(self._row, self._column).bottomLeft().toPoint()
        QToolTip.showText(self.mapToGlobal(place), self.describe(self._row, self._column), self)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard is."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the mark away."""
        super().focusOutEvent(event)
        self.update()

    @property
    def _count(self) -> int:
        return len(self._plans[0]) if self._plans else 0

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.update()

    def _row_height(self) -> float:
        return max(_LOWEST_ROW, min(_ROW, _HIGHEST // max(1, self._count)))

    def _tell(self) -> None:
        if self._plans:
            self.setAccessibleDescription(self.describe(self._row, self._column))

    def _at(self, position: QPointF) -> tuple[int, int]:
        width = (self.width() - LABELS - 1) / max(1, len(self._plans))
        row = int(position.y() / self._row_height())
        column = int((position.x() - LABELS) / width)
        return max(0, min(self._count - 1, row)), max(0, min(len(self._plans) - 1, column))

    def _go_to(self, column: int) -> None:
        self.set_column(column)
        self.epoch_chosen.emit(column)

    def _edit(self, first: int, last: int, column: int) -> None:
        low, high = sorted((first, last))
        names = tuple(self._plans[0][row].name for row in range(low, high + 1))
        self.edited.emit(RasterEdit(stages=names, column=column, gesture=self._gesture))

    def _alike(self, row: int) -> list[tuple[int, int]]:
        """Runs of columns in which a stage has the same state."""
        runs: list[tuple[int, int]] = []
        for column, plan in enumerate(self._plans):
            if runs and self._plans[column - 1][row] == plan[row]:
                runs[-1] = (runs[-1][0], column)
            else:
                runs.append((column, column))
        return runs

    def _paint_run(self, painter: QPainter, box: QRectF, state: StageState) -> None:
        now = theme.colors()
        painter.fillRect(box, stage_look.ground(state))
        if state.factor == 0.0 or stage_look.in_part(state):
            painter.fillRect(box, stage_look.hatch())
        if state.factor > 0.0:
            painter.fillRect(QRectF(box.left(), box.bottom() - 3, box.width(), 3), now.learn)

    def _paint_name(self, painter: QPainter, row: int, *, named: bool) -> None:
        metrics = QFontMetrics(painter.font())
        height = self._row_height()
        box = QRectF(0, row * height, LABELS - 6, height)
        if not named:  # rows are lower than text: only the chosen one has its name
            box.setHeight(metrics.height())
        painter.setPen(theme.colors().muted)
        text = metrics.elidedText(self._plans[0][row].name, Qt.TextElideMode.ElideMiddle, int(box.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_axis(self, painter: QPainter) -> None:
        """Numbers of epochs, counted from 1, as many as have room."""
        painter.setPen(theme.colors().muted)
        metrics = QFontMetrics(painter.font())
        top = self._row_height() * self._count
        width = self.cell(0, 0).width()
        each = max(1, round(metrics.horizontalAdvance("0000") * 1.5 / max(width, 0.1)))
        step = next((size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500) if size >= each), each)
        for column in range(len(self._plans)):
            number = self._epochs[column] + 1
            if column and (column + 1) % step:
                continue
            box = QRectF(self.cell(0, column).center().x() - 24, top, 48, _AXIS)
            if box.right() <= self.width() + 12:
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(number))
        box = QRectF(0, top, LABELS - 6, _AXIS)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self.tr("Epoch"))
