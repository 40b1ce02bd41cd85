"""The list of waiting runs, over the page: order by buttons or by dragging, take out, start the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from tlstudio.gui import theme
from tlstudio.gui.pages.runs_model import group_text, title_of_run
from tlstudio.runs.store import RunInfo

_WIDTH = 420
_HEIGHT = 132


class WaitingList(QFrame):
    """Shows the runs that it is given; what the user wants comes out as signals."""

    ordered = Signal(object)
    """list[RunInfo]: the runs in their new order."""
    cancelled = Signal(object)
    """RunInfo: take it out."""
    start_wanted = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._runs: tuple[RunInfo, ...] = ()
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Waiting runs, the next one first"))
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setFixedSize(_WIDTH, _HEIGHT)
        self.list.setSpacing(2)
        self.list.currentRowChanged.connect(self._enable)
        self.list.model().rowsMoved.connect(self._moved)
        self.up = self._tool("arrow-up", self.tr("Earlier"), lambda: self.shift(-1))
        self.down = self._tool("arrow-down", self.tr("Later"), lambda: self.shift(1))
        self.remove = self._tool("trash", self.tr("Take it out of the queue; it moves to the trash"), self._remove)
        self.start = QPushButton(self.tr("Start the next"))
        self.start.setProperty("role", "primary")
        self.start.clicked.connect(self.start_wanted)
        self.caption = QLabel(wordWrap=True)
        self.caption.setProperty("role", "caption")
        self._build()

    def show_runs(self, runs: Sequence[RunInfo], *, holder: str, may_start: bool) -> None:
        """Show these runs, the next one first.

        Args:
            holder: who else works off the queue; empty where nobody does.
            may_start: whether the next could begin now.
        """
        if tuple(runs) != self._runs:
            chosen = self._runs[self.list.currentRow()].id if 0 <= self.list.currentRow() < len(self._runs) else ""
            self._runs = tuple(runs)
            self.list.clear()
            for run in runs:
                which = group_text(run)
                item = QListWidgetItem(f"{title_of_run(run)}, {which}" if which else title_of_run(run))
                item.setData(Qt.ItemDataRole.UserRole, run)
                item.setToolTip(f"{run.name}\n{run.folder.name}")
                self.list.addItem(item)
            ids = [run.id for run in runs]
            self.list.setCurrentRow(ids.index(chosen) if chosen in ids else 0)
        self.start.setEnabled(may_start)
        self.caption.setText(
            self.tr("Worked off by {holder}.").format(holder=holder) if holder
            else self.tr("The next begins by itself when a run has ended; not after you stop or cancel one.")
        )  # fmt: skip
        self._enable()

    def shift(self, by: int) -> None:
        """Move the chosen run up (-1) or down (1)."""
        row = self.list.currentRow()
        if 0 <= row + by < self.list.count() and row >= 0:
            item = self.list.takeItem(row)
            self.list.insertItem(row + by, item)
            self.list.setCurrentItem(item)
            self._moved()

    @Slot()
    def _moved(self) -> None:
        self._runs = tuple(self.list.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.list.count()))
        self._enable()
        self.ordered.emit(list(self._runs))

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self.cancelled.emit(self._runs[row])

    @Slot()
    def _enable(self) -> None:
        row = self.list.currentRow()
        self.up.setEnabled(row > 0)
        self.down.setEnabled(0 <= row < self.list.count() - 1)
        self.remove.setEnabled(row >= 0)

    def _tool(self, icon: str, tip: str, run: Callable[[], object]) -> QToolButton:
        button = QToolButton(toolTip=tip)
        button.setAccessibleName(tip)
        theme.set_icon(button, icon)
        button.clicked.connect(lambda: run())
        return button

    def _build(self) -> None:
        title = QLabel(self.tr("Waiting runs"))
        title.setProperty("role", "section")
        row = QHBoxLayout()
        for button in (self.up, self.down, self.remove):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.start)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.GRID, theme.GRID, 2 * theme.GRID, theme.GRID)
        column.setSpacing(theme.GRID)
        column.addWidget(title)
        column.addWidget(self.list)
        column.addLayout(row)
        column.addWidget(self.caption)

    def sizeHint(self) -> QSize:
        """As wide as the list."""
        return QSize(_WIDTH + 4 * theme.GRID, super().sizeHint().height())
