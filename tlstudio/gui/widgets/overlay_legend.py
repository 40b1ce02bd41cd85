"""The legend beside overlaid curves: each run with a piece of its line, its values, and whether it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.run_looks import LINE_WIDTH, RunLook, line_icon

Values = tuple[float | None, float | None]
"""Loss, and accuracy as a fraction."""
_RUN, _LOSS, _ACCURACY = range(3)
_ID = Qt.ItemDataRole.UserRole


class LegendRow(NamedTuple):
    """A run."""

    id: str
    name: str
    look: RunLook
    about: str


class Legend(QWidget):
    """A tick shows or hides a run; the chosen one is drawn thicker."""

    hidden_changed = Signal()
    current_changed = Signal(object)
    """str: id of the chosen run; empty for none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: dict[str, tuple[LegendRow, QTreeWidgetItem]] = {}
        self.tree = QTreeWidget()
        self.tree.setAccessibleName(self.tr("Legend"))
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.tree.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.tree.setHeaderLabels([self.tr("Run"), self.tr("Loss"), self.tr("Accuracy")])
        self.tree.setIconSize(QSize(LINE_WIDTH, theme.ICON))
        header = self.tree.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_RUN, QHeaderView.ResizeMode.Stretch)
        for column in (_LOSS, _ACCURACY):
            self.tree.headerItem().setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            header.resizeSection(column, (7 if column == _LOSS else 9) * theme.GRID)
        header.setMinimumSectionSize(6 * theme.GRID)
        self.where = QLabel()
        theme.set_role(self.where, "caption")
        self.setFixedWidth(45 * theme.GRID)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.where)
        self.tree.itemChanged.connect(self._ticked)
        self.tree.currentItemChanged.connect(self._moved)
        theme.changed.connect(self._restyle)

    def set_rows(self, rows: Sequence[LegendRow]) -> None:
        """Show these runs, all of them ticked but those that were hidden before."""
        hidden = self.hidden()
        self.tree.blockSignals(True)
        self.tree.clear()
        self._rows = {}
        for row in rows:
            item = QTreeWidgetItem(self.tree, [row.name, "", ""])
            item.setData(_RUN, _ID, row.id)
            item.setIcon(_RUN, line_icon(row.look))
            item.setToolTip(_RUN, row.about or row.name)
            item.setCheckState(_RUN, Qt.CheckState.Unchecked if row.id in hidden else Qt.CheckState.Checked)
            for column in (_LOSS, _ACCURACY):
                item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._rows[row.id] = row, item
        self.tree.blockSignals(False)

    def hidden(self) -> set[str]:
        """Ids of the runs that are not shown."""
        return {run for run, (_, item) in self._rows.items() if item.checkState(_RUN) == Qt.CheckState.Unchecked}

    def set_values(self, values: Mapping[str, Values], epoch: float | None) -> None:
        """Tell values at an epoch; ``None`` for those of each run's best one."""
        self.tree.blockSignals(True)
        for run, (loss, accuracy) in values.items():
            item = self._rows[run][1]
            item.setText(_LOSS, "–" if loss is None else f"{loss:.3g}")
            item.setText(_ACCURACY, "–" if accuracy is None else f"{100 * accuracy:.1f} %")
        self.tree.blockSignals(False)
        self.tree.viewport().update()
        if epoch is None:
            self.where.setText(self.tr("Values of the best epoch of each"))
        else:
            self.where.setText(self.tr("Values at epoch {n}").format(n=f"{epoch:.4g}"))

    def text_of(self, run: str) -> tuple[str, str, str]:
        """What can be read of a run: its name, loss and accuracy."""
        item = self._rows[run][1]
        return item.text(_RUN), item.text(_LOSS), item.text(_ACCURACY)

    @Slot(QTreeWidgetItem, int)
    def _ticked(self, _item: QTreeWidgetItem, column: int) -> None:
        if column == _RUN:
            self.hidden_changed.emit()

    @Slot(QTreeWidgetItem, QTreeWidgetItem)
    def _moved(self, current: QTreeWidgetItem | None, _before: QTreeWidgetItem | None) -> None:
        self.current_changed.emit("" if current is None else current.data(_RUN, _ID))

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.tree.blockSignals(True)
        for row, item in self._rows.values():
            item.setIcon(_RUN, line_icon(row.look))
        self.tree.blockSignals(False)
