"""Several runs side by side: their results, and only those settings in which they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.gui import theme
from tlstudio.gui.pages.run_text import value_text
from tlstudio.gui.pages.runs_model import Column, columns, title_of_run
from tlstudio.gui.widgets.fields import UNITS, title_of
from tlstudio.gui.widgets.form import fields_of
from tlstudio.gui.widgets.run_looks import LINE_WIDTH, line_icon, run_looks
from tlstudio.runs.store import RunInfo
from tlstudio.runs.table import FIELDS, FIGURES, differing_settings

_BEST: dict[str, Callable[[Sequence[float]], float]] = {"val_accuracy": max, "val_loss": min}
_NAMED = 3
_WIDTH, _NARROW, _WIDE = 170, 130, 230
_LETTERS = 4


class DifferenceTable(QTableWidget):
    """A column for each run; the best figures are bold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs: tuple[RunInfo, ...] = ()
        self.setAccessibleName(self.tr("Differences of the chosen runs"))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setIconSize(QSize(LINE_WIDTH, theme.ICON))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + theme.GRID)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.horizontalHeader().setStretchLastSection(True)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        theme.changed.connect(self._restyle)

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """Compare these."""
        self._runs = tuple(runs)
        self.clear()
        self.setColumnCount(1 + len(runs))
        self.setRowCount(0)
        looks = run_looks([run.id for run in runs])
        self.setHorizontalHeaderItem(0, QTableWidgetItem(""))
        for place, (run, name) in enumerate(zip(runs, names_of(runs), strict=True), 1):
            heading = QTableWidgetItem(line_icon(looks[run.id]), name)
            heading.setToolTip(f"{title_of_run(run)}\n{run.folder.name}")
            self.setHorizontalHeaderItem(place, heading)
        self._add_heading(self.tr("Results"))
        known = {column.name: column for column in columns()}
        for name in FIGURES:
            self._add_figure(known[name])
        settings, infos = differing_settings(runs), fields_of(TrainConfig)
        self._add_heading(self.tr("Settings that differ") if settings else self.tr("All settings are the same."))
        for name, values in settings.items():
            info, unit = infos.get(name), UNITS.get(name, "")
            title = title_of(name, info) if info is not None else name.rpartition(".")[2].replace("_", " ").capitalize()
            self._add_row(title, [value_text(value, unit) for value in values], tip=name)
        self.setColumnWidth(0, _WIDTH)
        for column in range(1, self.columnCount()):
            self.resizeColumnToContents(column)
            self.setColumnWidth(column, min(max(_NARROW, self.columnWidth(column) + 2 * theme.GRID), _WIDE))

    def texts(self) -> list[list[str]]:
        """All that can be read, row by row."""
        rows = []
        for row in range(self.rowCount()):
            items = [self.item(row, column) for column in range(self.columnCount())]
            rows.append([item.text() for item in items if item is not None])
        return rows

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.set_runs(self._runs)

    def _add_figure(self, column: Column) -> None:
        texts = [column.text(run) for run in self._runs]
        best = -1.0
        choose = _BEST.get(column.name)
        numbers = [FIELDS[column.name](run) for run in self._runs]
        found = [number for number in numbers if isinstance(number, int | float)]
        bold: set[int] = set()
        if choose is not None and len(set(found)) > 1:
            best = choose(found)
            bold = {place for place, number in enumerate(numbers) if number == best}
        self._add_row(column.title, texts, bold=bold, tip=column.about)

    def _add_heading(self, text: str) -> None:
        row = self._add_row(text, [], bold={-1})
        self.setSpan(row, 0, 1, self.columnCount())

    def _add_row(self, title: str, texts: Sequence[str], *, bold: set[int] | None = None, tip: str = "") -> int:
        """A row; ``bold`` are places of texts, -1 is the title."""
        row = self.rowCount()
        self.insertRow(row)
        strong = QFont(self.font())
        strong.setBold(True)
        for place, text in enumerate([title, *texts], -1):
            item = QTableWidgetItem(text)
            item.setToolTip(tip if place < 0 else text)
            if place in (bold or ()):
                item.setFont(strong)
            elif place < 0:
                item.setForeground(theme.colors().muted)
            self.setItem(row, place + 1, item)
        return row


def names_of(runs: Sequence[RunInfo]) -> list[str]:
    """A name for each run by which it can be told from the others: the user's, else what sets it apart."""
    titles = [title_of_run(run) for run in runs]
    often = Counter(titles)
    alike = [run for run, title in zip(runs, titles, strict=True) if often[title] > 1]
    settings = differing_settings(alike) if alike else {}
    infos = fields_of(TrainConfig)
    names = []
    for run, title in zip(runs, titles, strict=True):
        if often[title] == 1:
            names.append(title)
            continue
        place = next(place for place, each in enumerate(alike) if each.id == run.id)
        parts = []
        for name, values in settings.items():
            usual = Counter(map(str, values)).most_common(1)[0][1] > 1 and str(values[place]) == _most(values)
            info = infos.get(name)
            label = title_of(name, info) if info is not None else name.rpartition(".")[2]
            if not usual:
                parts.append(f"{label} {value_text(values[place])}")
        names.append(", ".join(parts[:_NAMED]) or title)
    repeated = Counter(names)
    return [f"{name} · {run.id[:_LETTERS]}" if repeated[name] > 1 else name for run, name in zip(runs, names, strict=True)]


def _most(values: Sequence[object]) -> str:
    return Counter(map(str, values)).most_common(1)[0][0]
