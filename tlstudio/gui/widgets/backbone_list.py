"""The list of backbones as a view: headings across all columns, the qualified name in grey after the title, seven columns."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from tlstudio.gui import theme
from tlstudio.gui.widgets.backbone_table import HEADING_ROLE, BackboneTable, Index
from tlstudio.gui.widgets.cells import caption_font

_PAD = 8
_LEFT = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft


class BackboneList(QTableView):
    """A list that the keyboard of a search field can steer: see `step`."""

    typed = Signal(object)
    """str: letters typed into the list, which are meant for the search."""

    def __init__(self, table: BackboneTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self.setModel(table)
        self.setItemDelegateForColumn(0, _Delegate(self))  # the others need no Python
        self.setAccessibleName(self.tr("Backbones"))
        self.setAutoScroll(False)  # `choose` does it
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + theme.GRID)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._set_widths()
        table.modelReset.connect(self._span_headings)
        self._span_headings()

    def choose(self, row: int, *, anew: bool = False) -> None:
        """Make a row the current one and show it, with the heading above it.

        Args:
            anew: the rows are others than before: begin at the top where it is on the first page, else put it in the middle.
        """
        if row < 0:
            return
        self.executeDelayedItemsLayout()
        index = self._table.index(row, 0)
        self.setCurrentIndex(index)
        if anew:
            if row < self._page():
                self.scrollToTop()
            else:
                self.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)
            return
        if row > 0 and self._table.at(self._table.index(row - 1, 0)) is None:
            self.scrollTo(self._table.index(row - 1, 0))
        self.scrollTo(index)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows, or that there are none."""
        super().paintEvent(event)
        if self._table.rowCount() == 0:
            painter = QPainter(self.viewport())
            painter.setPen(theme.colors().muted)
            text = self.tr("Nothing fits. Search for fewer words, or take a filter away.")
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, text)

    def step(self, key: Qt.Key) -> bool:
        """Move as the arrow and page keys do, past headings; whether it was one of them."""
        page = self._page()
        rows = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: page, Qt.Key.Key_PageUp: -page}.get(key)
        if rows is None:
            return False
        self.choose(self._table.near(self.currentIndex().row() + rows, 1 if rows > 0 else -1))
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Letters go to the search."""
        plain = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        if plain and event.text().strip() and event.text().isprintable():
            self.typed.emit(event.text())
            return
        ends = {Qt.Key.Key_Home: (0, 1), Qt.Key.Key_End: (self._table.rowCount() - 1, -1)}.get(Qt.Key(event.key()))
        if ends is not None:
            self.choose(self._table.near(*ends))
            return
        if self.step(Qt.Key(event.key())):
            return
        super().keyPressEvent(event)

    def _page(self) -> int:
        return max(1, self.viewport().height() // self.verticalHeader().defaultSectionSize() - 1)

    @Slot()
    def _span_headings(self) -> None:
        """A heading takes the whole row."""
        self.clearSpans()
        for row in self._table.heading_rows():
            self.setSpan(row, 0, 1, len(self._table.columns))

    def _set_widths(self) -> None:
        """By the widest text that a column is made for: measuring a thousand rows would be felt."""
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        header.setSectionsMovable(False)
        header.setSectionsClickable(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(40)
        for i, column in enumerate(self._table.columns):
            if i:
                wide = self.fontMetrics().horizontalAdvance(column.widest)
                title = self.fontMetrics().horizontalAdvance(f"{column.title} ↓")
                header.resizeSection(i, max(wide, title) + 3 * _PAD)


class _Delegate(QStyledItemDelegate):
    """A title, and after it the qualified name in grey: networks of two libraries often share their title."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        """The row is what has the focus, not a cell of it."""
        super().initStyleOption(option, index)
        option.state &= ~QStyle.StateFlag.State_HasFocus

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """As usual, with the name added in the first column; a heading in its own way."""
        heading = index.data(HEADING_ROLE)
        if heading is not None:
            _draw_heading(painter, option.rect, heading)
            return
        table = index.model()
        item = table.at(index) if isinstance(table, BackboneTable) else None
        if item is None:
            super().paint(painter, option, index)
            return
        self.initStyleOption(option, index)
        title, option.text = option.text, ""
        widget = option.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, widget)
        rect, metrics, now = option.rect.adjusted(_PAD, 0, -_PAD, 0), option.fontMetrics, theme.colors()
        painter.save()
        painter.setPen(now.text)
        painter.drawText(rect, _LEFT, metrics.elidedText(title, Qt.TextElideMode.ElideRight, rect.width()))
        rest = rect.adjusted(metrics.horizontalAdvance(title) + 2 * _PAD, 0, 0, 0)
        if rest.width() > 4 * _PAD:
            painter.setPen(now.muted)
            painter.setFont(caption_font())
            painter.drawText(
                rest, _LEFT, painter.fontMetrics().elidedText(item.name, Qt.TextElideMode.ElideMiddle, rest.width())
            )
        painter.restore()


def _draw_heading(painter: QPainter, rect: QRect, title: str) -> None:
    now = theme.colors()
    painter.save()
    painter.fillRect(rect, now.window)
    painter.setPen(now.muted)
    font = theme.font("caption")
    font.setBold(True)
    painter.setFont(font)
    painter.drawText(rect.adjusted(_PAD, 0, -_PAD, 0), _LEFT, title)
    painter.restore()
