"""The window: rail, pages, menus, status bar; opening by drop, and closing without losing a run. Composes, decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QMenu, QStackedWidget, QVBoxLayout, QWidget

from tlstudio import __version__
from tlstudio.gui import closing, theme
from tlstudio.gui.actions import ActionSet
from tlstudio.gui.commands import commands
from tlstudio.gui.context import AppContext
from tlstudio.gui.diagnostics import Diagnostics
from tlstudio.gui.memory import Memory, title_of
from tlstudio.gui.offer import Offer
from tlstudio.gui.pages.data import DataPage
from tlstudio.gui.rail import Rail
from tlstudio.gui.status import StatusBar

if TYPE_CHECKING:
    from tlstudio.api.config import DataConfig

PAGES = ("data", "train", "runs", "evaluate", "predict", "plugins", "settings")


class MainWindow(QMainWindow):
    """Pages are made when they are first shown, so that the window itself comes up at once."""

    closed = Signal()

    def __init__(self, context: AppContext, memory: Memory) -> None:
        super().__init__()
        self.context, self.memory = context, memory
        self._pages: dict[str, QWidget] = {}
        self._help: Any = None
        self._errors: Any = None
        self._device = ""
        self.setWindowTitle(self.tr("Transfer Learning Studio"))
        self.setMinimumSize(960, 600)
        self.setAcceptDrops(True)
        self.rail = Rail(self._rail_entries())
        self.rail.chosen.connect(self.show_page)
        self.stack = QStackedWidget()
        central = QWidget()
        layout = QHBoxLayout(central)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        self.offer = Offer(context, memory, self)
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addWidget(self.offer.bar)
        column.addWidget(self.stack, 1)
        layout.addLayout(column, 1)
        self.setCentralWidget(central)
        self.status = StatusBar(context, self)
        self.setStatusBar(self.status)
        self.closer = closing.Closer(self)
        self.diagnostics = Diagnostics(context, self)
        self.actions_by_id = ActionSet(self, commands(self))
        self._fill_menus()
        self._drop = self._make_drop_hint()
        self._connect()
        self.show_page("data")
        self._restore()

    # Pages

    @property
    def data_page(self) -> DataPage:
        """The Data page; it is always there."""
        page = self.page("data")
        assert isinstance(page, DataPage)
        return page

    @property
    def train_page(self) -> Any:
        """The Train page, or ``None`` while nobody has looked at it."""
        return self._pages.get("train")

    @property
    def errors(self) -> Any:
        """The dialog of problems; made for the first one."""
        from tlstudio.gui.widgets.error_dialog import ErrorDialog

        if self._errors is None:
            self._errors = ErrorDialog(self)
        return self._errors

    def page(self, name: str) -> QWidget:
        """A page by name, made where it is not there yet."""
        if name not in self._pages:
            page = _make_page(name, self)
            self._pages[name] = page
            self.stack.addWidget(page)
            if name == "settings" and self._device:
                page.set_device(self._device)
        return self._pages[name]

    @Slot(object)
    def show_page(self, name: str) -> None:
        """Show a page."""
        if name in PAGES:
            self.stack.setCurrentWidget(self.page(name))
            self.rail.show_page(name)
            self.actions_by_id.refresh()

    def current_page(self) -> str:
        """Name of the page shown."""
        widget = self.stack.currentWidget()
        return next((name for name, page in self._pages.items() if page is widget), "")

    def open_path(self, path: Path) -> None:
        """Open a folder, an archive or a CSV file and show it."""
        self.show_page("data")
        self.data_page.open_path(path)

    @Slot(object)
    def open_config(self, config: DataConfig) -> None:
        """Open what a configuration names and show it."""
        self.show_page("data")
        self.data_page.open_config(config)

    def start_training(self) -> None:
        """Start a run with the settings of the Train page."""
        self.show_page("train")
        self.page("train").start()

    def stop_training(self) -> None:
        """Stop the run and keep its model."""
        if self.train_page is not None:
            self.train_page.stop(keep=True)

    def show_help(self, topic: str = "") -> None:
        """Open the help at a topic."""
        from tlstudio.gui.pages.help import HelpWindow

        if self._help is None:
            self._help = HelpWindow(self.actions_by_id.records, self)
        self._help.show_topic(topic)

    def show_palette(self) -> None:
        """Open the command palette."""
        from tlstudio.gui.widgets.palette import CommandPalette

        CommandPalette(self.actions_by_id.records, self).open_at_top()

    def set_device(self, text: str) -> None:
        """Tell what training computes on."""
        self._device = self.diagnostics.device = text
        self.status.set_device(text)
        if "settings" in self._pages:
            self._pages["settings"].set_device(text)

    @Slot()
    def ask_workspace(self) -> None:
        """Let the user choose another workspace."""
        from PySide6.QtWidgets import QFileDialog

        name = QFileDialog.getExistingDirectory(self, self.tr("Open a workspace"), str(self.context.workspace))
        if name:
            self.set_workspace(Path(name))

    def set_workspace(self, folder: Path) -> None:
        """Work there from now on, also after the next start: with its runs, and its edits and splits of the opened images."""
        if self.context.run_active:
            self.context.message.emit(self.tr("The workspace cannot be changed while a run is going."))
        elif folder != self.context.workspace:
            self.memory.workspace = folder
            self.context.workspace = folder
            self.context.runs_changed.emit()
            self.data_page.open_again()
            self.offer.look()

    def without_workspace(self) -> None:
        """The workspace of the last start is gone: say so, and work in the default one. It is looked for at the next start."""
        from tlstudio import paths
        from tlstudio.api.errors import UserError

        gone, self.context.workspace = self.context.workspace, paths.workspace()
        self.context.runs_changed.emit()
        self.context.problem.emit(UserError(
            self.tr("The workspace {folder} is not there.").format(folder=gone),
            detail=self.tr("Until you open another one, runs and edits are kept in {folder}.").format(folder=paths.workspace()),
            hint=self.tr("Connect its drive and start again, or say where it is now: File > Open workspace."),
        ))  # fmt: skip

    # Drop anywhere

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """A folder or a file may be dropped."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()
            self._drop.setGeometry(self.stack.geometry().translated(0, self.centralWidget().y()))
            self._drop.show()
            self._drop.raise_()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Not here, then."""
        self._drop.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open it."""
        self._drop.hide()
        event.acceptProposedAction()
        self.open_path(Path(event.mimeData().urls()[0].toLocalFile()))

    # Closing

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask while a run is going; else say good-bye."""
        if not self.closer.may_close():
            event.ignore()
            return
        self.memory.set_state("window", self.saveGeometry())
        self.data_page.shut_down()
        event.accept()
        self.closed.emit()

    # Parts

    def _rail_entries(self) -> list[tuple[str, str, str, str]]:
        return [
            ("data", self.tr("Data"), "squares-four", self.tr("Open and look at images (Ctrl+1)")),
            ("train", self.tr("Train"), "graduation-cap", self.tr("Train a model (Ctrl+2)")),
            ("runs", self.tr("Runs"), "list-bullets", self.tr("Earlier runs and their curves (Ctrl+3)")),
            ("evaluate", self.tr("Evaluate"), "chart-bar", self.tr("How good a model is (Ctrl+4)")),
            ("predict", self.tr("Predict"), "crosshair", self.tr("Use a model on new images (Ctrl+5)")),
            ("", "", "", ""),
            ("plugins", self.tr("Plugins"), "puzzle-piece", self.tr("What plugins add (Ctrl+6)")),
            ("settings", self.tr("Settings"), "gear", self.tr("Look, folders, machine (Ctrl+7)")),
        ]

    def _fill_menus(self) -> None:
        titles = (
            ("file.", self.tr("&File")), ("edit.", self.tr("&Edit")), ("view.", self.tr("&View")), ("run.", self.tr("&Run")),
            ("help.", self.tr("&Help")),
        )  # fmt: skip
        for prefix, title in titles:
            menu = self.menuBar().addMenu(title)
            self.actions_by_id.fill(menu, prefix)
            if prefix == "file.":
                self._recent = QMenu(self.tr("Open &recent"), menu)
                self._recent.aboutToShow.connect(self._fill_recent)
                menu.insertMenu(self.actions_by_id["file.sample"], self._recent)

    def _fill_recent(self) -> None:
        self._recent.clear()
        for recent in self.memory.recent():
            action = self._recent.addAction(title_of(recent))
            action.setToolTip(recent.path or "")
            action.setStatusTip(recent.path or "")
            action.triggered.connect(lambda _checked=False, recent=recent: self.open_config(recent.config()))
        if self._recent.isEmpty():
            self._recent.addAction(self.tr("Nothing yet")).setEnabled(False)
            return
        self._recent.addSeparator()
        self._recent.addAction(self.tr("Clear list"), self.memory.clear_recent)

    def _make_drop_hint(self) -> QLabel:
        hint = QLabel(self.tr("Drop to open"), self, alignment=Qt.AlignmentFlag.AlignCenter)
        hint.setObjectName("dropHint")
        hint.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        hint.hide()
        return hint

    def _connect(self) -> None:
        context = self.context
        context.page_requested.connect(self.show_page)
        context.data_requested.connect(self.open_config)
        context.problem.connect(self._show_problem)
        for signal in (context.run_active_changed, context.data_changed, context.catalog_changed):
            signal.connect(self._refresh_actions)
        context.data_changed.connect(self._name_window)

    @Slot(object)
    def _refresh_actions(self, _changed: object) -> None:
        self.actions_by_id.refresh()

    @Slot(object)
    def _show_problem(self, error: object) -> None:
        self.errors.show_problem(error)

    @Slot(object)
    def _name_window(self, opened: Any) -> None:
        self.setWindowTitle(f"{title_of(opened.config)} – {self.tr('Transfer Learning Studio')}")

    def _restore(self) -> None:
        state = self.memory.state("window")
        if state is None or not self.restoreGeometry(state):
            screen = self.screen().availableGeometry()
            self.resize(min(1280, screen.width()), min(800, screen.height()))

    def about(self) -> None:
        """Say what this is."""
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(self)
        box.setWindowTitle(self.tr("About"))
        box.setIconPixmap(theme.pixmap("stack", 48, theme.colors().accent))
        box.setText(self.tr("Transfer Learning Studio {version}").format(version=__version__))
        box.setInformativeText(
            self.tr("Fine-tunes pretrained vision models on your own images. Everything stays on this machine.")
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()


def _make_page(name: str, window: MainWindow) -> QWidget:
    """Import and make a page; the imports are here because some take long (plots)."""
    context, memory = window.context, window.memory
    if name == "data":
        return DataPage(context, memory)
    if name == "train":
        from tlstudio.gui.pages.train import TrainPage

        return TrainPage(context, window.stack)  # a part made within its parent is not styled anew when it is put there
    if name == "runs":
        from tlstudio.gui.pages.runs import RunsPage

        return RunsPage(context, memory=memory)
    if name == "evaluate":
        from tlstudio.gui.pages.evaluate import EvaluatePage

        return EvaluatePage(context)
    if name == "predict":
        from tlstudio.gui.pages.predict import PredictPage

        return PredictPage(context)
    if name == "plugins":
        from tlstudio.gui.pages.plugins import PluginsPage

        return PluginsPage(context)
    from tlstudio.gui.pages.settings import SettingsPage

    page = SettingsPage(context, memory)
    page.workspace_wanted.connect(window.ask_workspace)
    return page
