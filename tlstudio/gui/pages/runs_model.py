"""The table of runs: columns over `RunInfo` records, sortable and searchable. Touches no file itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)

from tlstudio.gui import theme
from tlstudio.gui.pages.train_progress import duration_text
from tlstudio.gui.widgets.run_looks import RunLook, line_icon
from tlstudio.runs.notes import RunNotes, clean_tags
from tlstudio.runs.store import RunInfo

Index = QModelIndex | QPersistentModelIndex
_ID_LETTERS = 4  # fewer would be found in every other id
_WRITTEN = ("notes", "tags")
_MARKS = {"completed": "✓", "stopped": "■", "cancelled": "✕", "failed": "!", "interrupted": "…", "running": "▶",
          "queued": "○"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading, what it shows of a run, and by what it sorts where that is another thing.

    ``name`` is its name in files, as in `tlstudio.runs.table.FIELDS`.
    """

    name: str
    title: str
    text: Callable[[RunInfo], str]
    width: int
    key: Callable[[RunInfo], Any] | None = None
    right: bool = False
    tip: Callable[[RunInfo], str] | None = None
    about: str = ""
    """A tooltip of the heading."""
    shown: bool = True
    """Whether it is there until the user chooses."""


def columns() -> tuple[Column, ...]:
    """The columns, in the user's language."""
    return (
        Column(name="name", title=_tr("Name"), text=title_of_run, width=146, tip=lambda run: f"{run.name}\n{run.folder.name}"),
        Column(name="data", title=_tr("Data"), text=lambda run: run.dataset.rpartition("/")[2], width=100, tip=_path),
        Column(
            name="backbone", title=_tr("Backbone"), text=lambda run: run.backbone.rpartition("/")[2], width=132,
            tip=lambda run: run.backbone,
        ),
        Column(
            name="strategy", title=_tr("What learns"), text=lambda run: strategy_of(run).rpartition("/")[2], width=84,
            tip=strategy_of, about=_tr("The freezing strategy"),
        ),
        Column(
            name="status", title=_tr("Status"), text=lambda run: f"{_MARKS[run.status]} {status_text(run.status)}", width=108,
            tip=lambda run: run.error,
        ),
        Column(name="epochs", title=_tr("Epochs"), text=_epochs, width=76, key=lambda run: run.epochs_done, right=True),
        Column(
            name="best_epoch", title=_tr("Best epoch"), width=84,
            text=lambda run: str(run.best_epoch + 1) if run.best_epoch >= 0 else "–",
            key=lambda run: run.best_epoch, right=True, about=_tr("The epoch whose model was kept"), shown=False,
        ),
        Column(
            name="val_accuracy", title=_tr("Val. accuracy"), text=_accuracy, width=88,
            key=lambda run: run.metrics.get("val_accuracy", -1.0), right=True,
            about=_tr("Of the best epoch, on the validation images"),
        ),
        Column(
            name="val_loss", title=_tr("Val. loss"), text=_loss, width=70,
            key=lambda run: run.metrics.get("val_loss", float("inf")), right=True,
            about=_tr("Of the best epoch, on the validation images"),
        ),
        Column(
            name="seconds", title=_tr("Time"), text=lambda run: duration_text(run.seconds), width=52,
            key=lambda run: run.seconds, right=True,
        ),
        Column(
            name="images_per_s", title=_tr("Images/s"), text=lambda run: f"{run.images_per_s:.0f}" if run.images_per_s else "–",
            width=74, key=lambda run: run.images_per_s, right=True,
            about=_tr("Training images in a second of its epochs, measuring included"), shown=False,
        ),
        Column(
            name="group", title=_tr("Group"), text=group_text, width=104, tip=_group_tip,
            key=lambda run: (run.group, run.group_number), about=_tr("Runs that repeat one configuration over seeds or folds"),
        ),
        Column(
            name="notes", title=_tr("Notes"), text=lambda run: " ".join(run.notes.split()), width=48,
            tip=lambda run: run.notes, about=_tr("Your own words; F2 writes"),
        ),
        Column(
            name="tags", title=_tr("Tags"), text=lambda run: ", ".join(run.tags), width=48,
            tip=lambda run: ", ".join(run.tags), about=_tr("Your own tags, with commas between; F2 writes"),
        ),
        Column(
            name="parent", title=_tr("Parent"), text=lambda run: run.parent or "–", width=84,
            about=_tr("The run whose result this one started from"), shown=False,
        ),
        Column(name="started", title=_tr("Started"), text=_created, width=122, key=lambda run: run.created),
    )  # fmt: skip


