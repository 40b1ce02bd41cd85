"""The runs page: all runs of the workspace in a table, and below it what is known of the chosen ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSize, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QFileDialog, QMessageBox, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.api.config import parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.gui.context import AppContext
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.run_details import RunDetails
from tlstudio.gui.pages.run_going_on import GoingOnBar, above
from tlstudio.gui.pages.run_group import group_of_chosen
from tlstudio.gui.pages.run_images import show_images_of
from tlstudio.gui.pages.runs_bar import RunsBar
from tlstudio.gui.pages.runs_edit import RunEdits
from tlstudio.gui.pages.runs_menu import make_menu
from tlstudio.gui.pages.runs_model import RunFilter, RunTable, title_of_run
from tlstudio.gui.pages.runs_reproduce import Reproducer
from tlstudio.gui.pages.runs_view import RunsView
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.comparison import open_comparison
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.runs.notes import RunNotes
from tlstudio.runs.store import RunInfo, list_runs
from tlstudio.runs.table import write_csv

_SETTLE_MS = 150


class RunsPage(QWidget):
    """A table that reads itself in the background whenever runs changed, and the actions on a run.

    Args:
        context: what the pages share.
        memory: keeps the choice of columns; ``None`` for nobody.
    """

    def __init__(self, context: AppContext, parent: QWidget | None = None, *, memory: Memory | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._wanted = ""
        self._reading: Task | None = None
        self._stale = True
        self.table = RunTable(self)
        self.proxy = RunFilter(self.table, self)
        self.view = RunsView(self.table, self.proxy, memory)
        self.bar = RunsBar()
        self.info = InfoBar()
        self.details = RunDetails()
        self.edits = RunEdits(lambda: context.workspace, self)
        self.reproducer = Reproducer(context, self)
        self.going_on = GoingOnBar(context)
        self.empty = self._make_empty()
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._show_chosen)
        self._connect()
        self._connect_bar()
        self._build()
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
        return self.view.chosen()

    def can(self, what: str, runs: Sequence[RunInfo] | None = None) -> bool:
        """Whether an action is possible now, with the chosen runs or with these.

        Args:
            what: predict, evaluate, reproduce, again, reveal, export, delete, notes, tags, group, compare, judge.
            runs: those that are chosen, where the caller knows them already.
        """
        runs = self.chosen() if runs is None else runs
        run = runs[0] if len(runs) == 1 else None
        if what in ("predict", "evaluate"):
            return run is not None and run.model_file.is_file()
        if what == "watch":
            return run is not None and run.status == "running" and not self._context.run_active
        if what == "reproduce":
            return run is not None and self.reproducer.may_start()
        if what == "judge":
            return len(runs) == 2 and all(info.model_file.is_file() for info in runs)
        if what == "delete":
            return bool(runs) and all(info.status != "running" for info in runs)
        if what == "group":
            names = {info.group for info in runs}
            return len(names) == 1 and "" not in names and sum(info.group in names for info in self.table.runs) > len(runs)
        if what == "export":
            return self.proxy.rowCount() > 0
        return len(runs) > 1 if what == "compare" else run is not None

    @Slot()
    def open_chosen(self) -> None:
        """Watch a run that is going in another process; use the model of any other."""
        if self.can("watch"):
            self._context.watch_requested.emit(self.chosen()[0])
        else:
            self.predict()

    @Slot()
    def predict(self) -> None:
        """Use the chosen run's model for predictions."""
        self._send_to("predict")

    @Slot()
    def evaluate(self) -> None:
        """Judge the chosen run's model."""
        self._send_to("evaluate")

    @Slot()
    def reproduce(self) -> None:
        """Train exactly as the chosen run did."""
        if self.can("reproduce"):
            self.reproducer.start(self.chosen()[0])

    @Slot()
    def train_again(self) -> None:
        """Put the chosen run's settings into the train page's form."""
        if not self.can("again"):
            return
        try:
            run = self.chosen()[0]
            config = parse_config(run.config)
        except ConfigError as error:
            self._context.problem.emit(error)
            return
        show_images_of(self._context, run)
        self._context.page_requested.emit("train")
        self._context.config_requested.emit(config)

    @Slot()
    def reveal(self) -> None:
        """Open the chosen run's folder in the file manager."""
        if self.can("reveal"):
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.chosen()[0].folder)))

    @Slot()
    def choose_group(self) -> None:
        """Choose all runs of the group that the chosen ones belong to."""
        if self.can("group"):
            name = self.chosen()[0].group
            self.bar.clear()
            self.view.choose([run.id for run in self.table.runs if run.group == name])

    @Slot()
    def compare(self) -> None:
        """Show in what the chosen runs differ."""
        if self.can("compare"):
            self.details.show_differences()

    @Slot()
    def judge(self) -> None:
        """Say which of the two chosen runs' models is better on the same images; the older is A."""
        if self.can("judge"):
            first, second = sorted(self.chosen(), key=lambda run: run.created)
            open_comparison(self._context, first, second, self)

    @Slot()
    def ask_export(self) -> None:
        """Ask for a file, then write the table to it: the chosen runs if several are, else all that are shown."""
        runs = self.chosen() if len(self.chosen()) > 1 else self.view.shown()
        text, _ = QFileDialog.getSaveFileName(self, self.tr("Save {n} runs").format(n=len(runs)), "runs.csv", "CSV (*.csv)")
        if text:
            self.export(Path(text), runs)

    def export(self, path: Path, runs: list[RunInfo]) -> None:
        """Write the visible columns of these runs as CSV."""
        try:
            write_csv(path, runs, [*self.view.columns.visible(), "id"])
        except OSError as error:
            self._context.problem.emit(error)
            return
        self._context.message.emit(self.tr("{n} runs are in {path}").format(n=len(runs), path=path))

    @Slot()
    def ask_delete(self) -> None:
        """Ask where several are chosen, then move the chosen runs to the trash."""
        runs = self.chosen()
        if not self.can("delete"):
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
            self.edits.delete(runs)

    @Slot()
    def undo(self) -> None:
        """Take the last deletion, or the last change of notes and tags, back."""
        self.details.notes.flush()
        if not self.edits.undo():
            self._context.message.emit(self.tr("Nothing to undo."))

    @Slot()
    def redo(self) -> None:
        """Do it again."""
        self.edits.redo()

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
        self.bar.set_tags(tag for run in runs for tag in run.tags)
        self._stack.setCurrentWidget(self._work if runs or self.info.isVisibleTo(self) else self.empty)
        if not self._choose_wanted():
            self.view.choose(kept)
            if not self.chosen() and self.proxy.rowCount():
                place = max(0, min(self.view.currentIndex().row(), self.proxy.rowCount() - 1))
                self.view.choose([self.view.shown()[place].id])  # what took the place of one that is gone
        self._settle.start()
        if self._stale:
            self.refresh()

    def _failed(self, error: BaseException) -> None:
        self._reading = None
        self._context.problem.emit(error)

    def _choose_wanted(self) -> bool:
        if self._wanted and self.table.row_of(self._wanted) >= 0:
            self.bar.clear()
            self.view.choose([self._wanted])
            self._wanted = ""
            return True
        return False

    @Slot()
    def _show_chosen(self) -> None:
        self.details.show_runs(self.chosen(), group_of_chosen(self.chosen(), self.table.runs))
        self.going_on.show_runs(self.chosen())
        self._update_buttons()

    @Slot()
    def _selection_changed(self) -> None:
        self._settle.start()

    # Edits

    @Slot(object, object)
    def _said(self, run_id: str, notes: RunNotes) -> None:
        row = self.table.row_of(run_id)
        if row >= 0:
            self.table.set_run(row, replace(self.table.runs[row], notes=notes.text, tags=notes.tags))
            self.bar.set_tags(tag for run in self.table.runs for tag in run.tags)
            self._settle.start()

    @Slot(object)
    def _deleted(self, runs: tuple[RunInfo, ...]) -> None:
        text = self.tr("“{name}” is in the trash.").format(name=title_of_run(runs[0]))
        if len(runs) > 1:
            text = self.tr("{n} runs are in the trash.").format(n=len(runs))
        self.info.show_lines([text], self.tr("Undo"), self.undo)
        self._context.runs_changed.emit()

    @Slot(object)
    def _restored(self, runs: tuple[RunInfo, ...]) -> None:
        self.info.hide()
        self._wanted = runs[0].id
        self._context.runs_changed.emit()

    # Actions

    def _send_to(self, page: str) -> None:
        if self.can(page):
            run = self.chosen()[0]
            self._context.page_requested.emit(page)
            self._context.run_requested.emit(run.id)

    @Slot()
    def _update_buttons(self) -> None:
        runs = self.chosen()
        for name in ("predict", "evaluate", "reproduce", "again", "reveal", "export", "delete"):
            getattr(self.bar, name).setEnabled(self.can(name, runs))
        for name, action in self._menu.items():
            action.setEnabled(self.can(name, runs))

    # Building

    def _connect(self) -> None:
        context, view = self._context, self.view
        context.runs_changed.connect(self.refresh)
        context.run_requested.connect(self.show_run)
        context.run_active_changed.connect(lambda _active: self._update_buttons())
        context.catalog_changed.connect(lambda _catalog: self._update_buttons())
        self.details.problem.connect(context.problem)
        self.details.looks_changed.connect(self.table.set_looks)
        self.details.group_wanted.connect(self.choose_group)
        self.details.run_wanted.connect(self.show_run)
        self.details.notes.written.connect(self.edits.say)
        self.table.written.connect(self.edits.say)
        self.edits.said.connect(self._said)
        self.edits.deleted.connect(self._deleted)
        self.edits.restored.connect(self._restored)
        self.edits.problem.connect(context.problem)
        self.reproducer.changed.connect(self._update_buttons)
        view.chosen_changed.connect(self._selection_changed)
        view.opened.connect(self.open_chosen)
        view.delete_wanted.connect(self.ask_delete)
        self._menu = make_menu(self)
        find = QShortcut(QKeySequence.StandardKey.Find, self, self.bar.search.setFocus)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def _connect_bar(self) -> None:
        bar = self.bar
        bar.search.textChanged.connect(self.proxy.set_text)
        bar.status_changed.connect(self.proxy.set_status)
        bar.tag_changed.connect(self.proxy.set_tag)
        self.view.columns.fill(bar.columns_menu)  # an empty one would not open
        bar.columns_menu.aboutToShow.connect(lambda: self.view.columns.fill(bar.columns_menu))
        for button, run in (
            (bar.predict, self.predict), (bar.evaluate, self.evaluate), (bar.reproduce, self.reproduce),
            (bar.again, self.train_again), (bar.reveal, self.reveal), (bar.export, self.ask_export),
            (bar.delete, self.ask_delete),
        ):  # fmt: skip
            button.clicked.connect(run)

    def _make_empty(self) -> EmptyState:
        empty = EmptyState(
            "list-bullets",
            self.tr("No runs yet"),
            self.tr("Every training leaves a run here: its curves, its settings and its model."),
        )
        empty.add_button(self.tr("Train a model"), lambda: self._context.page_requested.emit("train"), "graduation-cap")
        return empty

    def _build(self) -> None:
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
        for widget in (self.bar, self.info):
            column.addWidget(widget)
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
