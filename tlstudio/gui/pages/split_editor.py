"""Decides who trains and who measures: the settings of the split, and at once what comes of them for every class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.config import SPLIT_FIELDS, DataConfig
from tlstudio.api.dataset import SPLIT_NAMES
from tlstudio.api.images import printable
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Table
from tlstudio.data.splits import group_names
from tlstudio.gui import theme
from tlstudio.gui.opening import Opened
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.form import Form, Section

_PAUSE_MS = 200
_SHOWN = 500
_FOR = {
    "auto": ("val_fraction", "split_seed", "group_by", "duplicates_together"),
    "stratified": ("val_fraction", "test_fraction", "split_seed", "group_by", "duplicates_together"),
    "kfold": ("folds", "fold", "split_seed", "group_by", "duplicates_together"),
}


class SplitEditor(QDialog):
    """Settings on the left, counts of each class on the right, as they would be.

    Args:
        alike: a number for each image ``(N,)``, the same for near duplicates, -1 for none; ``None`` while nobody has looked.
    """

    applied = Signal(object)
    """Curation: the images with the split that the user wants."""

    def __init__(self, opened: Opened, alike: NDArray[np.int64] | None, workspace: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Split"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(760, 480)
        assert opened.curation is not None
        self._opened, self._alike, self._workspace = opened, alike, workspace
        self._task: Task | None = None
        self.preview: Curation | None = None
        self.form = Form(DataConfig, sections=(Section(fields=SPLIT_FIELDS),))
        for name in SPLIT_FIELDS:
            self.form.rows[name].editor.set_value(getattr(opened.config, name))
        self.form.changed.connect(self._changed)
        self.table = QTableWidget(0, 1 + len(SPLIT_NAMES))
        self.table.setAccessibleName(self.tr("Images of each class in each split"))
        self.table.setHorizontalHeaderLabels([self.tr("Class"), self.tr("Training"), self.tr("Validation"), self.tr("Test")])
        for column in range(1, 1 + len(SPLIT_NAMES)):
            self.table.horizontalHeaderItem(column).setTextAlignment(Qt.AlignmentFlag.AlignRight)
        self.table.horizontalHeaderItem(0).setTextAlignment(Qt.AlignmentFlag.AlignLeft)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.facts = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.facts.setProperty("role", "muted")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Apply | QDialogButtonBox.StandardButton.Cancel)
        self.apply_button = self.buttons.button(QDialogButtonBox.StandardButton.Apply)
        self.apply_button.setProperty("role", "primary")
        self.apply_button.clicked.connect(self._apply)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._draw)
        self._changed()

    def _lay_out(self) -> None:
        left = QVBoxLayout()
        left.addWidget(self.form)
        left.addWidget(self.facts)
        left.addStretch(1)
        sides = QHBoxLayout()
        sides.setSpacing(3 * theme.GRID)
        sides.addLayout(left, 2)
        sides.addWidget(self.table, 3)
        outer = QVBoxLayout(self)
        outer.addLayout(sides, 1)
        outer.addWidget(self.buttons)

    def _changed(self) -> None:
        wanted = _FOR.get(self.form.rows["split"].editor.value(), ())
        for name in SPLIT_FIELDS[1:]:
            self.form.rows[name].set_shown(name in wanted)
        self.apply_button.setEnabled(False)
        self._pause.start()

    def _draw(self) -> None:
        """Work out the split, off the GUI thread."""
        if self.form.check():
            return
        config = self._opened.config.model_copy(update=self.form.values())
        config = DataConfig.model_validate(config.model_dump())
        if self._task is not None:
            self._task.cancel()
        self._task = run_in_background(self, lambda _task: self._split(config), done=self._show, failed=self._fail)

    def _split(self, config: DataConfig) -> tuple[Curation, str]:
        assert self._opened.curation is not None
        alike = self._alike
        curation = Curation(self._opened.curation.original, config, self._workspace, alike=lambda: alike)
        return curation, _about(curation, config, alike)

    def _show(self, found: tuple[Curation, str]) -> None:
        self.preview, text = found
        self.facts.setText(text)
        counts = count_splits(self.preview.table)
        classes = self.preview.table.images.classes
        self.table.setRowCount(min(len(classes), _SHOWN) + 1)
        totals = [self.tr("All classes"), *(f"{count:,}" for count in counts.sum(0))]
        self._fill(0, totals, bold=True)
        for label, name in enumerate(classes[:_SHOWN]):
            self._fill(label + 1, [printable(name), *(f"{count:,}" if count else "–" for count in counts[label])])
        self.apply_button.setEnabled(True)

    def _fill(self, row: int, texts: list[str], *, bold: bool = False) -> None:
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
            item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            if bold:
                item.setFont(theme.font("section"))
            self.table.setItem(row, column, item)

    def _fail(self, error: BaseException) -> None:
        self.facts.setText(str(error))

    def _apply(self) -> None:
        if self.preview is not None:
            self.applied.emit(self.preview)
            self.accept()


def count_splits(table: Table) -> NDArray[np.int64]:
    """Images that take part, ``(C, 3)`` int64: of each class, in training, validation and test."""
    images = table.taking_part()
    part = images.labels >= 0
    numbers = images.labels[part].astype(np.int64) * len(SPLIT_NAMES) + table.splits[part]
    return np.bincount(numbers, minlength=len(images.classes) * len(SPLIT_NAMES)).reshape(-1, len(SPLIT_NAMES))


def _about(curation: Curation, config: DataConfig, alike: NDArray[np.int64] | None) -> str:
    """What is kept together, in sentences."""
    if not curation.plan.draws(curation.original):
        return "The data have validation images of their own; nothing is drawn."
    lines = []
    images = curation.original
    if config.group_by or images.groups is not None:
        names = group_names(images, config.group_by)
        sizes = np.unique(names, return_counts=True)[1]
        largest = int(sizes.max())
        groups = f"{len(sizes):,} groups, the largest with {largest:,} images; each stays in one split."
        lines.append(groups if largest > 1 else "Nothing is grouped: every image is a group of its own.")
    if config.duplicates_together:
        if alike is None:
            lines.append("Near duplicates are not known yet: check the images first to keep them together.")
        elif (alike >= 0).any():
            lines.append(f"{int((alike >= 0).sum()):,} near duplicates stay together.")
        else:
            lines.append("No near duplicates were found.")
    if curation.fixed:
        lines.append("This split was used before and stays as it was.")
    return " ".join(lines)