class RunTable(QAbstractTableModel):
    """All runs of a workspace. Notes and tags can be written; whoever made it hears of it and keeps them."""

    written = Signal(object, object)
    """RunInfo, RunNotes: the user wrote something else about a run."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = columns()
        self._runs: list[RunInfo] = []
        self._looks: dict[str, RunLook] = {}
        self._keys: list[tuple[Any, ...]] = []
        self._sorted = (len(self.columns) - 1, Qt.SortOrder.DescendingOrder)

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show these. Rows that are not new stay, with selection, scrolling and what is being written in them."""
        wanted = {run.id: run for run in runs}
        for row in reversed(range(len(self._runs))):
            if self._runs[row].id not in wanted:
                self.beginRemoveRows(QModelIndex(), row, row)
                del self._runs[row], self._keys[row]
                self.endRemoveRows()
        known = {run.id for run in self._runs}
        if added := [run for run in runs if run.id not in known]:
            first = len(self._runs)
            self.beginInsertRows(QModelIndex(), first, first + len(added) - 1)
            self._runs += added
            self._keys += [self._key(run) for run in added]
            self.endInsertRows()
        for row, run in enumerate(self._runs):
            if wanted[run.id] != run:
                self.set_run(row, wanted[run.id])
        self.sort(*self._sorted)

    def set_run(self, row: int, run: RunInfo) -> None:
        """Show other values of a run."""
        self._runs[row], self._keys[row] = run, self._key(run)
        self.dataChanged.emit(self.index(row, 0), self.index(row, len(self.columns) - 1))

    def set_looks(self, looks: dict[str, RunLook]) -> None:
        """Show the line of each run that is drawn beside others, before its name."""
        if looks != self._looks:
            self._looks = looks
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._runs) - 1, 0), [Qt.ItemDataRole.DecorationRole])

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

    def column_of(self, name: str) -> int:
        """Where a column is."""
        return next(place for place, column in enumerate(self.columns) if column.name == name)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Bring the rows into the order of a column's values; equal ones by when they started."""
        if not 0 <= column < len(self.columns):
            return
        self._sorted = (column, order)
        down = order == Qt.SortOrder.DescendingOrder
        keys, runs = self._keys, self._runs
        rows = sorted(range(len(runs)), key=lambda row: (keys[row][column], runs[row].created), reverse=down)
        if rows == list(range(len(rows))):
            return
        self.layoutAboutToBeChanged.emit()
        places = {before: now for now, before in enumerate(rows)}
        self._runs, self._keys = [runs[row] for row in rows], [keys[row] for row in rows]
        before = self.persistentIndexList()
        self.changePersistentIndexList(before, [self.index(places[index.row()], index.column()) for index in before])
        self.layoutChanged.emit()

    def _key(self, run: RunInfo) -> tuple[Any, ...]:
        return tuple(column.key(run) if column.key is not None else column.text(run).casefold() for column in self.columns)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of runs."""
        return 0 if parent.isValid() else len(self._runs)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of columns."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Headings."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.about or None
        return _alignment(column) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Notes and tags can be written."""
        usual = super().flags(index)
        return usual | Qt.ItemFlag.ItemIsEditable if self.columns[index.column()].name in _WRITTEN else usual

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Write notes or tags."""
        run, name = self._runs[index.row()], self.columns[index.column()].name
        if role != Qt.ItemDataRole.EditRole or name not in _WRITTEN:
            return False
        said = RunNotes(text=run.notes, tags=run.tags)
        if name == "tags":
            said = replace(said, tags=clean_tags([str(value)]))
        elif str(value) != " ".join(run.notes.split()):  # a cell shows several lines as one
            said = replace(said, text=str(value).strip())
        if (said.text, said.tags) != (run.notes, run.tags):
            self.written.emit(run, said)
        return True

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell."""
        if not index.isValid():
            return None
        run, column = self._runs[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.EditRole):
            return column.text(run)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return (column.tip(run) or None) if column.tip is not None else None
        if role == Qt.ItemDataRole.DecorationRole and column.name == "name" and run.id in self._looks:
            return line_icon(self._looks[run.id])
        if role == Qt.ItemDataRole.ForegroundRole and column.name == "status":
            return {"failed": theme.colors().error, "running": theme.colors().learn_text}.get(run.status)
        if role == Qt.ItemDataRole.ForegroundRole and column.name == "notes":
            return theme.colors().muted
        return None


