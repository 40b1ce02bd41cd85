"""The table of runs as a widget: Enter opens, F2 writes notes, Del asks for the trash, the context menu has it all."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QPoint, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QMenu, QTableView, QWidget

from tlstudio.gui import theme
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.runs_model import RunFilter, RunTable
from tlstudio.gui.widgets.run_looks import LINE_WIDTH
from tlstudio.gui.widgets.table_columns import TableColumns
from tlstudio.runs.store import RunInfo


class RunsView(QTableView):
    """Chooses rows by the ids of runs."""

    opened = Signal()
    """Enter, or a double click."""
    delete_wanted = Signal()
    chosen_changed = Signal()

    def __init__(self, table: RunTable, proxy: RunFilter, memory: Memory | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table, self.proxy = table, proxy
        self.menu_actions: Sequence[QAction | None] = ()
        """What the context menu offers; ``None`` for a line."""
        self.setModel(proxy)
        self.setAccessibleName(self.tr("Runs"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setStyleSheet("QTableView::item { padding: 0 5px; }")  # in line with the headings
        self.setWordWrap(False)
        self.setIconSize(QSize(LINE_WIDTH, theme.ICON))
        self.setTabKeyNavigation(False)
        self.setSortingEnabled(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._open_menu)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 10)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(6 * theme.GRID)
        self.columns = TableColumns(
            self, table.columns, sort=("started", Qt.SortOrder.DescendingOrder), memory=memory, key="runs"
        )
        self.selectionModel().selectionChanged.connect(lambda _on, _off: self.chosen_changed.emit())
        self.doubleClicked.connect(self._double_clicked)

    def chosen(self) -> list[RunInfo]:
        """The chosen runs, in the order of the table."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self.table.run_at(self.proxy.mapToSource(self.proxy.index(row, 0))) for row in rows]

    def choose(self, ids: Sequence[str]) -> None:
        """Choose these runs, as far as they are shown."""
        flags = QItemSelectionModel.SelectionFlag
        places = {run.id: row for row, run in enumerate(self.table.runs)}
        rows = [places[run_id] for run_id in ids if run_id in places]
        indexes = [index for row in rows if (index := self.proxy.mapFromSource(self.table.index(row, 0))).isValid()]
        if not indexes or [run.id for run in self.chosen()] == list(ids):
            return
        selection = self.selectionModel()
        wanted = QItemSelection()
        for index in indexes:
            wanted.select(index, index)
        selection.select(wanted, flags.ClearAndSelect | flags.Rows)
        selection.setCurrentIndex(indexes[0], flags.NoUpdate)
        self.scrollTo(indexes[0])

    def shown(self) -> list[RunInfo]:
        """All runs that the filters let through, in the order of the table."""
        rows = range(self.proxy.rowCount())
        return [self.table.run_at(self.proxy.mapToSource(self.proxy.index(row, 0))) for row in rows]

    @Slot()
    def write(self, column: str = "notes") -> None:
        """Write notes or tags of the current run in the table."""
        current = self.currentIndex()
        if current.isValid():
            self.columns.show_column(column, True)
            index = self.proxy.index(current.row(), self.table.column_of(column))
            self.setCurrentIndex(index)
            self.scrollTo(index)
            self.edit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter, F2, Del."""
        if self.state() != QAbstractItemView.State.EditingState:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.opened.emit()
                return
            if event.key() == Qt.Key.Key_Delete:
                self.delete_wanted.emit()
                return
            if event.key() == Qt.Key.Key_F2 and not self._can_write(self.currentIndex()):
                self.write()
                return
        super().keyPressEvent(event)

    def _can_write(self, index: QModelIndex) -> bool:
        return index.isValid() and bool(index.flags() & Qt.ItemFlag.ItemIsEditable)

    @Slot(QModelIndex)
    def _double_clicked(self, index: QModelIndex) -> None:
        if self._can_write(index):
            self.edit(index)
        else:
            self.opened.emit()

    @Slot(QPoint)
    def _open_menu(self, point: QPoint) -> None:
        if not self.indexAt(point).isValid():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for action in self.menu_actions:
            if action is None:
                menu.addSeparator()
            else:
                menu.addAction(action)
        menu.popup(self.viewport().mapToGlobal(point))
