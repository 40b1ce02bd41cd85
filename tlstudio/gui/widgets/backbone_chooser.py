"""The dialog that finds a backbone among a thousand: type words, move with the arrows, Enter takes it, Esc changes nothing.

The list is there at once; which weights are on this machine may be told later. Looks at no disk itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, QModelIndex, QObject, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from tlstudio.gui import theme
from tlstudio.gui.widgets.backbone_details import BackboneDetails
from tlstudio.gui.widgets.backbone_list import BackboneList
from tlstudio.gui.widgets.backbone_table import BackboneTable
from tlstudio.registry.backbones import Listed, Sets, at_hand, families

_LARGEST = (1400, 840)
_MARGIN = 48
_SIZES = ((0.0, 5e6), (5e6, 30e6), (30e6, 100e6), (100e6, float("inf")))

Looked = tuple[Sets, tuple[str, ...]]
"""All weights with their places on this machine, and the names of the backbones used last."""


class BackboneChooser(QDialog):
    """Shows all backbones; `chosen` tells which one was taken.

    Args:
        items: family by family.
        current: the qualified name of the one that is chosen now.
        known: the weights on this machine and the names of those used last, where somebody has looked; else `take` tells later.
    """

    chosen = Signal(object)
    """str: the qualified name of the backbone that was taken."""

    def __init__(
        self,
        items: Sequence[Listed],
        current: str,
        parent: QWidget | None = None,
        *,
        known: Looked | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Choose a backbone"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._total = len(items)
        self._known: Looked | None = None
        self.table = BackboneTable(items, self)
        self.list = BackboneList(self.table)
        self.details = BackboneDetails()
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setPlaceholderText(self.tr("Name or family, such as “resnet 18” or “vit small”"))
        self.search.setAccessibleName(self.tr("Search for a backbone"))
        self.search.installEventFilter(self)
        self.family = self._box(self.tr("Family"), self.tr("All families"))
        for name, count in families(items).items():
            self.family.addItem(f"{name} ({count})", name)
        self.size = self._box(self.tr("Size"), self.tr("Any size"))
        for title, limits in zip(
            (self.tr("Below 5 M"), self.tr("5 to 30 M"), self.tr("30 to 100 M"), self.tr("100 M and more")), _SIZES, strict=True
        ):
            self.size.addItem(title, limits)
        self.order = self._box(self.tr("Order"), self.tr("Usual order"))
        self.order.setToolTip(self.tr("Usually grouped by family; in a search, what fits best first"))
        for column in self.table.columns:
            self.order.addItem(self.tr("Sorted by {column}").format(column=column.title))
        self.here = QCheckBox(self.tr("Weights on this machine"))
        self.count = QLabel()
        self.count.setProperty("role", "muted")
        self._build()
        self._connect()
        if known is not None:
            self.take(known)
        self.list.choose(max(self.table.row_of(current), self.table.first()), anew=True)
        self._counted()

    def open_over(self, window: QWidget, text: str = "") -> None:
        """Show it over its window, as large as that allows, with this already searched for."""
        room = window.size()
        self.resize(min(_LARGEST[0], room.width() - _MARGIN), min(_LARGEST[1], room.height() - _MARGIN))
        self.open()
        self.search.setFocus()
        if text:
            self.search.setText(text)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows move in the list while typing goes on."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and self.list.step(Qt.Key(event.key())):
            return True
        return super().eventFilter(watched, event)

    def take(self, found: Looked) -> None:
        """Show what of it is on this machine; where nothing changed since, nothing moves."""
        if found == self._known:
            return
        current = self.table.at(self.list.currentIndex())
        self._known = found
        self.table.set_looked(at_hand(found[0]), found[1])
        self._go_to(current.name if current else "")

    @Slot()
    def accept(self) -> None:
        """Take the current one."""
        item = self.table.at(self.list.currentIndex())
        if item is not None:
            self.chosen.emit(item.name)
            super().accept()

    @Slot()
    def _show_details(self) -> None:
        item = self.table.at(self.list.currentIndex())
        sets = None if self._known is None or item is None else self._known[0].get(item.name, ())
        self.details.show_item(item, sets)
        self._button.setEnabled(item is not None)

    @Slot()
    def _search_changed(self) -> None:
        self._set_view(keep=not self.search.text().strip())

    @Slot()
    def _filter_changed(self) -> None:
        self._set_view(keep=True)

    def _set_view(self, *, keep: bool) -> None:
        """Show what fits; the current one stays current where it is still there, else the first becomes it."""
        current = self.table.at(self.list.currentIndex())
        self.table.set_view(
            replace(
                self.table.view, query=self.search.text(), family=self.family.currentData() or "",
                size=self.size.currentData(), here=self.here.isChecked(),
            )
        )  # fmt: skip
        self._go_to(current.name if current and keep else "")

    @Slot(int)
    def _heading_clicked(self, section: int) -> None:
        self._sort(*self.table.next_order(section))
        order = [None, *(column.order for column in self.table.columns)]
        blocked = self.order.blockSignals(True)
        self.order.setCurrentIndex(order.index(self.table.view.order or None))
        self.order.blockSignals(blocked)

    @Slot(int)
    def _order_chosen(self, index: int) -> None:
        column = self.table.columns[index - 1] if index > 0 else None
        self._sort(column.order if column else "", column is not None and column.large_first)

    def _sort(self, order: str, descending: bool) -> None:
        """From the top."""
        self.table.set_view(replace(self.table.view, order=order, descending=descending))
        self._go_to("")

    def _go_to(self, name: str) -> None:
        row = self.table.row_of(name) if name else -1
        row = row if row >= 0 else self.table.first()
        self.list.choose(row, anew=True)
        self._show_details()
        self._counted()

    def _counted(self) -> None:
        shown = self.table.found
        text = self.tr("{shown} of {total} backbones") if shown < self._total else self.tr("{total} backbones")
        self.count.setText(text.format(shown=f"{shown:,}", total=f"{self._total:,}"))

    def _box(self, name: str, first: str) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        box.setToolTip(name)
        box.addItem(first)
        box.setMaxVisibleItems(24)
        return box

    @Slot(QModelIndex)
    def _activated(self, index: QModelIndex) -> None:
        if self.table.at(index) is not None:
            self.accept()

    @Slot(object)
    def _typed(self, text: str) -> None:
        self.search.setFocus()
        self.search.setText(self.search.text() + text)

    def _connect(self) -> None:
        self.search.textChanged.connect(self._search_changed)
        for box in (self.family, self.size):
            box.currentIndexChanged.connect(self._filter_changed)
        self.order.currentIndexChanged.connect(self._order_chosen)
        self.here.toggled.connect(self._filter_changed)
        self.list.horizontalHeader().sectionClicked.connect(self._heading_clicked)
        self.list.selectionModel().currentChanged.connect(self._show_details)
        self.list.doubleClicked.connect(self._activated)
        self.list.typed.connect(self._typed)
        theme.changed.connect(self._show_details)

    def _build(self) -> None:
        filters = QHBoxLayout()
        filters.setSpacing(theme.GRID)
        filters.addWidget(self.search, 1)
        for widget in (self.family, self.size, self.order, self.here):
            filters.addWidget(widget)
        split = QSplitter()
        split.addWidget(self.list)
        split.addWidget(self.details)
        split.setStretchFactor(0, 1)
        split.setSizes([880, 320])
        split.setChildrenCollapsible(False)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._button = buttons.addButton(self.tr("Choose"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._button.setDefault(True)
        theme.set_role(self._button, "primary")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        below = QHBoxLayout()
        below.addWidget(self.count, 1)
        below.addWidget(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, 2 * theme.GRID, 2 * theme.GRID, 2 * theme.GRID)
        layout.setSpacing(theme.GRID)
        layout.addLayout(filters)
        layout.addWidget(split, 1)
        layout.addLayout(below)
