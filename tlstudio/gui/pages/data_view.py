"""Opened images: a header that says what they are, the browser, one image large, what is wrong with them, and edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QPoint, Qt, QUrl, Signal, Slot
from PySide6.QtGui import QAction, QDesktopServices, QKeySequence, QShowEvent
from PySide6.QtWidgets import QMenu, QStackedWidget, QVBoxLayout, QWidget

from tlstudio.api.dataset import UNLABELLED
from tlstudio.api.images import grey16
from tlstudio.data.duplicates import inseparable
from tlstudio.data.fixes import fix_for
from tlstudio.gui.context import AppContext
from tlstudio.gui.memory import Memory
from tlstudio.gui.opening import Opened
from tlstudio.gui.pages.data_browser import DataBrowser, separator
from tlstudio.gui.pages.data_edit import Editing
from tlstudio.gui.pages.data_header import CheckBar, DataHeader, Open
from tlstudio.gui.pages.data_scan import Found, Scan
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.gui.widgets.viewer import Viewer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from tlstudio.data.curation import Curation
    from tlstudio.data.quality import Issue


class DataView(QWidget):
    """Shows the browser or one image large. The page that owns it opens other data."""

    edited = Signal(object)
    """Opened: the same images after an edit."""

    def __init__(self, context: AppContext, memory: Memory, ask_folder: Open, ask_file: Open, open_sample: Open) -> None:
        super().__init__()
        self._context = context
        self.header = DataHeader(ask_folder, ask_file, open_sample)
        self.header.check_wanted.connect(self.check_images)
        self.header.flips_changed.connect(lambda on: self.scan.count_flips(bool(on)))
        self.header.split_wanted.connect(self.edit_split)
        self.header.train_wanted.connect(lambda: context.page_requested.emit("train"))
        self.notes = InfoBar()
        self.checking = CheckBar()
        self.checking.cancelled.connect(self._cancel_check)
        self.opened: Opened | None = None
        self._interrupted = False
        self._told = False
        """Whether the bar says what was found."""
        self.scan = Scan(self)
        self.scan.progressed.connect(self._show_progress)
        self.scan.found.connect(self._show_found)
        self.scan.ended.connect(self._scan_ended)
        self.scan.failed.connect(self._scan_failed)
        self.browser = DataBrowser(memory.queries, memory.add_query)
        self.browser.opened_image.connect(self.show_large)
        self.browser.issue_chosen.connect(self._show_issue)
        self.viewer = Viewer(self._load, self.browser.about, self._preview, greys=self._greys)
        self.viewer.closed.connect(self.show_grid)
        self.editing = Editing(self._chosen_rows, self)
        self.editing.changed.connect(self._edited)
        self.editing.said.connect(context.message)
        self.editing.failed.connect(context.problem)
        self._connect_edits()
        self.stack = QStackedWidget()
        self._browser_page = self._make_page()
        self.stack.addWidget(self._browser_page)
        self.stack.addWidget(self.viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        context.run_active_changed.connect(self._run_changed)

    def show_data(self, opened: Opened) -> None:
        """Look at these images."""
        self.opened, self._told = opened, False
        self._end_check()
        self.editing.begin(opened.curation)
        self.header.show_data(opened)
        self.notes.show_lines(opened.images.notes)
        self.stack.setCurrentWidget(self._browser_page)
        self.browser.show_data(opened)
        self.scan.begin(opened)
        if self._context.run_active:
            self.scan.cancel()

    def showEvent(self, event: QShowEvent) -> None:
        """The page comes up: another program may have edited these images meanwhile."""
        super().showEvent(event)
        self.editing.look()

    def changeEvent(self, event: QEvent) -> None:
        """The window comes to the front: as before."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow() and self.isVisible():
            self.editing.look()

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
        """Measure every image that is not measured yet, in the background, and say what was found."""
        if self.opened is None:
            return
        self.browser.show_issue("")
        if self.scan.complete and self.scan.issues is not None:
            self._tell_issues()
        else:
            self.scan.go_on()

    def _show_progress(self, at: tuple[int, int]) -> None:
        self.checking.show_progress(*at)
        self.header.check_button.setEnabled(False)

    def _show_found(self, found: Found) -> None:
        was_asked = bool(self.browser.issue)
        self.browser.show_found(found)
        if found.issues is not None and (was_asked or (self._told and self.notes.isVisibleTo(self))):
            self._show_issue(found.issues.of_kind(self.browser.issue))
        curation = None if self.opened is None else self.opened.curation
        if curation is not None and found.drawing is not None:
            before = curation.table.splits
            curation.adopt(found.drawing)
            self._keep_splits(curation)
            if not np.array_equal(curation.table.splits, before):
                self._edited()

    def _keep_splits(self, curation: Curation, *, chosen: bool = False) -> None:
        """What was shown once stays; where it cannot be saved now, it will be when a run starts."""

        def keep(_task: Task) -> None:
            curation.fix_splits()
            if chosen:
                curation.choose_split()

        run_in_background(self, keep, failed=self._context.problem.emit)

    def _scan_ended(self, _complete: object) -> None:
        was_asked = self.checking.isVisibleTo(self)
        self._end_check()
        if was_asked or (self.scan.issues is not None and any(issue.severity == "error" for issue in self.scan.issues)):
            self._tell_issues()

    def _tell_issues(self) -> None:
        issues = self.scan.issues
        if issues is None or self.browser.issue:
            return
        self._told = True
        first = next((issue for issue in issues if issue.severity != "note"), None)
        if first is None:
            self.notes.show_lines([issues.summary()])
            return
        show = self.tr("Show: {issue}").format(issue=first.title)
        self.notes.show_lines([issues.summary()], show, lambda: self.browser.show_issue(first.kind))

    def _show_issue(self, issue: Issue | None) -> None:
        """Say what an issue is, and offer what helps."""
        if issue is None:
            self._tell_issues()
            return
        lines = [f"{issue.sentence} {issue.advice}"]
        measures = self.scan.measures
        fix = None if measures is None or self.opened is None else fix_for(issue, self.opened.table, measures)
        if fix is None:
            self.notes.show_lines(lines)
        else:
            title, edit = fix.title, fix.edit
            self.notes.show_lines(lines, title, lambda: self.editing.do(edit, title))

    def _scan_failed(self, error: BaseException) -> None:
        self._end_check()
        self._context.problem.emit(error)

    def _cancel_check(self) -> None:
        self.scan.cancel()
        self._end_check()

    def _end_check(self) -> None:
        self.checking.hide()
        self.header.check_button.setEnabled(True)

    @Slot(object)
    def _run_changed(self, active: object) -> None:
        """A run has the machine to itself; the rest is measured after it."""
        if active and self.scan.running:
            self._cancel_check()
            self._interrupted = True
        elif not active and self._interrupted:
            self._interrupted = False
            self.scan.go_on()

    # Editing

    def undo(self) -> None:
        """Take the last edit back."""
        self.editing.undo()

    def redo(self) -> None:
        """Do it again."""
        self.editing.redo()

    def _edited(self) -> None:
        assert self.opened is not None
        self.opened = self.opened.renewed()
        self.header.show_data(self.opened)
        self.browser.show_edited(self.opened)
        self.scan.edited(self.opened)
        if self.stack.currentWidget() is self.viewer and self.browser.model.rowCount():
            count = self.browser.model.rowCount()
            self.viewer.show_image(min(self.viewer.position(), count - 1), count)
        self.edited.emit(self.opened)

    def edit_split(self) -> None:
        """Ask how the images are split."""
        if self.opened is None or self.opened.curation is None:
            return
        from tlstudio.gui.pages.split_editor import SplitEditor

        pairs = self.scan.pairs
        alike = None if pairs is None else inseparable(pairs, len(self.opened.images))
        self.split_editor = SplitEditor(self.opened, alike, self._context.workspace, self)
        self.split_editor.applied.connect(self._split_again)
        self.split_editor.open()

    @Slot(object)
    def _split_again(self, curation: Curation) -> None:
        assert self.opened is not None
        self._keep_splits(curation, chosen=True)
        config = self.opened.config.model_copy(update=curation.plan.fields())
        self.opened = replace(self.opened, config=config, curation=curation)
        self.editing.begin(curation)
        self._edited()

    def export(self) -> None:
        """Ask for a folder or a file, and write the images there."""
        if self.opened is not None:
            from tlstudio.gui.pages.data_export import ExportDialog

            self.exporter = ExportDialog(self.opened, self)
            self.exporter.said.connect(self._context.message)
            self.exporter.failed.connect(self._context.problem)
            self.exporter.open()

    def _chosen_rows(self) -> list[int]:
        if self.stack.currentWidget() is self.viewer:
            return [self.browser.row_at(self.viewer.position())] if self.browser.model.rowCount() else []
        return self.browser.chosen_rows()

    def _connect_edits(self) -> None:
        """Keys and menus for the chosen images and for the classes."""
        steps: list[tuple[str, Callable[[], object]]] = [("Del", self.editing.toggle_excluded), ("T", self.editing.ask_tag)]
        steps += [(str(digit), lambda digit=digit: self.editing.relabel_by_digit(digit)) for digit in range(10)]
        for key, step in steps:
            action = QAction(self)
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(lambda _checked=False, step=step: step())
            self.addAction(action)
        for widget in (self.browser.grid, self.viewer, self.browser.classes):
            widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.browser.grid.customContextMenuRequested.connect(lambda at: self._show_menu(self.browser.grid.viewport(), at))
        self.viewer.customContextMenuRequested.connect(lambda at: self._show_menu(self.viewer, at))
        self.browser.classes.customContextMenuRequested.connect(self._show_class_menu)
        self.browser.classes.setAcceptDrops(True)
        self.browser.classes.dropped.connect(self._dropped)

    def _show_menu(self, widget: QWidget, at: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill_menu(menu)
        if not menu.isEmpty():
            menu.popup(widget.mapToGlobal(at))

    def fill_menu(self, menu: QMenu) -> None:
        """What can be done with the chosen images."""
        self.editing.fill_menu(menu)
        rows = self._chosen_rows()
        path = None if self.opened is None or len(rows) != 1 else self.opened.images.path(rows[0])
        if path is not None:
            menu.addSeparator()
            menu.addAction(self.tr("Show in folder"), lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent))))

    def _show_class_menu(self, at: QPoint) -> None:
        label = self.browser.classes.label()
        if 0 <= label < len(self.editing.classes):
            menu = QMenu(self)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            self.editing.fill_class_menu(menu, self.editing.classes[label])
            menu.popup(self.browser.classes.viewport().mapToGlobal(at))

    def _dropped(self, label: object) -> None:
        assert isinstance(label, int)
        self.editing.relabel(None if label == UNLABELLED else self.editing.classes[label])

    def _make_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for widget in (self.header, separator(), self.notes, self.checking):
            layout.addWidget(widget)
        layout.addWidget(self.browser, 1)
        return page
