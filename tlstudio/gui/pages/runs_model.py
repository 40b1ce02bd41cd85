"""The table of runs: columns over `RunInfo` records, sortable and searchable. Reads nothing from the disk itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)

from tlstudio.gui import theme
from tlstudio.gui.pages.train_progress import duration_text
from tlstudio.runs.store import RunInfo

Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole + 1
_ID_LETTERS = 4  # fewer would be found in every other id
_MARKS = {"completed": "✓", "stopped": "■", "cancelled": "✕", "failed": "!", "interrupted": "…", "running": "▶"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading, what it shows of a run, and by what it sorts where that is another thing."""

    title: str
    text: Callable[[RunInfo], str]
    key: Callable[[RunInfo], Any] | None = None
    right: bool = False
    tip: Callable[[RunInfo], str] | None = None


def columns() -> tuple[Column, ...]:
    """The columns, in the user's language."""
    return (
        Column(title=_tr("Name"), text=title_of_run, tip=lambda run: f"{run.name}\n{run.folder.name}"),
        Column(title=_tr("Data"), text=lambda run: run.dataset.rpartition("/")[2], tip=_path),
        Column(title=_tr("Backbone"), text=lambda run: run.backbone.rpartition("/")[2], tip=lambda run: run.backbone),
        Column(title=_tr("What learns"), text=lambda run: strategy_of(run).rpartition("/")[2], tip=strategy_of),
        Column(title=_tr("Status"), text=lambda run: f"{_MARKS[run.status]} {status_text(run)}", tip=lambda run: run.error),
        Column(title=_tr("Epochs"), text=_epochs, key=lambda run: run.epochs_done, right=True),
        Column(title=_tr("Val. accuracy"), text=_accuracy, key=lambda run: run.metrics.get("val_accuracy", -1.0), right=True),
        Column(title=_tr("Val. loss"), text=_loss, key=lambda run: run.metrics.get("val_loss", float("inf")), right=True),
        Column(title=_tr("Time"), text=lambda run: duration_text(run.seconds), key=lambda run: run.seconds, right=True),
        Column(title=_tr("Started"), text=_created, key=lambda run: run.created),
    )


class RunTable(QAbstractTableModel):
    """All runs of a workspace."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._columns = columns()
        self._runs: list[RunInfo] = []

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show these. Where only values of the same runs changed, selection and scrolling stay."""
        same = [run.id for run in runs] == [run.id for run in self._runs]
        if same and self._runs:
            self._runs = list(runs)
            self.dataChanged.emit(self.index(0, 0), self.index(len(runs) - 1, len(self._columns) - 1))
            return
        self.beginResetModel()
        self._runs = list(runs)
        self.endResetModel()

    @property
    def runs(self) -> tuple[RunInfo, ...]:
        """All rows."""
        return tuple(self._runs)

    def run_at(self, index: Index) -> RunInfo:
        """The run of a row."""
        return self._runs[index.row()]

    def row_of(self, run_id: str) -> int:
        """The row of a run; -1 where it is not here."""
        return next((row for row, run in enumerate(self._runs) if run.id == run_id), -1)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of runs."""
        return 0 if parent.isValid() else len(self._runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Headings."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell."""
        if not index.isValid():
            return None
        run, column = self._runs[index.row()], self._columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return column.text(run)
        if role == SORT_ROLE:
            return column.key(run) if column.key is not None else column.text(run).casefold()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(run) if column.tip is not None else None
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == 4:
            return {"failed": theme.colors().error, "running": theme.colors().learn_text}.get(run.status)
        return None


class RunFilter(QSortFilterProxyModel):
    """Sorts by values, not by their text, and keeps rows in which every word of the search occurs."""

    def __init__(self, table: RunTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: tuple[str, ...] = ()
        self.setSourceModel(table)
        self.setSortRole(SORT_ROLE)

    def set_text(self, text: str) -> None:
        """Search for these words."""
        words = tuple(text.casefold().split())
        if hasattr(self, "endFilterChange"):  # since Qt 6.10, which deprecates the older way
            self.beginFilterChange()
            self._words = words
            self.endFilterChange(QSortFilterProxyModel.Direction.Rows)
        else:
            self._words = words
            self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        """Whether a run is shown."""
        table = self.sourceModel()
        assert isinstance(table, RunTable)
        run = table.runs[row] if self._words else None
        if run is None:
            return True
        text = " ".join((run.name, run.dataset, run.backbone, strategy_of(run), run.status, status_text(run))).casefold()
        return all(word in text or (len(word) >= _ID_LETTERS and run.id.startswith(word)) for word in self._words)

    def lessThan(self, left: Index, right: Index) -> bool:
        """By the sort role's Python values."""
        return bool(left.data(SORT_ROLE) < right.data(SORT_ROLE))


def title_of_run(run: RunInfo) -> str:
    """The user's name for it, else what it trained on what, in short."""
    name = run.config.get("run", {}).get("name")
    if name:
        return str(name)
    return _tr("{backbone} on {data}").format(backbone=run.backbone.rpartition("/")[2], data=run.dataset.rpartition("/")[2])


def status_text(run: RunInfo) -> str:
    """The status in words."""
    return {
        "completed": _tr("finished"),
        "stopped": _tr("stopped"),
        "cancelled": _tr("cancelled"),
        "failed": _tr("failed"),
        "interrupted": _tr("interrupted"),
        "running": _tr("running"),
    }[run.status]


def strategy_of(run: RunInfo) -> str:
    """Qualified name of the freezing strategy."""
    return str(run.config.get("freezing", {}).get("strategy", "?"))


def _path(run: RunInfo) -> str:
    data = run.config.get("data", {})
    return str(data.get("path") or data.get("dataset") or "")


def _epochs(run: RunInfo) -> str:
    return f"{run.epochs_done} / {run.config.get('run', {}).get('epochs', '?')}"


def _accuracy(run: RunInfo) -> str:
    value = run.metrics.get("val_accuracy")
    return "–" if value is None else f"{100 * value:.1f} %"


def _loss(run: RunInfo) -> str:
    value = run.metrics.get("val_loss")
    return "–" if value is None else f"{value:.3f}"


def _created(run: RunInfo) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))


def _alignment(column: Column) -> int:
    side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Runs", text)
