"""The Data page: open images, look at them, see their classes and splits, find those that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.config import DataConfig
from tlstudio.data.check import find_unreadable
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext, OpenedData
from tlstudio.gui.memory import Memory, title_of
from tlstudio.gui.opening import Opened, open_data
from tlstudio.gui.pages.data_browser import DataBrowser, separator
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.empty_state import EmptyState
from tlstudio.gui.widgets.error_view import ErrorView
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.gui.widgets.viewer import Viewer

if TYPE_CHECKING:
    from PIL.Image import Image

SAMPLE = DataConfig(dataset="datasets/digits")
_ARCHIVES = "*.zip *.tar *.tar.gz *.tgz *.tar.bz2 *.tar.xz"


class DataPage(QWidget):
    """Shows one of: nothing opened yet, opening, what went wrong, the browser, one image large."""

    recent_changed = Signal()

    def __init__(self, context: AppContext, memory: Memory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context, self._memory = context, memory
        self._waiting: DataConfig | None = None
        self._opening: Task | None = None
        self._checking: Task | None = None
        self.opened: Opened | None = None
        self.browser = DataBrowser()
        self.browser.opened_image.connect(self.show_large)
        self.viewer = Viewer(self._load, self.browser.about, self._preview)
        self.viewer.closed.connect(self.show_grid)
        self.error = ErrorView()
        self.error.add_button(self.tr("Open something else…"), self.ask_folder)
        self._back = self.error.add_button(self.tr("Back"), self.show_grid)
        self.empty = self._make_empty()
        self.loading = self._make_loading()
        self.stack = QStackedWidget()
        for widget in (self.empty, self.loading, self.error, self._make_browser(), self.viewer):
            self.stack.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        context.catalog_changed.connect(self._catalog_arrived)

    # Opening

    def open_path(self, path: Path) -> None:
        """Open a folder, an archive or a CSV file."""
        self.open_config(DataConfig(path=str(path)))

    def open_config(self, config: DataConfig) -> None:
        """Open what a configuration names; waits for the plugins where they are not loaded yet."""
        self._loading_text.setText(self.tr("Opening {name} …").format(name=title_of(config)))
        self.stack.setCurrentWidget(self.loading)
        if self._opening is not None:
            self._opening.cancel()
        catalog = self._context.catalog
        if catalog is None:
            self._waiting = config
            return
        self._opening = run_in_background(
            self, lambda _task: open_data(catalog, config), done=self._show, failed=self._open_failed
        )

    def ask_folder(self) -> None:
        """Let the user choose a folder."""
        name = QFileDialog.getExistingDirectory(self, self.tr("Open a folder of images"), self._start_folder())
        if name:
            self.open_path(Path(name))

    def ask_file(self) -> None:
        """Let the user choose a CSV file or an archive."""
        kinds = self.tr("Data ({csv} {archives});;All files (*)").format(csv="*.csv *.tsv", archives=_ARCHIVES)
        name, _ = QFileDialog.getOpenFileName(self, self.tr("Open a CSV file or an archive"), self._start_folder(), kinds)
        if name:
            self.open_path(Path(name))

    def _start_folder(self) -> str:
        """Beside what was opened last."""
        last = next((config.path for config in self._memory.recent() if config.path), None)
        return str(Path(last).parent if last else Path.home())

    def open_sample(self) -> None:
        """Open the data set that ships with the program."""
        self.open_config(SAMPLE)

    def _catalog_arrived(self, _catalog: object) -> None:
        if self._waiting is not None:
            config, self._waiting = self._waiting, None
            self.open_config(config)

    def _show(self, opened: Opened) -> None:
        self._cancel_check()
        self.opened = opened
        images = opened.images
        self._title.setText(title_of(opened.config))
        self._title.setToolTip(opened.config.path or "")
        self._facts.setText(self._summary(opened))
        self.notes.show_lines(images.notes)
        self.stack.setCurrentWidget(self._browser_page)
        self.browser.show_data(opened)
        self._memory.add_recent(opened.config)
        self.recent_changed.emit()
        self._context.set_data(OpenedData(config=opened.config, images=images))

    def _open_failed(self, error: BaseException) -> None:
        self.error.show_problem(error)
        self._back.setVisible(self.opened is not None)
        self.stack.setCurrentWidget(self.error)

    def _summary(self, opened: Opened) -> str:
        n, classes = len(opened.images), len(opened.images.classes)
        names = (self.tr("training"), self.tr("validation"), self.tr("test"))
        counts = [(name, int(np.count_nonzero(opened.splits == i))) for i, name in enumerate(names)]
        parts = [
            self.tr("1 image") if n == 1 else self.tr("{n} images").format(n=f"{n:,}"),
            self.tr("1 class") if classes == 1 else self.tr("{n} classes").format(n=f"{classes:,}"),
            ", ".join(f"{count:,} {name}" for name, count in counts if count),
        ]
        return "  ·  ".join(part for part in parts if part)

    # Looking

    def show_grid(self) -> None:
        """The thumbnails, or the first-start page where nothing is open."""
        was_large = self.stack.currentWidget() is self.viewer
        self.stack.setCurrentWidget(self._browser_page if self.opened is not None else self.empty)
        if self.opened is not None:
            if was_large:
                self.browser.grid.go_to(self.viewer.position())
            self.browser.grid.setFocus()

    def show_large(self, position: int) -> None:
        """One image as large as the page."""
        self.stack.setCurrentWidget(self.viewer)
        self.viewer.show_image(position, self.browser.model.rowCount())
        self.viewer.setFocus()

    def _load(self, position: int) -> Image:
        assert self.opened is not None
        return self.opened.images.load(self.browser.row_at(position))

    def _preview(self, position: int) -> object:
        store = self.browser.store
        return None if store is None else store.get(self.browser.row_at(position), 384)

    # Checking

    def check_images(self) -> None:
        """Decode every image once, in the background, and offer those that fail as a filter."""
        if self.opened is None or self._checking is not None:
            return
        images = self.opened.images

        def work(task: Task) -> dict[int, str]:
            def progress(done: int, total: int) -> bool:
                task.report((done, total))
                return not task.cancelled

            return find_unreadable(images, progress=progress)

        self._progress.setRange(0, len(images))
        self._progress.setValue(0)
        self._check_bar.show()
        self._check_button.setEnabled(False)
        self._checking = run_in_background(
            self, work, done=self._checked, failed=self._check_failed, progress=lambda at: self._progress.setValue(at[0])
        )

    def _checked(self, found: dict[int, str]) -> None:
        self._end_check()
        self.browser.set_unreadable(found)
        total = len(self.opened.images) if self.opened is not None else 0
        if found:
            first = self.tr("1 image cannot be read.") if len(found) == 1 else self.tr("{n} images cannot be read.")
            self.notes.show_lines([first.format(n=f"{len(found):,}") + self.tr(" Training leaves them out.")])
            self.browser.show_unreadable()
        else:
            self.notes.show_lines([self.tr("All {n} images can be read.").format(n=f"{total:,}")])

    def _check_failed(self, error: BaseException) -> None:
        self._end_check()
        self._context.problem.emit(error)

    def _cancel_check(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        self._end_check()

    def _end_check(self) -> None:
        self._checking = None
        self._check_bar.hide()
        self._check_button.setEnabled(True)

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
        recent: Sequence[DataConfig] = self._memory.recent()
        if recent:
            label = QLabel(self.tr("Recent"))
            label.setProperty("role", "caption")
            empty.body.addSpacing(16)
            empty.body.addWidget(label, 0, Qt.AlignmentFlag.AlignHCenter)
        for config in recent[:4]:
            button = QPushButton(title_of(config))
            button.setProperty("role", "link")
            button.setToolTip(config.path or "")
            button.clicked.connect(lambda _checked=False, config=config: self.open_config(config))
            empty.body.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        return empty

    def _make_loading(self) -> QWidget:
        page = QWidget()
        self._loading_text = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._loading_text.setProperty("role", "section")
        bar = QProgressBar(minimum=0, maximum=0, textVisible=False)
        bar.setFixedWidth(30 * theme.GRID)
        cancel = QPushButton(self.tr("Cancel"))
        cancel.clicked.connect(self._cancel_opening)
        layout = QVBoxLayout(page)
        layout.addStretch(2)
        layout.setSpacing(16)
        for widget in (self._loading_text, bar, cancel):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        return page

    def _cancel_opening(self) -> None:
        self._waiting = None
        if self._opening is not None:
            self._opening.cancel()
        self.show_grid()

    def _make_browser(self) -> QWidget:
        self._browser_page = page = QWidget()
        self._title = QLabel(textFormat=Qt.TextFormat.PlainText)
        self._title.setProperty("role", "title")
        self._facts = QLabel()
        self._facts.setProperty("role", "muted")
        self.notes = InfoBar()
        header = QHBoxLayout()
        header.setContentsMargins(16, 10, 16, 10)
        header.setSpacing(theme.GRID)
        header.addWidget(self._title)
        header.addSpacing(8)
        header.addWidget(self._facts, 1, Qt.AlignmentFlag.AlignBottom)
        for button in self._make_buttons():
            header.addWidget(button)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(header)
        layout.addWidget(separator())
        layout.addWidget(self.notes)
        layout.addWidget(self._make_check_bar())
        layout.addWidget(self.browser, 1)
        return page

    def _make_buttons(self) -> tuple[QPushButton, ...]:
        opening = QPushButton(self.tr("Open"))
        theme.set_icon(opening, "folder-open")
        menu = QMenu(opening)
        menu.addAction(self.tr("Folder of images…"), self.ask_folder)
        menu.addAction(self.tr("CSV file or archive…"), self.ask_file)
        menu.addAction(self.tr("Sample"), self.open_sample)
        opening.setMenu(menu)
        self._check_button = QPushButton(self.tr("Check images"))
        self._check_button.setToolTip(self.tr("Decode every image once and list those that cannot be read"))
        theme.set_icon(self._check_button, "check-circle")
        self._check_button.clicked.connect(self.check_images)
        train = QPushButton(self.tr("Train"))
        train.setProperty("role", "primary")
        train.setToolTip(self.tr("Go on to the training page (Ctrl+2)"))
        theme.set_icon(train, "arrow-right", "on_accent")
        train.clicked.connect(lambda: self._context.page_requested.emit("train"))
        return opening, self._check_button, train

    def _make_check_bar(self) -> QWidget:
        self._check_bar = bar = QWidget()
        self._progress = QProgressBar(textVisible=False)
        self._progress.setAccessibleName(self.tr("Progress of the check"))
        cancel = QToolButton(toolTip=self.tr("Cancel the check"))
        cancel.setAccessibleName(self.tr("Cancel the check"))
        theme.set_icon(cancel, "x", "muted")
        cancel.clicked.connect(self._cancel_check)
        layout = QHBoxLayout(bar)
        layout.setContentsMargins(16, 4, 8, 4)
        layout.addWidget(QLabel(self.tr("Checking every image …")))
        layout.addWidget(self._progress, 1)
        layout.addWidget(cancel)
        bar.hide()
        return bar
