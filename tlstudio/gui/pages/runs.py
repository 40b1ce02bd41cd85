"""The runs page: all runs of the workspace in a table, and below it what is known of the chosen ones."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QSize, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.config import DataConfig, parse_config
from tlstudio.api.errors import ConfigError, UserError
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.run_details import RunDetails
from tlstudio.gui.pages.run_going_on import GoingOnBar, above
from tlstudio.gui.pages.runs_model import RunFilter, RunTable
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.runs.store import RunInfo, delete_run, list_runs

_SETTLE_MS = 150
_NEWEST_COLUMN = 9


class RunsPage(QWidget):
    """A table that reads itself in the background whenever runs changed, and the actions on a run."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._wanted = ""
        self._reading: Task | None = None
        self._stale = True
        self.table = RunTable(self)
        self.proxy = RunFilter(self.table, self)
        self.view = QTableView()
        self.details = RunDetails()
        self.going_on = GoingOnBar(context)
        self.filter = QLineEdit()
        self.empty = self._make_empty()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._show_chosen)
        self._make_view()
        self._make_buttons()
        self._build()
        context.runs_changed.connect(self.refresh)
        context.run_requested.connect(self.show_run)
        self.details.problem.connect(context.problem)
        self._update_buttons()

    # What others may ask

    @Slot()
    def refresh(self) -> None:
        """Read the list of runs again, in the background; at once if the page is in sight."""
        self._stale = True
        if not self.isVisible() or self._reading is not None:
            return
        self._stale = False
        workspace = self._context.workspace
        self._reading = run_in_background(self, lambda _task: list_runs(workspace), done=self._arrived, failed=self._failed)

    @Slot(object)
    def show_run(self, run_id: str) -> None:
        """Choose a run, as soon as it is in the table."""
        self._wanted = run_id
        self._choose_wanted()
        self.refresh()

    def chosen(self) -> list[RunInfo]:
        """The chosen runs, in the order of the table."""
        rows = sorted(self.view.selectionModel().selectedRows(), key=lambda index: index.row())
        return [self.table.run_at(self.proxy.mapToSource(index)) for index in rows]

    def predict(self) -> None:
        """Use the chosen run's model for predictions."""
        self._send_to("predict")

    def evaluate(self) -> None:
        """Judge the chosen run's model."""
        self._send_to("evaluate")

    def train_again(self) -> None:
        """Put the chosen run's settings into the train page's form."""
        run = self._single()
        if run is None:
            return
        try:
            config = parse_config(run.config)
        except ConfigError as error:
            self._context.problem.emit(error)
            return
        self._context.page_requested.emit("train")
        if self._context.data is None or self._context.data.config.path != config.data.path:
            self._context.data_requested.emit(
                DataConfig(path=config.data.path, dataset=config.data.dataset, options=config.data.options)
            )
        self._context.config_requested.emit(config)

    def reveal(self) -> None:
        """Open the chosen run's folder in the file manager."""
        run = self._single()
        if run is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(run.folder)))

    def ask_delete(self) -> None:
        """Ask, then move the chosen runs to the trash."""
        runs = self.chosen()
        if not runs:
            return
        names = "\n".join(run.folder.name for run in runs[:8]) + ("\n…" if len(runs) > 8 else "")
        question = self.tr("Delete this run?") if len(runs) == 1 else self.tr("Delete {n} runs?").format(n=len(runs))
        answer = QMessageBox.question(
            self,
            question,
            self.tr("{names}\n\nIt moves to the folder “trash” of the workspace, models included.").format(names=names),
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.delete(runs)

    def delete(self, runs: list[RunInfo]) -> None:
        """Move runs to the trash."""
        for run in runs:
            try:
                delete_run(self._context.workspace, run)
            except (UserError, OSError) as error:
                self._context.problem.emit(error)
        self._context.runs_changed.emit()

    def showEvent(self, event: QShowEvent) -> None:
        """Read what changed while out of sight."""
        super().showEvent(event)
        if self._stale:
            self.refresh()

    # Reading

    def _arrived(self, runs: list[RunInfo]) -> None:
        self._reading = None
        kept = [run.id for run in self.chosen()]
        self.table.set_runs(runs)
        self._stack.setCurrentWidget(self._work if runs else self.empty)
        if not self._choose_wanted():
            self._choose(kept or [run.id for run in runs[:1]])
        self._settle.start()
        if self._stale:
            self.refresh()

    def _failed(self, error: BaseException) -> None:
        self._reading = None
        self._context.problem.emit(error)

    def _choose_wanted(self) -> bool:
        if self._wanted and self.table.row_of(self._wanted) >= 0:
            if self.filter.text():
                self.filter.clear()
            self._choose([self._wanted])
            self._wanted = ""
            return True
        return False

    def _choose(self, ids: list[str]) -> None:
        selection = self.view.selectionModel()
        flags = QItemSelectionModel.SelectionFlag
        rows = [row for run_id in ids if (row := self.table.row_of(run_id)) >= 0]
        indexes = [index for row in rows if (index := self.proxy.mapFromSource(self.table.index(row, 0))).isValid()]
        if [run.id for run in self.chosen()] == ids and indexes:
            return
        selection.clearSelection()
        for index in indexes:
            selection.select(index, flags.Select | flags.Rows)
        if indexes:
            selection.setCurrentIndex(indexes[0], flags.NoUpdate)
            self.view.scrollTo(indexes[0])

    @Slot()
    def _show_chosen(self) -> None:
        self.details.show_runs(self.chosen())
        self.going_on.show_runs(self.chosen())
        self._update_buttons()

    @Slot()
    def _selection_changed(self) -> None:
        self._update_buttons()
        self._settle.start()

    # Actions

    def _single(self) -> RunInfo | None:
        runs = self.chosen()
        return runs[0] if len(runs) == 1 else None

    def _send_to(self, page: str) -> None:
        run = self._single()
        if run is not None:
            self._context.page_requested.emit(page)
            self._context.run_requested.emit(run.id)

    def _update_buttons(self) -> None:
        run, some = self._single(), bool(self.view.selectionModel().selectedRows())
        with_model = run is not None and run.model_file.is_file()
        self._predict.setEnabled(with_model)
        self._evaluate.setEnabled(with_model)
        self._again.setEnabled(run is not None)
        self._reveal.setEnabled(run is not None)
        self._delete.setEnabled(some and all(info.status != "running" for info in self.chosen()))

    # Building

    def _make_view(self) -> None:
        view = self.view
        view.setModel(self.proxy)
        view.setAccessibleName(self.tr("Runs"))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        view.setShowGrid(False)
        view.setStyleSheet("QTableView::item { padding: 0 5px; }")  # in line with the headings
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.setSortingEnabled(True)
        view.sortByColumn(_NEWEST_COLUMN, Qt.SortOrder.DescendingOrder)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(view.fontMetrics().height() + 10)
        header = view.horizontalHeader()
        header.setHighlightSections(False)
        header.setStretchLastSection(False)
        for column, width in enumerate((240, 120, 160, 110, 100, 80, 100, 80, 80, 140)):
            header.resizeSection(column, width)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(56)
        view.selectionModel().selectionChanged.connect(lambda _on, _off: self._selection_changed())
        view.doubleClicked.connect(self._double_clicked)
        QShortcut(QKeySequence(Qt.Key.Key_Delete), view, self.ask_delete, context=Qt.ShortcutContext.WidgetShortcut)

    @Slot(QModelIndex)
    def _double_clicked(self, _index: QModelIndex) -> None:
        if self._predict.isEnabled():
            self.predict()

    def _make_buttons(self) -> None:
        self._predict = self._button(self.tr("Predict"), "image", self.tr("Use this run's model on other images"), self.predict)
        self._evaluate = self._button(self.tr("Evaluate"), "chart-bar", self.tr("Look at this model's errors"), self.evaluate)
        self._again = self._button(
            self.tr("Train again …"), "repeat", self.tr("Put these settings into the train page, to change or to repeat"),
            self.train_again,
        )  # fmt: skip
        self._reveal = self._button(self.tr("Reveal"), "folder-open", self.tr("Open the run's folder"), self.reveal)
        self._delete = self._button(
            self.tr("Delete …"), "trash", self.tr("Move the chosen runs to the trash (Del)"), self.ask_delete
        )
        theme.set_role(self._delete, "danger")
        self.filter.setPlaceholderText(self.tr("Search"))
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName(self.tr("Search the runs"))
        self.filter.setMaximumWidth(240)
        self.filter.textChanged.connect(self.proxy.set_text)

    def _button(self, text: str, icon: str, tip: str, run: object) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        theme.set_icon(button, icon)
        button.clicked.connect(lambda: run())
        return button

    def _make_empty(self) -> EmptyState:
        empty = EmptyState(
            "list-bullets",
            self.tr("No runs yet"),
            self.tr("Every training leaves a run here: its curves, its settings and its model."),
        )
        empty.add_button(self.tr("Train a model"), lambda: self._context.page_requested.emit("train"), "graduation-cap")
        return empty

    def _build(self) -> None:
        title = QLabel(self.tr("Runs"))
        title.setProperty("role", "title")
        bar = QHBoxLayout()
        bar.setContentsMargins(2 * theme.GRID, 12, 2 * theme.GRID, theme.GRID)
        bar.setSpacing(theme.GRID)
        bar.addWidget(title)
        bar.addSpacing(2 * theme.GRID)
        bar.addWidget(self.filter, 1)
        bar.addStretch(1)
        for button in (self._predict, self._evaluate, self._again, self._reveal, self._delete):
            bar.addWidget(button)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.view)
        splitter.addWidget(above(self.details, self.going_on))
        splitter.setStretchFactor(0, 2)
        splitter.setStretchFactor(1, 3)
        splitter.setChildrenCollapsible(False)
        splitter.setSizes([240, 420])
        self._work = QWidget()
        column = QVBoxLayout(self._work)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(bar)
        column.addWidget(splitter, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._work)
        self._stack.addWidget(self.empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)

    def minimumSizeHint(self) -> QSize:
        """Small windows scroll the table."""
        return QSize(640, 400)
