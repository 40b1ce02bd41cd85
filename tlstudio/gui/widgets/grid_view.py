"""A grid of equal cells over any number of rows: where a cell lies is arithmetic, so a million rows cost nothing.

Cells are painted by a function; the view does geometry, scrolling, selection and keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelection,
    QItemSelectionModel,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QCursor, QDrag, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QRegion, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QWidget

from tlstudio.gui import theme

_PAINT_SECONDS = 0.025  # a large screen of small cells takes longer

Index = QModelIndex | QPersistentModelIndex
DRAGGED_CELLS = "application/x-tlstudio-cells"
"""What a drag of selected cells carries: nothing but this name."""


@dataclass(frozen=True)
class Cell:
    """One cell to paint: ``row`` is the model's value (an index into the table behind), ``rect`` where it lies."""

    row: int
    rect: QRect
    selected: bool
    current: bool
    hovered: bool


PaintCell = Callable[[QPainter, Cell], None]


class RowsModel(QAbstractListModel):
    """A list of row numbers of some table, in the order shown; names come from a function."""

    def __init__(self, describe: Callable[[int], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._describe = describe
        self._rows: Sequence[int] = ()

    def set_rows(self, rows: Sequence[int]) -> None:
        """Show these rows."""
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    @property
    def rows(self) -> Sequence[int]:
        """The row numbers, in the order shown."""
        return self._rows

    def row_at(self, position: int) -> int:
        """The row number at a place of the list."""
        return int(self._rows[position])

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's default
        """Number of cells."""
        return 0 if parent.isValid() else len(self._rows)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Cells can be dragged."""
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Name for display, tooltip and screen readers."""
        if not index.isValid():
            return None
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole}:
            return self._describe(self.row_at(index.row()))
        return None


class GridView(QAbstractItemView):
    """Shows a `RowsModel` as a grid of cells, left to right, top to bottom."""

    opened = Signal(object)
    """int: position in the list; double click, Enter or Space."""
    zoomed = Signal(object)
    """int: +1 or -1 steps, from Ctrl and the wheel."""
    shown = Signal()
    """The visible part changed."""

    def __init__(self, paint_cell: PaintCell, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._paint_cell = paint_cell
        self._cell = QSize(160, 160)
        self._stretch = False
        self._hovered = -1
        self._upwards = False
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # so that scrolling moves what is painted
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QAbstractItemView.Shape.NoFrame)
        self.setMouseTracking(True)
        self.doubleClicked.connect(lambda index: self.opened.emit(index.row()))
        theme.changed.connect(self._repaint)

    def set_cell(self, width: int, height: int, *, stretch: bool = False) -> None:
        """Set the size of a cell in pixels. ``stretch``: widen cells so that they fill the row."""
        anchor = self.first_visible()
        self._cell, self._stretch = QSize(max(16, width), max(16, height)), stretch
        self.updateGeometries()
        if anchor is not None:
            self.verticalScrollBar().setValue(anchor // self.columns() * self._cell.height())
        self._repaint()

    def cell_size(self) -> QSize:
        """The size of a cell as it is shown; where cells are stretched, some are one pixel wider."""
        width = self.viewport().width() // self.columns() if self._stretch else self._cell.width()
        return QSize(width, self._cell.height())

    def columns(self) -> int:
        """Cells beside each other."""
        return max(1, self.viewport().width() // self._cell.width())

    def first_visible(self) -> int | None:
        """Position of the first cell in sight; ``None`` when empty."""
        if not self._count():
            return None
        return min(self._count() - 1, self.verticalOffset() // self._cell.height() * self.columns())

    def visible(self, margin: int = 0) -> range:
        """Positions of the cells in sight, and of ``margin`` screens before and after."""
        height, columns = self.viewport().height(), self.columns()
        top, bottom = self.verticalOffset() - margin * height, self.verticalOffset() + (1 + margin) * height
        first = max(0, top // self._cell.height()) * columns
        return range(first, max(first, min(self._count(), (bottom // self._cell.height() + 1) * columns)))

    def wanted(self) -> list[int]:
        """Positions of the cells to have pictures for, the most urgent first: those in sight, then the screen ahead."""
        seen, near = self.visible(), self.visible(1)
        ahead = range(seen.start - 1, near.start - 1, -1) if self._upwards else range(seen.stop, near.stop)
        return [*seen, *ahead]

    def repaint_rows(self, rows: Container[int]) -> None:
        """Paint the cells of these rows of the model again, where they are in sight."""
        model = self.model()
        for position in self.visible():
            if model.row_at(position) in rows:
                self.viewport().update(self._rect(position))

    def selected(self) -> list[int]:
        """Positions of the selected cells, in order; a million take 0.1 s, their `selected_ranges` none."""
        return [i for part in self.selected_ranges() for i in part]

    def count_selected(self) -> int:
        """How many cells are selected; as quick for a million as for one."""
        return sum(map(len, self.selected_ranges()))

    def selected_ranges(self) -> list[range]:
        """The same as ranges of positions, in order."""
        parts = self.selectionModel().selection() if self.selectionModel() else ()
        return sorted((range(part.top(), part.bottom() + 1) for part in parts), key=lambda part: part.start)

    def go_to(self, position: int) -> None:
        """Make a cell the current one and bring it into sight."""
        if 0 <= position < self._count():
            self.setCurrentIndex(self.model().index(position, 0))

    # What QAbstractItemView asks of a view

    def visualRect(self, index: Index) -> QRect:
        """Where a cell lies in the viewport."""
        return self._rect(index.row()) if index.isValid() else QRect()

    def _rect(self, position: int) -> QRect:
        columns = self.columns()
        line, column = divmod(position, columns)
        left, right = self._edge(column, columns), self._edge(column + 1, columns)
        return QRect(left, line * self._cell.height() - self.verticalOffset(), right - left, self._cell.height())

    def indexAt(self, point: QPoint) -> QModelIndex:
        """The cell at a point of the viewport."""
        columns = self.columns()
        width = self.viewport().width() / columns if self._stretch else self._cell.width()
        column = int(point.x() // width) if point.x() >= 0 else columns
        position = (point.y() + self.verticalOffset()) // self._cell.height() * columns + column
        if column >= columns or not 0 <= position < self._count():
            return QModelIndex()
        return self.model().index(position, 0)

    def scrollTo(self, index: Index, hint: QAbstractItemView.ScrollHint = QAbstractItemView.ScrollHint.EnsureVisible) -> None:
        """Scroll until the cell is in sight."""
        rect, bar = self.visualRect(index), self.verticalScrollBar()
        if hint == QAbstractItemView.ScrollHint.PositionAtCenter:
            bar.setValue(bar.value() + rect.center().y() - self.viewport().height() // 2)
        elif rect.top() < 0:
            bar.setValue(bar.value() + rect.top())
        elif (below := rect.bottom() + 1 - self.viewport().height()) > 0:
            bar.setValue(bar.value() + min(rect.top(), below))

    def moveCursor(self, action: QAbstractItemView.CursorAction, _modifiers: Qt.KeyboardModifier) -> QModelIndex:
        """Where an arrow key leads."""
        count = self._count()
        if not count:
            return QModelIndex()
        columns, kinds = self.columns(), QAbstractItemView.CursorAction
        page = max(1, self.viewport().height() // self._cell.height()) * columns
        here = self.currentIndex().row()
        step = {
            kinds.MoveLeft: -1, kinds.MovePrevious: -1, kinds.MoveRight: 1, kinds.MoveNext: 1, kinds.MoveUp: -columns,
            kinds.MoveDown: columns, kinds.MovePageUp: -page, kinds.MovePageDown: page,
        }.get(action, 0)  # fmt: skip
        if here < 0 or action == kinds.MoveHome:
            return self.model().index(0, 0)
        if action == kinds.MoveEnd:
            return self.model().index(count - 1, 0)
        target = here + step
        if not 0 <= target < count:
            target = here if abs(step) <= columns else max(0, min(count - 1, target))
        return self.model().index(target, 0)

    def horizontalOffset(self) -> int:
        """No scrolling sideways."""
        return 0

    def verticalOffset(self) -> int:
        """Pixels scrolled down."""
        return self.verticalScrollBar().value()

    def isIndexHidden(self, _index: Index) -> bool:
        """No cell is hidden."""
        return False

    def setSelection(self, rect: QRect, command: QItemSelectionModel.SelectionFlag) -> None:
        """Select from the cell at one corner to that at the other in reading order, as text is selected: one range, always."""
        if not self._count():
            return
        first, last = sorted((self._nearest(rect.topLeft()), self._nearest(rect.bottomRight())))
        self.selectionModel().select(QItemSelection(self.model().index(first, 0), self.model().index(last, 0)), command)

    def _nearest(self, point: QPoint) -> int:
        columns = self.columns()
        width = self.viewport().width() / columns if self._stretch else self._cell.width()
        column = min(columns - 1, max(0, int(point.x() // width)))
        line = max(0, (point.y() + self.verticalOffset()) // self._cell.height())
        return min(self._count() - 1, line * columns + column)

    def currentChanged(self, current: QModelIndex, previous: QModelIndex) -> None:
        """Tell screen readers what the arrow keys came to: cells are painted, not widgets."""
        super().currentChanged(current, previous)
        self.setAccessibleDescription(str(self.model().data(current, Qt.ItemDataRole.AccessibleTextRole) or ""))

    def selectionChanged(self, _selected: QItemSelection, _deselected: QItemSelection) -> None:
        """Repaint; the base class would walk through every selected cell for screen readers."""
        self._repaint()

    def visualRegionForSelection(self, _selection: QItemSelection) -> QRegion:
        """What to repaint: the viewport, which costs no more than finding out."""
        return QRegion(self.viewport().rect())

    def updateGeometries(self) -> None:
        """Fit the scroll bar to the number of lines."""
        lines = -(-self._count() // self.columns())
        bar, height = self.verticalScrollBar(), self.viewport().height()
        bar.setRange(0, max(0, lines * self._cell.height() - height))
        bar.setPageStep(height)
        bar.setSingleStep(max(16, self._cell.height() // 4))
        super().updateGeometries()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the cells that need it; where they are so many that it would be felt, the rest in the next turn."""
        end = time.perf_counter() + _PAINT_SECONDS
        painter = QPainter(self.viewport())
        region = event.region()
        for part in region:
            painter.fillRect(part, theme.colors().base)
        model, selection, current = self.model(), self.selectionModel(), self.currentIndex().row()
        if model is None or selection is None:
            return
        chosen = self.selected_ranges()
        current = current if self.hasFocus() else -1
        whole = region.rectCount() == 1
        for position, rect in self._within(event.rect()):
            if time.perf_counter() > end:
                self.viewport().update(rect)
            elif whole or region.intersects(rect):
                selected = any(position in part for part in chosen)
                cell = Cell(model.row_at(position), rect, selected, position == current, position == self._hovered)
                self._paint_cell(painter, cell)
        painter.end()

    def _within(self, rect: QRect) -> Iterator[tuple[int, QRect]]:
        """The cells that touch a rectangle of the viewport, and where they lie."""
        height, columns, count, offset = self._cell.height(), self.columns(), self._count(), self.verticalOffset()
        edges = [self._edge(column, columns) for column in range(columns + 1)]
        across = [i for i in range(columns) if edges[i + 1] > rect.left() and edges[i] <= rect.right()]
        for line in range(max(0, (rect.top() + offset) // height), (rect.bottom() + offset) // height + 1):
            for column in across:
                position = line * columns + column
                if position < count:
                    yield position, QRect(edges[column], line * height - offset, edges[column + 1] - edges[column], height)

    def keyboardSearch(self, _text: str) -> None:
        """Typing selects nothing: letters and digits are commands."""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """What is selected already can be dragged away; anywhere else a drag selects."""
        index = self.indexAt(event.position().toPoint())
        self.setDragEnabled(index.isValid() and self.selectionModel().isSelected(index))
        super().mousePressEvent(event)

    def startDrag(self, _actions: Qt.DropAction) -> None:
        """Drag the selected cells; whoever takes them asks for the selection."""
        data = QMimeData()
        data.setData(DRAGGED_CELLS, b"")
        drag = QDrag(self)
        drag.setMimeData(data)
        drag.exec(Qt.DropAction.CopyAction)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter and Space open a cell; the rest is the base class's."""
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space} and self.currentIndex().isValid():
            self.opened.emit(self.currentIndex().row())
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Ctrl and the wheel zoom."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
            return
        super().wheelEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """More or fewer columns."""
        super().resizeEvent(event)
        self.shown.emit()

    def scrollContentsBy(self, _dx: int, dy: int) -> None:
        """Move what is painted; only the strip that comes into sight is painted."""
        self._upwards = dy > 0
        self.viewport().scroll(0, dy)
        pointer = self.viewport().mapFromGlobal(QCursor.pos())
        self._hover(self.indexAt(pointer).row() if self.viewport().underMouse() else -1)
        self.shown.emit()

    def reset(self) -> None:
        """Other rows."""
        super().reset()
        self._hovered = -1
        self.updateGeometries()
        self.shown.emit()

    def mouseMoveEvent(self, event: Any) -> None:
        """Mark the cell under the pointer."""
        super().mouseMoveEvent(event)
        self._hover(self.indexAt(event.position().toPoint()).row())

    def leaveEvent(self, event: Any) -> None:
        """The pointer is elsewhere."""
        super().leaveEvent(event)
        self._hover(-1)

    def _hover(self, position: int) -> None:
        if position != self._hovered:
            before, self._hovered = self._hovered, position
            for changed in (before, position):
                if changed >= 0:
                    self.viewport().update(self._rect(changed))

    def _edge(self, column: int, columns: int) -> int:
        return round(column * self.viewport().width() / columns) if self._stretch else column * self._cell.width()

    def _count(self) -> int:
        return 0 if self.model() is None else self.model().rowCount()

    def _repaint(self, _colors: object = None) -> None:
        self.viewport().update()