class RunFilter(QSortFilterProxyModel):
    """Keeps rows in which every word occurs, of one status and with one tag; the table itself sorts."""

    def __init__(self, table: RunTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table = table
        self._words: tuple[str, ...] = ()
        self._status = ""
        self._tag = ""
        self.setSourceModel(table)

    def set_text(self, text: str) -> None:
        """Search for these words."""
        self._change(words=tuple(text.casefold().split()))

    def set_status(self, status: str) -> None:
        """Show runs of one status; empty for all."""
        self._change(status=status)

    def set_tag(self, tag: str) -> None:
        """Show runs with one tag; empty for all."""
        self._change(tag=tag.casefold())

    @property
    def filters(self) -> bool:
        """Whether anything may be hidden."""
        return bool(self._words or self._status or self._tag)

    def _change(self, **what: Any) -> None:
        newer = hasattr(self, "endFilterChange")  # since Qt 6.10, which deprecates the older way
        if newer:
            self.beginFilterChange()
        for name, value in what.items():
            setattr(self, f"_{name}", value)
        if newer:
            self.endFilterChange(QSortFilterProxyModel.Direction.Rows)
        else:
            self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        """Whether a run is shown."""
        if not self.filters:
            return True
        run = self._table.run_at(self._table.index(row, 0))
        if (self._status and run.status != self._status) or (
            self._tag and self._tag not in (tag.casefold() for tag in run.tags)
        ):
            return False
        text = " ".join((
            run.name, run.dataset, run.backbone, strategy_of(run), run.status, status_text(run.status), run.notes, *run.tags,
            _created(run), run.group, group_text(run),
        )).casefold()  # fmt: skip
        ids = (run.id, run.parent)
        return all(word in text or (len(word) >= _ID_LETTERS and any(map(_begins(word), ids))) for word in self._words)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By the values, not by their text; in Python at once, where Qt would ask for two values a thousand times."""
        self._table.sort(column, order)


def _begins(word: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(word)


def title_of_run(run: RunInfo) -> str:
    """The user's name for it, else what it trained on what, in short."""
    name = run.config.get("run", {}).get("name")
    if name:
        return str(name)
    return _tr("{backbone} on {data}").format(backbone=run.backbone.rpartition("/")[2], data=run.dataset.rpartition("/")[2])


def status_text(status: str) -> str:
    """A status in words."""
    return {
        "completed": _tr("finished"),
        "stopped": _tr("stopped"),
        "cancelled": _tr("cancelled"),
        "failed": _tr("failed"),
        "interrupted": _tr("interrupted"),
        "running": _tr("running"),
        "queued": _tr("waiting"),
    }[status]


def strategy_of(run: RunInfo) -> str:
    """Qualified name of the freezing strategy."""
    return str(run.config.get("freezing", {}).get("strategy", "?"))


def group_text(run: RunInfo) -> str:
    """Which seed or fold it is of its group, and that group's first digits; empty for a run of its own."""
    kind, _, digits = run.group.partition("-")
    return f"{kind.removesuffix('s')} {run.group_number} · {digits[:_ID_LETTERS]}" if run.group else ""


def _group_tip(run: RunInfo) -> str:
    which = group_text(run).partition(" · ")[0]
    return _tr("{which} of the group {group}").format(which=which.capitalize(), group=run.group) if which else ""


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
