"""Asks where and how to write the images as they stand after the user's edits, and writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.dataset import UNLABELLED
from tlstudio.data.export import How, export
from tlstudio.gui import theme
from tlstudio.gui.opening import Opened
from tlstudio.gui.widgets.background import Task, run_in_background


class ExportDialog(QDialog):
    """Nothing that exists is overwritten; giving up leaves nothing behind."""

    said = Signal(object)
    """str: what was written."""
    failed = Signal(object)
    """Exception."""

    def __init__(self, opened: Opened, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Export images"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._table = opened.table
        self._task: Task | None = None
        images = self._table.taking_part()
        count = int(np.count_nonzero(images.labels != UNLABELLED))
        files = images.read is None and images.boxes is None
        text = QLabel(self.tr("{n} labelled images, as they stand after your edits.").format(n=f"{count:,}"))
        self.ways: dict[How, QRadioButton] = {
            "copy": QRadioButton(self.tr("Copies, in a folder for each split and class")),
            "link": QRadioButton(self.tr("Links to the files, in such folders")),
            "csv": QRadioButton(self.tr("A table with the path, label and split of each image (CSV)")),
        }
        self.ways["copy"].setChecked(True)
        for how in ("link", "csv"):
            self.ways[how].setEnabled(files)
        self.place = QLineEdit()
        self.place.setAccessibleName(self.tr("Where to"))
        self.place.setPlaceholderText(self.tr("A folder or file that does not exist yet"))
        self.place.textChanged.connect(lambda text: self.button.setEnabled(bool(text.strip())))
        choose = QPushButton(self.tr("Choose…"))
        choose.clicked.connect(self._choose)
        self.progress = QProgressBar(textVisible=False)
        self.progress.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.button = buttons.addButton(self.tr("Export"), QDialogButtonBox.ButtonRole.ActionRole)
        self.button.setProperty("role", "primary")
        self.button.setEnabled(False)
        self.button.clicked.connect(self.start)
        buttons.rejected.connect(self.reject)
        where = QHBoxLayout()
        where.addWidget(self.place, 1)
        where.addWidget(choose)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.GRID)
        layout.addWidget(text)
        for way in self.ways.values():
            layout.addWidget(way)
        layout.addLayout(where)
        layout.addWidget(self.progress)
        layout.addWidget(buttons)
        self.setMinimumWidth(60 * theme.GRID)

    @property
    def how(self) -> How:
        """The way that is chosen."""
        return next(how for how, way in self.ways.items() if way.isChecked())

    def start(self) -> None:
        """Write, in the background."""
        table, target, how = self._table, Path(self.place.text().strip()).expanduser().absolute(), self.how
        self.button.setEnabled(False)
        self.progress.show()

        def work(task: Task) -> int:
            def progress(done: int, total: int) -> bool:
                task.report((done, total))
                return not task.cancelled

            return export(table, target, how, progress=progress)

        self._task = run_in_background(
            self, work, done=lambda count: self._done(count, target), failed=self._fail, progress=self._show
        )

    def reject(self) -> None:
        """Give up; what is being written disappears."""
        if self._task is not None:
            self._task.cancel()
        super().reject()

    def _choose(self) -> None:
        title = self.tr("Export images")
        if self.how == "csv":
            name, _ = QFileDialog.getSaveFileName(self, title, "images.csv", "CSV (*.csv)")
        else:
            folder = QFileDialog.getExistingDirectory(self, title)
            name = str(Path(folder) / "images") if folder else ""
        if name:
            self.place.setText(name)

    def _show(self, at: tuple[int, int]) -> None:
        self.progress.setRange(0, at[1])
        self.progress.setValue(at[0])

    def _done(self, count: int, target: Path) -> None:
        self.said.emit(self.tr("{n} images written to {path}").format(n=f"{count:,}", path=target))
        self.accept()

    def _fail(self, error: BaseException) -> None:
        self.progress.hide()
        self.button.setEnabled(True)
        self.failed.emit(error)
