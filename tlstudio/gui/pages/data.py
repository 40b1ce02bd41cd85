"""The Data page: opens images and shows them. Until then it needs neither numpy nor pydantic, since it is painted first."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, OpenedData
from tlstudio.gui.memory import Memory, title_of
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.empty_state import EmptyState

if TYPE_CHECKING:
    from tlstudio.api.config import DataConfig
    from tlstudio.gui.opening import Opened
    from tlstudio.gui.pages.data_view import DataView
    from tlstudio.gui.pages.moved_images import MovedImages
    from tlstudio.gui.widgets.error_view import ErrorView
    from tlstudio.registry import Catalog

_ARCHIVES = "*.zip *.tar *.tar.gz *.tgz *.tar.bz2 *.tar.xz"
_LABELS = "*.csv *.tsv *.json *.jsonl *.yaml *.yml"
_BURST_MS = 500
_TELL_S = 0.1


class DataPage(QWidget):
    """Shows one of: nothing opened yet, opening, what went wrong, the opened images."""

    def __init__(self, context: AppContext, memory: Memory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context, self._memory = context, memory
        self._waiting: Callable[[], DataConfig] | None = None
        self._opening: Task | None = None
        self._view: DataView | None = None
        self._tell = QTimer(self, singleShot=True, interval=_BURST_MS)
        self._tell.timeout.connect(self._tell_others)
        self._behind = False
        self._wanted: DataConfig | None = None
        self.moved: MovedImages | None = None
        """Finds images that are gone from their place; made when first needed."""
        self._undrawn: Opened | None = None
        self.opened: Opened | None = None
        self._error: ErrorView | None = None
        self.empty = self._make_empty()
        self.loading = self._make_loading()
        self.stack = QStackedWidget()
        for widget in (self.empty, self.loading):
            self.stack.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        context.catalog_changed.connect(self._catalog_arrived)

    @property
    def view(self) -> DataView:
        """The opened images; made when first needed."""
        if self._view is None:
            from tlstudio.gui.pages.data_view import DataView

            self._view = DataView(self._context, self._memory, self.ask_folder, self.ask_file, self.open_sample)
            self._view.edited.connect(self._edited)
            self.stack.addWidget(self._view)
        self.draw()
        return self._view

    @property
    def error(self) -> ErrorView:
        """What went wrong; made when first needed."""
        if self._error is None:
            from tlstudio.gui.widgets.error_view import ErrorView

            self._error = ErrorView()
            self._error.add_button(self.tr("Open something else…"), self.ask_folder)
            self._find = self._error.add_button(self.tr("Find it …"), self._find_moved)
            self._back = self._error.add_button(self.tr("Back"), self.show_grid)
            self.stack.addWidget(self._error)
        return self._error

    # Opening

    def open_path(self, path: Path) -> None:
        """Open a folder, an archive or a file of labels."""
        self.open_config(_config_of(path))

    def open_config(self, config: DataConfig) -> None:
        """Open what a configuration names; waits for the plugins where they are not loaded yet."""
        self._wanted = config
        self._show_opening(title_of(config))
        catalog = self._context.catalog
        if catalog is None:
            self._waiting = lambda: config
            return
        self._opening = run_in_background(
            self,
            lambda task: _open(task, catalog, config, self._context.workspace),
            done=self._show,
            failed=self._open_failed,
            progress=self._show_progress,
        )

    def open_again(self) -> None:
        """Open what is open, or about to be, as it stands in the workspace now: with the edits and splits that lie there."""
        coming = self._opening is not None and self._opening.running and not self._opening.cancelled
        config = self._wanted if coming else self.opened.config if self.opened is not None else None
        if config is not None:
            from tlstudio.api.config import SPLIT_FIELDS, DataConfig

            usual = DataConfig()
            self.open_config(config.model_copy(update={name: getattr(usual, name) for name in SPLIT_FIELDS}))

    def open_when_ready(self, path: Path | None, *, behind: bool = False) -> None:
        """Open a path, or the sample, once the plugins are loaded, unless the user cancels or opens something else by then.

        Args:
            path: folder, archive or file; ``None`` for the sample.
            behind: another page comes to the front then; the images are drawn when somebody looks at them.
        """
        self._behind = behind
        self._show_opening(path.name if path is not None else self.tr("the sample"))
        self._waiting = lambda: _config_of(path)

    def _show_opening(self, name: str) -> None:
        self._loading_text.setText(self.tr("Opening {name} …").format(name=name))
        self._loading_bar.setRange(0, 0)
        self._loading_count.setText(" ")
        self.stack.setCurrentWidget(self.loading)
        if self._opening is not None:
            self._opening.cancel()

    def ask_folder(self) -> None:
        """Let the user choose a folder."""
        from PySide6.QtWidgets import QFileDialog

        name = QFileDialog.getExistingDirectory(self, self.tr("Open a folder of images"), self._start_folder())
        if name:
            self.open_path(Path(name))

    def ask_file(self) -> None:
        """Let the user choose a file of labels or an archive."""
        from PySide6.QtWidgets import QFileDialog

        kinds = self.tr("Data ({labels} {archives});;All files (*)").format(labels=_LABELS, archives=_ARCHIVES)
        name, _ = QFileDialog.getOpenFileName(self, self.tr("Open a file of labels or an archive"), self._start_folder(), kinds)
        if name:
            self.open_path(Path(name))

    def _start_folder(self) -> str:
        """Beside what was opened last."""
        last = next((recent.path for recent in self._memory.recent() if recent.path), None)
        return str(Path(last).parent if last else Path.home())

    def open_sample(self) -> None:
        """Open the data set that ships with the program."""
        self.open_config(_config_of(None))

    def _catalog_arrived(self, _catalog: object) -> None:
        if self._waiting is not None:
            config_of, self._waiting = self._waiting, None
            self.open_config(config_of())

    def _show(self, opened: Opened) -> None:
        self.opened = self._undrawn = opened
        if not self._behind:
            self.draw()
        self._memory.add_recent(opened.config)
        self._tell.stop()
        self._tell_others()

    def draw(self) -> None:
        """Show the opened images, if that was put off."""
        opened, self._undrawn = self._undrawn, None
        self._behind = False
        if opened is not None:
            self.view.show_data(opened)
            self.stack.setCurrentWidget(self.view)

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks."""
        super().showEvent(event)
        if self._undrawn is not None:
            self.draw()

    def _show_progress(self, at: tuple[int, int]) -> None:
        done, total = at
        self._loading_bar.setRange(0, total)
        self._loading_bar.setValue(done)
        files = self.tr("{n} files") if not total else self.tr("{n} of {all} files")
        self._loading_count.setText(files.format(n=f"{done:,}", all=f"{total:,}"))

    def _open_failed(self, error: BaseException) -> None:
        self.error.show_problem(error)
        self._back.setVisible(self.opened is not None)
        self._find.setVisible(bool(self._wanted is not None and self._wanted.path and not os.path.exists(self._wanted.path)))
        self.stack.setCurrentWidget(self.error)

    def _find_moved(self) -> None:
        """Ask where the images are now that were not there, and open them there."""
        from tlstudio.gui.pages.moved_images import MovedImages

        wanted = self._wanted
        if wanted is None or wanted.path is None:
            return
        if self.moved is None:
            self.moved = MovedImages(self._context, self)
            self.moved.remembered.connect(lambda: self._wanted is not None and self.open_config(self._wanted))
        self.moved.ask(wanted.path)

    def _cancel_opening(self) -> None:
        self._waiting = None
        if self._opening is not None:
            self._opening.cancel()
        self.show_grid()

    # Showing

    def show_grid(self) -> None:
        """The thumbnails, or the first-start page where nothing is open."""
        if self.opened is None:
            self.stack.setCurrentWidget(self.empty)
        else:
            self.stack.setCurrentWidget(self.view)
            self.view.show_grid()

    @Slot(object)
    def _edited(self, opened: Opened) -> None:
        self.opened = opened
        self._tell.start()

    def _tell_others(self) -> None:
        """The other pages take an edit a moment later, since edits come in bursts."""
        if self.opened is not None:
            self._context.set_data(OpenedData(config=self.opened.config, images=self.opened.table.taking_part()))

    def undo(self) -> None:
        """Take the last edit back."""
        if self.opened is not None:
            self.view.undo()

    def redo(self) -> None:
        """Do it again."""
        if self.opened is not None:
            self.view.redo()

    def export(self) -> None:
        """Write the images as they stand."""
        if self.opened is not None:
            self.view.export()

    def check_images(self) -> None:
        """Look for what is wrong with the images."""
        if self.opened is not None:
            self.view.check_images()

    def shut_down(self) -> None:
        """Let go of the opened files."""
        if self._view is not None:
            self._view.scan.cancel()
            self._view.browser.close_store()

    # Parts

    def _make_empty(self) -> EmptyState:
        empty = EmptyState(
            "squares-four",
            self.tr("Start with your images"),
            self.tr("A folder with one subfolder for each class, an archive of it, or a CSV file. You can also drop it here."),
        )
        empty.add_button(self.tr("Open a folder of images…"), self.ask_folder, "folder-open", self.tr("Ctrl+O"))
        empty.add_button(
            self.tr("Try the sample"), self.open_sample, "sparkle", self.tr("Small images of digits, ready to train")
        )
        recents = self._memory.recent()
        if recents:
            label = QLabel(self.tr("Recent"))
            label.setProperty("role", "caption")
            empty.body.addSpacing(16)
            empty.body.addWidget(label, 0, Qt.AlignmentFlag.AlignHCenter)
        for recent in recents[:4]:
            button = QPushButton(title_of(recent))
            button.setProperty("role", "link")
            button.setToolTip(recent.path or "")
            button.clicked.connect(lambda _checked=False, recent=recent: self.open_config(recent.config()))
            empty.body.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        return empty

    def _make_loading(self) -> QWidget:
        page = QWidget()
        self._loading_text = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._loading_text.setProperty("role", "section")
        self._loading_bar = bar = QProgressBar(minimum=0, maximum=0, textVisible=False)
        bar.setFixedWidth(30 * theme.GRID)
        bar.setAccessibleName(self.tr("Progress of the opening"))
        self._loading_count = QLabel(" ", alignment=Qt.AlignmentFlag.AlignCenter)
        self._loading_count.setProperty("role", "caption")
        cancel = QPushButton(self.tr("Cancel"))
        cancel.clicked.connect(self._cancel_opening)
        layout = QVBoxLayout(page)
        layout.addStretch(2)
        layout.setSpacing(16)
        for widget in (self._loading_text, bar, self._loading_count, cancel):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        return page


def _config_of(path: Path | None) -> DataConfig:
    """What opens a path, or the sample."""
    from tlstudio.api.config import SAMPLE_DATASET, DataConfig

    return DataConfig(path=str(path)) if path is not None else DataConfig(dataset=SAMPLE_DATASET)


def _open(task: Task, catalog: Catalog, config: DataConfig, workspace: Path) -> Opened:
    """In the background: open, and tell how far it has come, now and then."""
    from tlstudio.api.progress import reporting
    from tlstudio.gui.opening import open_data

    told = 0.0

    def listener(done: int, total: int) -> bool:
        nonlocal told
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            task.report((done, total))
        return not task.cancelled

    with reporting(listener):
        return open_data(catalog, config, workspace)
