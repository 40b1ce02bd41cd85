"""The rows of the list of backbones: grouped by family under headings, or searched, filtered and sorted without them.

Plain work over records in memory; what is on the disk is told by `set_looked`. A thousand rows take a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt

from tlstudio.gui import theme
from tlstudio.gui.widgets.stage_look import count_text
from tlstudio.registry.backbones import Listed, in_order, search

Index = QModelIndex | QPersistentModelIndex
HEADING_ROLE = Qt.ItemDataRole.UserRole + 1
_RECENT = 5
_HEADING = Qt.ItemFlag.ItemNeverHasChildren
_ROW = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its heading, what it shows, by which order it sorts and in which direction at first, how wide it must be."""

    title: str
    text: Callable[[Listed], str]
    order: str
    widest: str
    right: bool = False
    large_first: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """What of the list is shown.

    Args:
        query: words to search for.
        family: only this one.
        size: only those with at least the first and fewer than the second number of parameters.
        here: only those with weights on this machine.
        order: one of the columns' orders; empty: grouped by family, or the best finds first.
    """

    query: str = ""
    family: str = ""
    size: tuple[float, float] | None = None
    here: bool = False
    order: str = ""
    descending: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return not (self.query.strip() or self.family or self.size or self.here)


class BackboneTable(QAbstractTableModel):
    """All backbones of a catalog, as one view of them; a row is a backbone or a heading."""

    def __init__(self, items: Sequence[Listed], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._items = items
        self._by_name = {item.name: item for item in items}
        self._here: frozenset[str] = frozenset()
        self._looked = False
        self._recent: tuple[str, ...] = ()
        self._columns = self._make_columns()
        self._rows: list[Listed | str] = []
        self.view = View()
        self.set_view(self.view)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return self._columns

    @property
    def found(self) -> int:
        """How many backbones the view has."""
        return len({row.name for row in self._rows if isinstance(row, Listed)})

    def set_view(self, view: View) -> None:
        """Show this of it."""
        self.beginResetModel()
        self.view = view
        self._rows = self._make_rows(view)
        self.endResetModel()

    def next_order(self, section: int) -> tuple[str, bool]:
        """What a click on a heading asks for: the best first, then the other way round, then the usual order again."""
        column = self._columns[section]
        if self.view.order != column.order:
            return column.order, column.large_first
        return (column.order, not column.large_first) if self.view.descending == column.large_first else ("", False)

    def set_looked(self, here: Iterable[str], recent: Sequence[str]) -> None:
        """Which have weights on this machine, and which were used last."""
        self._looked, self._here = True, frozenset(here)
        self._recent = tuple(name for name in recent if name in self._by_name)[:_RECENT]
        self.set_view(self.view)

    def at(self, index: Index) -> Listed | None:
        """The backbone of a row; ``None`` for a heading."""
        row = self._rows[index.row()] if index.isValid() else ""
        return row if isinstance(row, Listed) else None

    def row_of(self, name: str) -> int:
        """The first row of a backbone; -1 where it is not shown."""
        return next((i for i, row in enumerate(self._rows) if isinstance(row, Listed) and row.name == name), -1)

    def first(self) -> int:
        """The first row that is no heading; -1 where there is none."""
        return self.near(0, 1)

    def near(self, row: int, direction: int) -> int:
        """The nearest row at or beyond this one that is no heading, else the nearest before it; -1 where there is none."""
        rows = len(self._rows)
        start = max(0, min(rows - 1, row))
        beyond = range(start, rows if direction > 0 else -1, direction)
        before = range(start, -1 if direction > 0 else rows, -direction)
        return next((i for i in (*beyond, *before) if isinstance(self._rows[i], Listed)), -1) if rows else -1

    def heading_rows(self) -> list[int]:
        """The rows of the headings."""
        return [i for i, row in enumerate(self._rows) if isinstance(row, str)]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's signature
        """Number of columns."""
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Headings of the columns."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            sign = (" ↓" if self.view.descending else " ↑") if self.view.order == self._columns[section].order else ""
            return self._columns[section].title + sign
        return _alignment(self._columns[section]) if role == Qt.ItemDataRole.TextAlignmentRole else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """The arrow keys pass over headings."""
        return _HEADING if isinstance(self._rows[index.row()], str) else _ROW

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell."""
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], self._columns[index.column()]
        if isinstance(row, str):
            heads = role in (HEADING_ROLE, Qt.ItemDataRole.DisplayRole) and index.column() == 0
            return row if heads or role == HEADING_ROLE else None
        if role == Qt.ItemDataRole.DisplayRole:
            return column.text(row)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{column.title}: {column.text(row)}" if index.column() else column.text(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{row.spec.title}\n{row.name}"
        if role == Qt.ItemDataRole.ForegroundRole and index.column() == len(self._columns) - 1:
            return theme.colors().text if row.name in self._here else theme.colors().muted
        return None

    def weights_text(self, item: Listed) -> str:
        """Whether weights are on this machine, by a sign and in words."""
        if item.name in self._here:
            return _tr("✓ here")
        if not item.spec.weights:
            return _tr("none")
        return _tr("↓ to fetch") if self._looked else "…"

    def _make_rows(self, view: View) -> list[Listed | str]:
        items = [item for item in self._items if self._fits(item, view)]
        if view.query.strip():
            items = search(items, view.query, self._here)
        if view.order == "here":
            items = sorted(items, key=lambda item: (item.name in self._here) != (not view.descending))
        elif view.order:
            items = in_order(items, view.order, descending=view.descending)
        return [*items] if view.order or view.query.strip() else self._grouped(items, whole=view.is_whole)

    def _grouped(self, items: Sequence[Listed], *, whole: bool) -> list[Listed | str]:
        """Under headings; on top of the whole list those that were used last and those that can start at once."""
        rows: list[Listed | str] = []
        if whole:
            recent = [self._by_name[name] for name in self._recent]
            here = [item for item in items if item.name in self._here]
            for title, group in ((_tr("Used last"), recent), (_tr("Weights on this machine"), here)):
                rows += [f"{title} ({len(group)})", *group] if group else []
        family, start = "", 0
        for item in items:
            if item.spec.family != family:
                family, start = item.spec.family, len(rows)
                rows.append("")
            rows.append(item)
            rows[start] = f"{family} ({len(rows) - start - 1})"
        return rows

    def _fits(self, item: Listed, view: View) -> bool:
        return (
            (not view.family or item.spec.family == view.family)
            and (view.size is None or view.size[0] <= item.spec.params < view.size[1])
            and (not view.here or item.name in self._here)
        )

    def _make_columns(self) -> tuple[Column, ...]:
        def accuracy(item: Listed) -> str:
            return "–" if item.accuracy is None else f"{100 * item.accuracy:.1f} %"

        def flops(item: Listed) -> str:
            return count_text(item.spec.flops) if item.spec.flops else "–"

        return (
            Column(title=_tr("Name"), text=lambda item: item.spec.title, order="name", widest=""),
            Column(title=_tr("Family"), text=lambda item: item.spec.family, order="family", widest="Squeezed Network"),
            Column(
                title=_tr("Parameters"), text=lambda item: count_text(item.spec.params), order="params", widest="8888 M",
                right=True,
            ),
            Column(title=_tr("Multiply-adds"), text=flops, order="flops", widest="8888 M", right=True),
            Column(title=_tr("Input"), text=lambda item: f"{item.image_size} px", order="size", widest="8888 px", right=True),
            Column(title=_tr("Top-1"), text=accuracy, order="accuracy", widest="88.8 %", right=True, large_first=True),
            Column(title=_tr("Weights"), text=self.weights_text, order="here", widest=_tr("↓ to fetch")),
        )  # fmt: skip


def _alignment(column: Column) -> int:
    side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)


def _tr(text: str) -> str:
    return QCoreApplication.translate("Backbones", text)
