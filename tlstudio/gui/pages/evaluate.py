"""The Evaluate page: how good a run's model is, on images it has not learned from, and which ones it gets wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QRect, Qt, Slot
from PySide6.QtGui import QPainter, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.config import DataConfig
from tlstudio.api.images import printable
from tlstudio.data.moved import relocated
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.data_browser import separator
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import CAPTION, MARGIN, draw_ground, draw_text, draw_thumbnail
from tlstudio.gui.widgets.confusion import ConfusionView
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.gui.widgets.error_view import ErrorView
from tlstudio.gui.widgets.grid_view import Cell, GridView, RowsModel
from tlstudio.gui.widgets.run_picker import RunPicker
from tlstudio.gui.widgets.thumbnails import ThumbnailStore

if TYPE_CHECKING:
    from tlstudio.api.dataset import ImageSet

_CELL = 112
_SIDE = 192


class EvaluatePage(QWidget):
    """Choose a run; its report is computed in the background. ``report`` holds it (a `tlstudio.evaluation.report.Report`)."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.report: Any = None
        self._images: ImageSet | None = None
        self._chances: dict[int, float] = {}
        self._work: Task | None = None
        self._store: ThumbnailStore | None = None
        self._shown_run = ""
        self.picker = RunPicker(context)
        context.runs_changed.connect(self._runs_changed)
        self.picker.chosen.connect(self._evaluate)
        self.picker.listed.connect(self._listed)
        self.no_runs = EmptyState(
            "chart-bar",
            self.tr("Nothing to evaluate yet"),
            self.tr("Here you see how often a trained model is right, and which images it gets wrong."),
        )
        self.no_runs.add_button(self.tr("Train a model"), lambda: context.page_requested.emit("train"), "graduation-cap")
        self.idle = EmptyState(
            "chart-bar", self.tr("Not evaluated yet"), self.tr("The model is judged on images it has not learned from.")
        )
        self.idle.add_button(self.tr("Evaluate"), self._again, "chart-bar")
        self.error = ErrorView()
        self.error.add_button(self.tr("Try again"), self._again)
        self.stack = QStackedWidget()
        for widget in (self.no_runs, self.idle, self._make_busy(), self.error, self._make_report()):
            self.stack.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._header())
        layout.addWidget(separator())
        layout.addWidget(self.stack, 1)
        context.catalog_changed.connect(self._evaluate)

    def _header(self) -> QHBoxLayout:
        title = QLabel(self.tr("Evaluate"))
        title.setProperty("role", "title")
        self.summary = QLabel()
        self.summary.setProperty("role", "section")
        self.summary_note = QLabel()
        self.summary_note.setProperty("role", "muted")
        header = QHBoxLayout()
        header.setContentsMargins(16, 10, 16, 10)
        header.setSpacing(theme.GRID)
        header.addWidget(title)
        header.addSpacing(8)
        header.addWidget(self.picker)
        header.addSpacing(8)
        header.addWidget(self.summary)
        header.addWidget(self.summary_note, 1)
        return header

    def _make_busy(self) -> QWidget:
        self.busy = QWidget()
        text = QLabel(self.tr("Judging the model on images it has not learned from …"))
        text.setProperty("role", "section")
        self.progress = QProgressBar(textVisible=False)
        self.progress.setFixedWidth(30 * theme.GRID)
        self.progress.setAccessibleName(self.tr("Progress of the evaluation"))
        cancel = QPushButton(self.tr("Cancel"))
        cancel.clicked.connect(self._cancel)
        layout = QVBoxLayout(self.busy)
        layout.setSpacing(16)
        layout.addStretch(2)
        for widget in (text, self.progress, cancel):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        return self.busy

    def _make_report(self) -> QWidget:
        self.matrix = ConfusionView()
        self.matrix.cell_chosen.connect(self._cell_chosen)
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels(
            [self.tr("Class"), self.tr("Precision"), self.tr("Recall"), self.tr("F1"), self.tr("Images")]
        )
        for column, tip in enumerate(
            (
                "",
                self.tr("Of the images called so, the share that is"),
                self.tr("Of the images that are so, the share called so"),
                self.tr("Harmonic mean of precision and recall"),
                self.tr("Images of the class that were judged"),
            )
        ):
            self.table.horizontalHeaderItem(column).setToolTip(tip)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeaderItem(0).setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setAccessibleName(self.tr("Figures by class"))
        self.what = QLabel()
        self.what.setProperty("role", "section")
        self.what.setContentsMargins(16, 8, 16, 4)
        self.rows = RowsModel(self._describe, self)
        self.grid = GridView(self._paint_cell)
        self.grid.setModel(self.rows)
        self.grid.set_cell(_CELL + 2 * MARGIN, _CELL + 2 * CAPTION + 2 * MARGIN)
        self.grid.setAccessibleName(self.tr("Images of the chosen cell"))
        self.grid.shown.connect(self._want)
        top = QSplitter()
        top.setHandleWidth(1)
        top.addWidget(_padded(self.matrix))
        top.addWidget(self.table)
        top.setSizes([560, 440])
        bottom = QWidget()
        below = QVBoxLayout(bottom)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(0)
        below.addWidget(self.what)
        below.addWidget(self.grid, 1)
        self.report_page = splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.setHandleWidth(1)
        splitter.addWidget(top)
        splitter.addWidget(bottom)
        splitter.setSizes([400, 260])
        splitter.setChildrenCollapsible(False)
        return splitter

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():
            self.picker.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Read the list of runs whenever the page comes up."""
        super().showEvent(event)
        self.picker.refresh()

    # Work

    @Slot()
    def _listed(self) -> None:
        self._choose_view()
        self._evaluate()

    @Slot(object)
    def _evaluate(self, _changed: object = None) -> None:
        run, catalog = self.picker.run(), self._context.catalog
        if run is not None and self._shown_run == run.id:
            return
        self._cancel()
        if run is None or catalog is None or not self.isVisible() or self._context.run_active:
            return
        workspace = self._context.workspace

        def work(task: Task) -> tuple[Any, ImageSet]:
            from tlstudio.evaluation.report import evaluate_run

            def progress(done: int, total: int) -> bool:
                task.report((done, total))
                return not task.cancelled

            report = evaluate_run(run.folder, catalog, workspace, progress)
            return report, catalog.open_images(relocated(DataConfig.model_validate(run.config.get("data", {})), workspace))

        self.report, self._shown_run = None, run.id
        self.summary.clear()
        self.summary_note.clear()
        self.progress.setRange(0, 0)
        self._work = run_in_background(self, work, done=self._show, failed=self._failed, progress=self._advance)
        self._choose_view()

    def _advance(self, at: tuple[int, int]) -> None:
        self.progress.setRange(0, at[1])
        self.progress.setValue(at[0])

    def _show(self, result: tuple[Any, ImageSet]) -> None:
        self._work = None
        self.report, self._images = report, images = result
        splits = {"train": self.tr("training"), "val": self.tr("validation"), "test": self.tr("test")}
        count = int(report.confusion.sum())
        self.summary.setText(self.tr("{percent} % right").format(percent=f"{100 * report.accuracy:.1f}"))
        split = splits.get(report.split, report.split)
        self.summary_note.setText(self.tr("on {n} {split} images").format(n=f"{count:,}", split=split))
        self._chances = {error.index: error.probability for error in report.errors}
        self.matrix.show_counts(report.classes, report.confusion)
        self._fill_table(report)
        if self._store is not None:
            self._store.close()
            self._store.deleteLater()
        self._store = ThumbnailStore(lambda row, side: images.load(row, draft=side), self)
        self._store.ready.connect(self.grid.viewport().update)
        self._show_rows([error.index for error in report.errors], self._errors_title(len(report.errors)))
        self._choose_view()

    def _errors_title(self, n: int) -> str:
        if not n:
            return self.tr("No image is called wrong.")
        return self.tr("1 image called wrong") if n == 1 else self.tr("{n} images called wrong, worst first").format(n=f"{n:,}")

    def _failed(self, error: BaseException) -> None:
        self._work = None
        self.error.show_problem(error)
        self._choose_view()

    def _again(self) -> None:
        self._shown_run = ""
        self._evaluate()

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()
            self._work = None
            self._shown_run = ""
        self._choose_view()

    @Slot()
    def _choose_view(self) -> None:
        run = self.picker.run()
        self.picker.setVisible(run is not None)
        view: QWidget = self.idle
        if run is None:
            view = self.no_runs
        elif self._work is not None:
            view = self.busy
        elif self._shown_run == run.id:
            view = self.report_page if self.report is not None else self.error
        self.stack.setCurrentWidget(view)

    # Images

    def _cell_chosen(self, cell: tuple[int, int]) -> None:
        row, column = cell
        report = self.report
        mask = (report.labels == row) & (report.predicted == column)
        found = report.indices[mask].tolist()
        found.sort(key=lambda index: -self._chances.get(index, 0.0))
        self._show_rows(found, self.matrix.describe(row, column))

    def _show_rows(self, rows: list[int], title: str) -> None:
        self.what.setText(title)
        self.rows.set_rows(rows)
        self._want()

    def _want(self) -> None:
        if self._store is not None:
            self._store.want([self.rows.row_at(i) for i in self.grid.visible(1)], _SIDE)

    def _describe(self, row: int) -> str:
        return "" if self._images is None else f"{printable(self._images.keys[row])}: {self._verdict(row)}"

    def _verdict(self, row: int) -> str:
        report = self.report
        place = np.flatnonzero(report.indices == row)
        if not place.size:
            return ""
        name = printable(report.classes[int(report.predicted[place[0]])])
        chance = self._chances.get(row)
        if chance is None:
            return name
        true = printable(report.classes[int(report.labels[place[0]])])
        return self.tr("{true} → {name} {chance} %").format(true=true, name=name, chance=f"{100 * chance:.0f}")

    def _paint_cell(self, painter: QPainter, cell: Cell) -> None:
        draw_ground(painter, cell)
        inner = cell.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        picture = QRect(inner.left(), inner.top(), inner.width(), inner.height() - 2 * CAPTION)
        if self._store is not None:
            draw_thumbnail(painter, picture, self._store.get(cell.row, _SIDE))
        if self._images is None or self.report is None:
            return
        now = theme.colors()
        painter.setFont(theme.font("caption"))
        line = QRect(inner.left() + 2, picture.bottom() + 1, inner.width() - 4, CAPTION)
        label = int(self._images.labels[cell.row])
        wrong = cell.row in self._chances
        draw_text(painter, line, printable(self._images.keys[cell.row]).rpartition("/")[2], now.muted)
        verdict = self._verdict(cell.row) if wrong else printable(self._images.classes[label])
        draw_text(painter, line.translated(0, CAPTION - 2), verdict, now.error if wrong else now.text)

    def _fill_table(self, report: Any) -> None:
        self.table.setRowCount(len(report.per_class))
        for i, figures in enumerate(report.per_class):
            values = (figures.precision, figures.recall, figures.f1)
            texts = [printable(figures.name), *(f"{100 * value:.1f} %" for value in values), f"{figures.support:,}"]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(i, column, item)


def _padded(widget: QWidget) -> QWidget:
    outer = QWidget()
    layout = QVBoxLayout(outer)
    layout.setContentsMargins(16, 12, 16, 8)
    layout.addWidget(widget)
    return outer
