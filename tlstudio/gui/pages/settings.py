"""The Settings page: the look, the workspace, the cache, where files are, and what the machine offers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from tlstudio import paths
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.data_browser import separator
from tlstudio.gui.problems import versions
from tlstudio.gui.widgets.background import run_in_background

_LABEL_WIDTH = 104


class SettingsPage(QWidget):
    """Every change takes effect at once."""

    workspace_wanted = Signal()
    """The user wants another workspace."""

    def __init__(self, context: AppContext, memory: Memory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context, self._memory = context, memory
        body = QWidget()
        body.setMaximumWidth(90 * theme.GRID)
        column = QVBoxLayout(body)
        column.setContentsMargins(24, 16, 24, 24)
        column.setSpacing(theme.GRID)
        for title, content in (
            (self.tr("Look"), self._look()),
            (self.tr("Runs"), self._workspace()),
            (self.tr("Cache"), self._cache()),
            (self.tr("Where files are"), self._places()),
            (self.tr("This machine"), self._machine()),
        ):
            heading = QLabel(title)
            heading.setProperty("role", "section")
            column.addWidget(heading)
            column.addLayout(content)
            column.addSpacing(8)
            column.addWidget(separator())
            column.addSpacing(8)
        column.addStretch(1)
        scroll = QScrollArea(widgetResizable=True)
        scroll.setWidget(body)
        title = QLabel(self.tr("Settings"))
        title.setProperty("role", "title")
        title.setContentsMargins(16, 12, 16, 12)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(title)
        layout.addWidget(separator())
        layout.addWidget(scroll, 1)
        theme.changed.connect(self._follow_theme)

    def showEvent(self, event: QShowEvent) -> None:
        """Measure the cache whenever the page comes up."""
        super().showEvent(event)
        self._measure()

    def set_device(self, text: str) -> None:
        """Tell which device training uses."""
        self.device.setText(text)

    def _look(self) -> QFormLayout:
        self.theme = QComboBox()
        for text, value in (
            (self.tr("Like the system"), "system"),
            (self.tr("Light"), "light"),
            (self.tr("Dark"), "dark"),
        ):
            self.theme.addItem(text, value)
        self.theme.setCurrentIndex(self.theme.findData(self._memory.theme))
        self.theme.setToolTip(self.tr("Light or dark"))
        self.theme.currentIndexChanged.connect(self._restyle)
        self.points = QDoubleSpinBox(minimum=7.0, maximum=24.0, singleStep=0.5, decimals=1, suffix=self.tr(" pt"))
        self.points.setValue(theme.base_points())
        self.points.setToolTip(self.tr("Size of text everywhere in the window"))
        self.points.setKeyboardTracking(False)
        self.points.valueChanged.connect(self._restyle)
        reset = QPushButton(self.tr("Like the system"))
        reset.clicked.connect(self._reset_points)
        row = QHBoxLayout(spacing=theme.GRID)
        row.addWidget(self.points)
        row.addWidget(reset)
        row.addStretch(1)
        return _form((self.tr("&Theme"), self.theme), (self.tr("&Font size"), row))

    def _workspace(self) -> QFormLayout:
        self.workspace = _path_label(self._context.workspace)
        change = QPushButton(self.tr("Change…"))
        change.setToolTip(self.tr("Runs, edits and splits stay where they are; from now on you work with those of the new one"))
        change.clicked.connect(self.workspace_wanted)
        self._context.runs_changed.connect(self._show_workspace)
        row = QHBoxLayout(spacing=theme.GRID)
        row.addWidget(self.workspace, 1)
        row.addWidget(change)
        return _form((self.tr("Workspace"), row))

    def _cache(self) -> QFormLayout:
        self.size = QLabel("…")
        self.clear = QPushButton(self.tr("Clear"))
        self.clear.setToolTip(self.tr("Unpacked archives and computed features; they are made again when needed"))
        self.clear.clicked.connect(self._clear_cache)
        row = QHBoxLayout(spacing=theme.GRID)
        row.addWidget(self.size)
        row.addWidget(self.clear)
        row.addStretch(1)
        return _form((self.tr("Size"), row))

    def _places(self) -> QFormLayout:
        rows = (
            (self.tr("Settings"), paths.home()),
            (self.tr("Plugins"), paths.user_plugins()),
            (self.tr("Weights"), paths.weights()),
            (self.tr("Cache"), paths.cache()),
            (self.tr("Logs"), paths.logs()),
        )
        return _form(*((title, self._place(path)) for title, path in rows))

    def _place(self, path: Path) -> QHBoxLayout:
        opening = QToolButton(toolTip=self.tr("Open in the file manager"))
        opening.setAccessibleName(self.tr("Open {path}").format(path=path))
        theme.set_icon(opening, "folder-open", "muted")
        opening.clicked.connect(lambda: self._open(path))
        row = QHBoxLayout(spacing=theme.GRID)
        row.addWidget(_path_label(path), 1)
        row.addWidget(opening)
        return row

    def _machine(self) -> QFormLayout:
        self.device = QLabel(self.tr("preparing …"))
        text = QLabel(versions())
        text.setProperty("role", "muted")
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        copy = QPushButton(self.tr("Copy"))
        theme.set_icon(copy, "copy")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(f"{versions()}\n{self.device.text()}"))
        row = QHBoxLayout(spacing=theme.GRID)
        row.addWidget(text, 1)
        row.addWidget(copy, 0, Qt.AlignmentFlag.AlignTop)
        return _form((self.tr("Device"), self.device), (self.tr("Versions"), row))

    @Slot()
    def _restyle(self, _value: object = None) -> None:
        choice, points = self.theme.currentData(), self.points.value()
        self._memory.theme = choice
        if abs(points - theme.base_points()) > 0.05:
            self._memory.points = points
        theme.apply(choice, self._memory.points)

    @Slot(object)
    def _follow_theme(self, _colors: object) -> None:
        """The theme was switched elsewhere: show what holds now."""
        blocked = self.theme.blockSignals(True)
        self.theme.setCurrentIndex(self.theme.findData(theme.choice()))
        self.theme.blockSignals(blocked)

    def _reset_points(self) -> None:
        self._memory.points = 0.0
        theme.apply(self.theme.currentData(), 0.0)
        blocked = self.points.blockSignals(True)
        self.points.setValue(theme.base_points())
        self.points.blockSignals(blocked)

    @Slot()
    def _show_workspace(self) -> None:
        self.workspace.setText(str(self._context.workspace))

    def _open(self, path: Path) -> None:
        run_in_background(
            self,
            lambda _task: path.mkdir(parents=True, exist_ok=True),
            done=lambda _none: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))),
            failed=self._context.problem.emit,
        )

    def _measure(self) -> None:
        run_in_background(self, lambda task: _folder_bytes(paths.cache(), task), done=self._show_size)

    def _show_size(self, size: int) -> None:
        self.size.setText(f"{size / 2**20:,.1f} MB" if size < 2**30 else f"{size / 2**30:,.2f} GB")
        self.clear.setEnabled(size > 0 and not self._context.run_active)

    def _clear_cache(self) -> None:
        self.clear.setEnabled(False)
        run_in_background(self, lambda _task: _clear(paths.cache()), done=lambda _none: self._measure())


def _form(*rows: tuple[str, QWidget | QHBoxLayout]) -> QFormLayout:
    form = QFormLayout()
    form.setHorizontalSpacing(24)
    form.setVerticalSpacing(theme.GRID)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for title, content in rows:
        label = QLabel(title)
        label.setMinimumWidth(_LABEL_WIDTH)
        row = content if isinstance(content, QHBoxLayout) else QHBoxLayout()
        if isinstance(content, QWidget):
            row.addWidget(content)
            row.addStretch(1)
        first = row.itemAt(0).widget()
        if first is not None:
            label.setBuddy(first)
            first.setAccessibleName(title.replace("&", ""))
        form.addRow(label, row)
    return form


def _path_label(path: Path) -> QLabel:
    label = QLabel(str(path), textFormat=Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _folder_bytes(folder: Path, task: object) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        if getattr(task, "cancelled", False):
            break
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _clear(folder: Path) -> None:
    """Delete what is in the cache folder; nothing there is anybody's only copy."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
