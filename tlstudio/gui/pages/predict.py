"""The Predict page: a trained model, some images, and for each the most likely classes as bars; to be saved as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QRect, Qt, Signal, Slot
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPainter, QShowEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.api.images import IMAGE_SUFFIXES, decode, printable
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.data_browser import separator
from tlstudio.gui.predicting import Prediction, find_images, predict_paths, write_csv
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import draw_ground, draw_text, draw_thumbnail
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.gui.widgets.grid_view import Cell, GridView, RowsModel
from tlstudio.gui.widgets.run_picker import RunPicker
from tlstudio.gui.widgets.thumbnails import ThumbnailStore
from tlstudio.gui.widgets.viewer import About, Viewer

_PICTURE = 104
_CELL = (360, _PICTURE + 24)
_SIDE = 192


class PredictPage(QWidget):
    """Choose a run, drop images. Predictions come in while the rest is computed."""

    finished = Signal()
    """All images have their prediction."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self.paths: list[Path] = []
        self.predictions: list[Prediction | None] = []
        self._model: Any = None
        self._model_run = ""
        self._work: Task | None = None
        self._search: Task | None = None
        self._store: ThumbnailStore | None = None
        self.setAcceptDrops(True)
        self.picker = RunPicker(context)
        context.runs_changed.connect(self._runs_changed)
        self.picker.chosen.connect(self._run_chosen)
        self.picker.listed.connect(self._choose_view)
        self.model = RowsModel(self._describe, self)
        self.grid = GridView(self._paint_cell)
        self.grid.setModel(self.model)
        self.grid.set_cell(*_CELL, stretch=True)
        self.grid.setAccessibleName(self.tr("Predictions"))
        self.grid.shown.connect(self._want)
        self.grid.opened.connect(self._show_large)
        self.viewer = Viewer(lambda i: decode(self.paths[i]), self._about, self._thumbnail)
        self.viewer.closed.connect(self._choose_view)
        self.no_runs = EmptyState(
            "crosshair", self.tr("No trained model yet"), self.tr("Here a trained model names what new images show.")
        )
        self.no_runs.add_button(self.tr("Train a model"), lambda: context.page_requested.emit("train"), "graduation-cap")
        self.no_images = EmptyState(
            "crosshair",
            self.tr("Drop images here"),
            self.tr("The model names what each one shows, with the five likeliest classes."),
        )
        self.no_images.add_button(self.tr("Add images…"), self.ask_images, "image")
        self.no_images.add_button(self.tr("Add a folder…"), self.ask_folder, "folder-open")
        self.stack = QStackedWidget()
        for widget in (self.no_runs, self.no_images, self.grid, self.viewer):
            self.stack.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._header())
        layout.addWidget(separator())
        layout.addWidget(self._make_progress())
        layout.addWidget(self.stack, 1)
        context.catalog_changed.connect(self._predict)
        self._choose_view()

    def _header(self) -> QHBoxLayout:
        title = QLabel(self.tr("Predict"))
        title.setProperty("role", "title")
        self.status = QLabel()
        self.status.setProperty("role", "muted")
        self._add = QPushButton(self.tr("Add images…"))
        theme.set_icon(self._add, "image")
        self._add.clicked.connect(self.ask_images)
        self._add_folder = QPushButton(self.tr("Add folder…"))
        theme.set_icon(self._add_folder, "folder-open")
        self._add_folder.clicked.connect(self.ask_folder)
        self._clear = QPushButton(self.tr("Clear"))
        self._clear.setToolTip(self.tr("Take all images off this page"))
        self._clear.clicked.connect(self.clear)
        self.save = QPushButton(self.tr("Save CSV…"))
        self.save.setToolTip(self.tr("A table with the path of each image and its likeliest classes"))
        theme.set_icon(self.save, "floppy-disk")
        self.save.clicked.connect(self.ask_save)
        header = QHBoxLayout()
        header.setContentsMargins(16, 10, 16, 10)
        header.setSpacing(theme.GRID)
        header.addWidget(title)
        header.addSpacing(8)
        header.addWidget(self.picker)
        header.addWidget(self.status, 1)
        for button in (self._add, self._add_folder, self._clear, self.save):
            header.addWidget(button)
        return header

    def _make_progress(self) -> QProgressBar:
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(self.tr("Progress of the predictions"))
        self.progress.hide()
        return self.progress

    # Images

    def add_paths(self, paths: Sequence[Path]) -> None:
        """Add images, and those in folders, and predict them."""
        if self._search is not None:
            self._search.cancel()
        self.status.setText(self.tr("Looking for images …"))
        self._search = run_in_background(
            self, lambda task: find_images(paths, lambda: task.cancelled), done=self._found, failed=self._failed
        )

    def ask_images(self) -> None:
        """Let the user choose images."""
        kinds = self.tr("Images ({suffixes})").format(suffixes=" ".join(f"*{suffix}" for suffix in sorted(IMAGE_SUFFIXES)))
        names, _ = QFileDialog.getOpenFileNames(self, self.tr("Add images"), "", kinds)
        if names:
            self.add_paths([Path(name) for name in names])

    def ask_folder(self) -> None:
        """Let the user choose a folder of images."""
        name = QFileDialog.getExistingDirectory(self, self.tr("Add a folder of images"))
        if name:
            self.add_paths([Path(name)])

    def clear(self) -> None:
        """Take all images off the page."""
        if self._search is not None:
            self._search.cancel()
        self._cancel()
        self.paths, self.predictions = [], []
        self._reset_store()
        self.status.clear()
        self._choose_view()

    def ask_save(self) -> None:
        """Let the user choose where the CSV goes."""
        name, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save predictions"), "predictions.csv", self.tr("CSV files (*.csv)")
        )
        if name:
            self.save_csv(Path(name))

    def save_csv(self, target: Path) -> None:
        """Write the predictions in the background."""
        paths, predictions = tuple(self.paths), tuple(self.predictions)
        run_in_background(
            self,
            lambda _task: write_csv(target, paths, predictions),
            done=lambda _none: self._context.message.emit(self.tr("Saved {path}").format(path=target)),
            failed=self._context.problem.emit,
        )

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files and folders may be dropped."""
        if self.picker.run() is not None and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Predict what was dropped."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.add_paths(paths)

    @Slot()
    def _runs_changed(self) -> None:
        if self.isVisible():
            self.picker.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Read the list of runs whenever the page comes up."""
        super().showEvent(event)
        self.picker.refresh()

    # Work

    def _found(self, found: list[Path]) -> None:
        self._search = None
        known = set(self.paths)
        self.paths += [path for path in found if path not in known]
        self.predictions += [None] * (len(self.paths) - len(self.predictions))
        self._reset_store()
        self._choose_view()
        self._predict()

    def _run_chosen(self, _run: object) -> None:
        self.predictions = [None] * len(self.paths)
        self._choose_view()
        self._predict()

    @Slot(object)
    def _predict(self, _catalog: object = None) -> None:
        self._cancel()
        run, catalog = self.picker.run(), self._context.catalog
        todo = [i for i, item in enumerate(self.predictions) if item is None]
        if run is None or catalog is None or not todo:
            return
        known = self._model if self._model_run == run.id else None
        paths = [self.paths[i] for i in todo]

        def work(task: Task) -> None:
            from tlstudio.engine.predict import load_model

            model = known or load_model(run.folder, catalog)
            task.report(("model", run.id, model))
            for start, part in predict_paths(model, paths, lambda: task.cancelled):
                task.report(("part", todo[start : start + len(part)], part))

        self.status.setText(self.tr("Loading the model …") if known is None else self.tr("Predicting …"))
        self.progress.setRange(0, 0 if known is None else len(paths))
        self.progress.show()
        self._work = run_in_background(self, work, done=self._done, failed=self._failed, progress=self._arrived)

    @Slot(object)
    def _arrived(self, message: tuple[str, Any, Any]) -> None:
        kind, first, second = message
        if kind == "model":
            self._model_run, self._model = first, second
            self.status.setText(self.tr("Predicting …"))
            self.progress.setRange(0, len(self.paths))
            return
        for i, prediction in zip(first, second, strict=True):
            self.predictions[i] = prediction
        self.progress.setValue(sum(item is not None for item in self.predictions))
        self.grid.viewport().update()

    def _done(self, _none: object) -> None:
        self._work = None
        self.progress.hide()
        bad = sum(bool(item and item.reason) for item in self.predictions)
        text = self.tr("1 image") if len(self.paths) == 1 else self.tr("{n} images").format(n=f"{len(self.paths):,}")
        self.status.setText(text + (self.tr(", {n} cannot be read").format(n=bad) if bad else ""))
        self.save.setEnabled(bool(self.paths))
        self.finished.emit()

    def _failed(self, error: BaseException) -> None:
        self._work = None
        self.progress.hide()
        self.status.clear()
        self._context.problem.emit(error)

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()
            self._work = None
        self.progress.hide()
        self.save.setEnabled(False)

    # Showing

    def _choose_view(self) -> None:
        has_run = self.picker.run() is not None
        for widget in (self._add, self._add_folder):
            widget.setVisible(has_run and bool(self.paths))
        for widget in (self._clear, self.save):
            widget.setVisible(bool(self.paths))
        self.picker.setVisible(has_run)
        view = self.grid if self.paths else self.no_images if has_run else self.no_runs
        self.stack.setCurrentWidget(view)
        if self.model.rowCount() != len(self.paths):
            self.model.set_rows(range(len(self.paths)))

    def _reset_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store.deleteLater()
        paths = tuple(self.paths)
        self._store = ThumbnailStore(lambda row, side: decode(paths[row], draft=side), self)
        self._store.ready.connect(self.grid.viewport().update)
        self.model.set_rows(range(len(paths)))
        self._want()

    def _want(self) -> None:
        if self._store is not None:
            self._store.want(self.grid.visible(1), _SIDE)

    def _show_large(self, position: int) -> None:
        self.stack.setCurrentWidget(self.viewer)
        self.viewer.show_image(position, len(self.paths))
        self.viewer.setFocus()

    def _thumbnail(self, row: int) -> object:
        return None if self._store is None else self._store.get(row, _SIDE)

    def _about(self, row: int) -> About:
        item = self.predictions[row]
        facts = tuple(f"{printable(name)} {100 * value:.1f} %" for name, value in item.top[:3]) if item else ()
        return About(printable(self.paths[row].name), facts)

    def _describe(self, row: int) -> str:
        about = self._about(row)
        return ", ".join((about.name, *about.facts))

    def _paint_cell(self, painter: QPainter, cell: Cell) -> None:
        draw_ground(painter, cell)
        inner = cell.rect.adjusted(12, 12, -16, -12)
        picture = QRect(inner.left(), inner.top(), _PICTURE, _PICTURE)
        draw_thumbnail(painter, picture, self._thumbnail(cell.row))
        text = QRect(picture.right() + 13, inner.top() - 2, inner.right() - picture.right() - 13, 18)
        now = theme.colors()
        painter.setFont(theme.font("caption"))
        draw_text(painter, text, printable(self.paths[cell.row].name), now.muted)
        item = self.predictions[cell.row]
        if item is None:
            draw_text(painter, text.translated(0, 20), self.tr("…"), now.muted)
        elif item.reason:
            draw_text(
                painter, text.translated(0, 20), self.tr("Cannot be read: {reason}").format(reason=item.reason), now.error
            )
        else:
            self._paint_bars(painter, text.translated(0, 20), item)

    def _paint_bars(self, painter: QPainter, line: QRect, item: Prediction) -> None:
        now = theme.colors()
        height, figures = 17, 60
        for i, (name, value) in enumerate(item.top):
            row = QRect(line.left(), line.top() + i * height, line.width(), height)
            painter.setFont(theme.font("body" if i == 0 else "caption"))
            bar = QRect(row.left(), row.bottom() - 3, row.width() - figures, 3)
            painter.fillRect(bar, now.raised)
            painter.fillRect(QRect(bar.left(), bar.top(), round(bar.width() * value), 3), now.accent if i == 0 else now.muted)
            draw_text(painter, row.adjusted(0, -2, -figures - 8, -4), printable(name), now.text if i == 0 else now.muted)
            figure = f"{100 * value:.1f} %"
            draw_text(
                painter, row.adjusted(0, -2, 0, 0), figure, now.text if i == 0 else now.muted, Qt.AlignmentFlag.AlignRight
            )
