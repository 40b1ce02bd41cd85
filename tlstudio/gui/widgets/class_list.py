"""The classes with their counts, as bars: an imbalance is seen before it is read. Choosing one filters the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QPainter, QPen
from PySide6.QtWidgets import QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.cells import draw_text
from tlstudio.gui.widgets.grid_view import DRAGGED_CELLS, Index

ALL = -2
"""The entry for all classes; `tlstudio.api.UNLABELLED` (-1) is the one for images without a class."""


@dataclass(frozen=True)
class ClassCount:
    """An entry: the class's label (or `ALL`, or -1), its name and its number of images."""

    label: int
    name: str
    count: int


class _Model(QAbstractListModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.entries: Sequence[ClassCount] = ()
        self.largest = 1
        self.target = ALL

    def set_entries(self, entries: Sequence[ClassCount]) -> None:
        self.largest = max((entry.count for entry in entries if entry.label != ALL), default=1) or 1
        if [entry.label for entry in entries] == [entry.label for entry in self.entries]:
            self.entries = entries
            self.dataChanged.emit(self.index(0), self.index(len(entries) - 1))
            return
        self.beginResetModel()
        self.entries = entries
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's default
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.name
        if role in {Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole}:
            return f"{entry.name}: {entry.count:,}"
        return None


class _Delegate(QStyledItemDelegate):
    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(80, 2 * option.fontMetrics.height() + 8 if index.row() else option.fontMetrics.height() + 16)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model = index.model()
        assert isinstance(model, _Model)
        entry, now = model.entries[index.row()], theme.colors()
        painter.save()
        state = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, now.selection)
            painter.fillRect(QRect(option.rect.left(), option.rect.top(), 3, option.rect.height()), now.accent)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(option.rect, now.raised)
        if model.target == entry.label != ALL:
            painter.setPen(QPen(now.accent, 2))
            painter.drawRect(option.rect.adjusted(1, 1, -2, -2))
        inner = option.rect.adjusted(16, 4, -16, -4)
        line = inner if entry.label == ALL else QRect(inner.left(), inner.top(), inner.width(), option.fontMetrics.height())
        painter.setFont(option.font)
        count = f"{entry.count:,}"
        width = option.fontMetrics.horizontalAdvance(count)
        draw_text(painter, line.adjusted(0, 0, -width - 8, 0), entry.name, now.text)
        draw_text(painter, line, count, now.muted, Qt.AlignmentFlag.AlignRight)
        if entry.label != ALL:
            bar = QRect(inner.left(), line.bottom() + 4, inner.width(), 4)
            painter.fillRect(bar, now.raised)
            share = entry.count / model.largest
            painter.fillRect(QRect(bar.left(), bar.top(), max(int(entry.count > 0), round(bar.width() * share)), 4), now.muted)
        painter.restore()


class ClassList(QListView):
    """A list of `ClassCount`; the first entry is all classes together."""

    chosen = Signal(object)
    """int: the label of the entry now chosen."""
    dropped = Signal(object)
    """int: images of the grid were dropped on the entry with this label."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _Model(self)
        self.setModel(self._model)
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName(self.tr("Classes"))
        self.setToolTip(self.tr("Choose a class to see only its images"))
        self.setMouseTracking(True)
        self.setLayoutMode(QListView.LayoutMode.Batched)  # a thousand classes are laid out in several small steps
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.selectionModel().currentChanged.connect(self._changed)
        theme.changed.connect(self._repaint)

    def set_entries(self, entries: Sequence[ClassCount]) -> None:
        """Show these, and keep what was chosen where it is still there."""
        label = self.label()
        self._model.set_entries(entries)
        rows = [i for i, entry in enumerate(entries) if entry.label == label]
        blocked = self.selectionModel().blockSignals(True)
        self.setCurrentIndex(self._model.index(rows[0] if rows else 0))
        self.selectionModel().blockSignals(blocked)
        self.viewport().update()

    def choose(self, label: int, *, quietly: bool = False) -> None:
        """Choose an entry, as a click does; ``quietly``: nobody is told."""
        rows = [i for i, entry in enumerate(self._model.entries) if entry.label == label]
        blocked = self.selectionModel().blockSignals(quietly)
        self.setCurrentIndex(self._model.index(rows[0] if rows else 0))
        self.selectionModel().blockSignals(blocked)
        self.viewport().update()

    def label(self) -> int:
        """The label now chosen."""
        row = self.currentIndex().row()
        return self._model.entries[row].label if 0 <= row < len(self._model.entries) else ALL

    def entries(self) -> Sequence[ClassCount]:
        """What is shown."""
        return self._model.entries

    # Dropping images on a class

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Cells of the grid may come."""
        if event.mimeData().hasFormat(DRAGGED_CELLS):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """A class takes them; all classes together do not."""
        label = self._label_at(event.position().toPoint())
        self._model.target = ALL if label is None else label
        self.viewport().update()
        event.setAccepted(self._model.target != ALL)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Not here."""
        self._model.target = ALL
        self.viewport().update()

    def dropEvent(self, event: QDropEvent) -> None:
        """Here."""
        label = self._label_at(event.position().toPoint())
        self._model.target = ALL
        self.viewport().update()
        if label not in (None, ALL):
            event.acceptProposedAction()
            self.dropped.emit(label)

    def _label_at(self, point: QPoint) -> int | None:
        row = self.indexAt(point).row()
        return self._model.entries[row].label if 0 <= row < len(self._model.entries) else None

    def _changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if current.isValid():
            self.chosen.emit(self._model.entries[current.row()].label)

    def _repaint(self, _colors: object) -> None:
        self.viewport().update()
