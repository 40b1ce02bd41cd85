"""Lets the user choose, move and widen the columns of a table, and remembers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from PySide6.QtCore import QObject, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHeaderView, QMenu, QTableView

from tlstudio.gui.memory import Memory

_SETTLE_MS = 300


class ColumnLike(Protocol):
    """What is asked of a column."""

    @property
    def name(self) -> str:
        """A stable name."""

    @property
    def title(self) -> str:
        """The heading."""

    @property
    def width(self) -> int:
        """Pixels, until the user chooses."""

    @property
    def shown(self) -> bool:
        """Whether it is there, until the user chooses."""


class TableColumns(QObject):
    """The columns of one table. The first one cannot be hidden.

    Args:
        view: has its model already, with one section for each of ``columns``.
        sort: name of the column that sorts at first, and how.
        memory: keeps the choice under ``key``; ``None`` for nobody.
    """

    changed = Signal()

    def __init__(
        self,
        view: QTableView,
        columns: Sequence[ColumnLike],
        *,
        sort: tuple[str, Qt.SortOrder],
        memory: Memory | None,
        key: str,
    ) -> None:
        super().__init__(view)
        self._view, self._columns, self._sort = view, tuple(columns), sort
        self._memory, self._key = memory, key
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self.save)
        header = self.header
        header.setSectionsMovable(True)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._open_menu)
        self.reset()
        if memory is not None:
            self._restore(memory.arrangement(key))
        header.sectionMoved.connect(self._settle.start)
        header.sectionResized.connect(self._settle.start)
        header.sortIndicatorChanged.connect(self._settle.start)

    @property
    def header(self) -> QHeaderView:
        """The headings."""
        return self._view.horizontalHeader()

    def visible(self) -> list[str]:
        """Names of the columns that are shown, as they stand from left to right."""
        places = sorted(range(len(self._columns)), key=self.header.visualIndex)
        return [self._columns[place].name for place in places if not self._view.isColumnHidden(place)]

    def show_column(self, name: str, on: bool) -> None:
        """Show a column, or hide it."""
        place = next(place for place, column in enumerate(self._columns) if column.name == name)
        if place:
            self._view.setColumnHidden(place, not on)
            self._settle.start()
            self.changed.emit()

    @Slot()
    def reset(self) -> None:
        """As it was at first."""
        for place, column in enumerate(self._columns):
            self.header.moveSection(self.header.visualIndex(place), place)
            self._view.setColumnHidden(place, not column.shown)
            self._view.setColumnWidth(place, column.width)
        self._sort_by(*self._sort)
        self._settle.start()
        self.changed.emit()

    def fill(self, menu: QMenu) -> None:
        """Put a tick for each column into a menu."""
        menu.clear()
        for place, column in enumerate(self._columns):
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setChecked(not self._view.isColumnHidden(place))
            action.setEnabled(place > 0)
            action.toggled.connect(lambda on, name=column.name: self.show_column(name, on))
        menu.addSeparator()
        menu.addAction(self.tr("Columns as at first"), self.reset)

    @Slot()
    def save(self) -> None:
        """Remember how it is now."""
        self._settle.stop()
        if self._memory is None:
            return
        order = sorted(range(len(self._columns)), key=self.header.visualIndex)
        shown = [place for place in order if not self._view.isColumnHidden(place)]
        sorted_by = self.header.sortIndicatorSection()
        self._memory.set_arrangement(self._key, {
            "order": [self._columns[place].name for place in order],
            "hidden": [column.name for place, column in enumerate(self._columns) if self._view.isColumnHidden(place)],
            "widths": {
                self._columns[place].name: self.header.sectionSize(place)
                for place in (shown[:-1] if self.header.stretchLastSection() else shown)  # the last one takes what is left
            },
            "sort": self._columns[sorted_by].name if 0 <= sorted_by < len(self._columns) else "",
            "down": self.header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder,
        })  # fmt: skip

    def _restore(self, kept: dict[str, Any]) -> None:
        """What is remembered, as far as it fits; columns that are new since are where they are at first."""
        places = {column.name: place for place, column in enumerate(self._columns)}
        order, hidden, widths = kept.get("order"), kept.get("hidden"), kept.get("widths")
        known = [name for name in order if name in places] if isinstance(order, list) else []
        for target, name in enumerate(known):
            self.header.moveSection(self.header.visualIndex(places[name]), target)
        for name in known:
            self._view.setColumnHidden(places[name], isinstance(hidden, list) and name in hidden and places[name] > 0)
        for name, width in widths.items() if isinstance(widths, dict) else ():
            if name in places and isinstance(width, int) and 16 <= width <= 4000:
                self._view.setColumnWidth(places[name], width)
        if kept.get("sort") in places:
            self._sort_by(str(kept["sort"]), Qt.SortOrder.DescendingOrder if kept.get("down") else Qt.SortOrder.AscendingOrder)

    def _sort_by(self, name: str, order: Qt.SortOrder) -> None:
        self._view.sortByColumn(next(place for place, column in enumerate(self._columns) if column.name == name), order)

    @Slot(QPoint)
    def _open_menu(self, point: QPoint) -> None:
        menu = QMenu(self._view)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill(menu)
        menu.popup(self.header.mapToGlobal(point))
