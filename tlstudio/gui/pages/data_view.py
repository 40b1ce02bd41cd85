"""Opened images: a header that says what they are, the browser, one image large, and the check for unreadable files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
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

from tlstudio.api.images import grey16
from tlstudio.data.check import find_unreadable
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.memory import title_of
from tlstudio.gui.opening import Opened
from tlstudio.gui.pages.data_browser import DataBrowser, separator
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.gui.widgets.viewer import Viewer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Open = Callable[[], object]


class DataView(QWidget):
    """Shows the browser or one image large. The page that owns it opens other data."""

    def __init__(self, context: AppContext, ask_folder: Open, ask_file: Open, open_sample: Open) -> None:
        super().__init__()
        self._context = context
        self._open_menu = (ask_folder, ask_file, open_sample)
        self._checking: Task | None = None
        self.opened: Opened | None = None
        self.browser = DataBrowser()
        self.browser.opened_image.connect(self.show_large)
        self.viewer = Viewer(self._load, self.browser.about, self._preview, greys=self._greys)
        self.viewer.closed.connect(self.show_grid)
        self.stack = QStackedWidget()
        self._browser_page = self._make_browser()
        self.stack.addWidget(self._browser_page)
        self.stack.addWidget(self.viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)

    def show_data(self, opened: Opened) -> None:
        """Look at these images."""
        self._cancel_check()
        self.opened = opened
        self._title.setText(title_of(opened.config))
        self._title.setToolTip(opened.config.path or "")
        self._facts.setText(self._summary(opened))
        self.notes.show_lines(opened.images.notes)
        self.stack.setCurrentWidget(self._browser_page)
        self.browser.show_data(opened)

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
        """The thumbnails; after the large view, at the image that it showed."""
        was_large = self.stack.currentWidget() is self.viewer
        self.stack.setCurrentWidget(self._browser_page)
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

    def _greys(self, position: int) -> NDArray[np.uint16] | None:
        assert self.opened is not None
        images = self.opened.images
        path = images.path(self.browser.row_at(position))
        return None if path is None or images.boxes is not None else grey16(path)

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

    def _make_browser(self) -> QWidget:
        page = QWidget()
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
        ask_folder, ask_file, open_sample = self._open_menu
        opening = QPushButton(self.tr("Open"))
        theme.set_icon(opening, "folder-open")
        menu = QMenu(opening)
        menu.addAction(self.tr("Folder of images…"), ask_folder)
        menu.addAction(self.tr("CSV file or archive…"), ask_file)
        menu.addAction(self.tr("Sample"), open_sample)
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
