"""The head of the Data page: what is open, what can be done with it, how far a check has come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QProgressBar, QPushButton, QToolButton, QWidget

from tlstudio.gui import theme
from tlstudio.gui.memory import title_of
from tlstudio.gui.opening import Opened

Open = Callable[[], object]


class DataHeader(QWidget):
    """Title and facts of the opened images, and the buttons of the page."""

    check_wanted = Signal()
    flips_changed = Signal(object)
    """bool: whether mirrored pictures count as duplicates."""
    split_wanted = Signal()
    train_wanted = Signal()

    def __init__(self, ask_folder: Open, ask_file: Open, open_sample: Open) -> None:
        super().__init__()
        self.title = QLabel(textFormat=Qt.TextFormat.PlainText)
        self.title.setProperty("role", "title")
        self.facts = QLabel()
        self.facts.setProperty("role", "muted")
        opening = QPushButton(self.tr("Open"))
        theme.set_icon(opening, "folder-open")
        menu = QMenu(opening)
        menu.addAction(self.tr("Folder of images…"), ask_folder)
        menu.addAction(self.tr("File of labels or archive…"), ask_file)
        menu.addAction(self.tr("Sample"), open_sample)
        opening.setMenu(menu)
        self.check_button = QPushButton(self.tr("Check"))
        self.check_button.setToolTip(self.tr("Look for unreadable images, duplicates, leaks between splits and odd pictures"))
        theme.set_icon(self.check_button, "check-circle")
        checks = QMenu(self.check_button)
        checks.addAction(self.tr("Check images"), lambda: self.check_wanted.emit())
        self.flips = checks.addAction(self.tr("Mirrored pictures are duplicates, too"))
        self.flips.setCheckable(True)
        self.flips.toggled.connect(lambda on: self.flips_changed.emit(on))
        self.check_button.setMenu(checks)
        split = QPushButton(self.tr("Split…"))
        split.setToolTip(self.tr("Who trains and who measures: shares, groups, folds"))
        theme.set_icon(split, "chart-pie-slice")
        split.clicked.connect(lambda: self.split_wanted.emit())
        train = QPushButton(self.tr("Train"))
        train.setProperty("role", "primary")
        train.setToolTip(self.tr("Go on to the training page (Ctrl+2)"))
        theme.set_icon(train, "arrow-right", "on_accent")
        train.clicked.connect(lambda: self.train_wanted.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 10, 16, 10)
        layout.setSpacing(theme.GRID)
        layout.addWidget(self.title)
        layout.addSpacing(8)
        layout.addWidget(self.facts, 1, Qt.AlignmentFlag.AlignBottom)
        for button in (opening, self.check_button, split, train):
            layout.addWidget(button)

    def show_data(self, opened: Opened) -> None:
        """Say what is open, and how many images take part."""
        self.title.setText(title_of(opened.config))
        self.title.setToolTip(opened.config.path or "")
        part = ~opened.table.excluded
        n, classes = int(part.sum()), len(opened.images.classes)
        names = (self.tr("training"), self.tr("validation"), self.tr("test"))
        counts = [(name, int(np.count_nonzero((opened.splits == i) & part))) for i, name in enumerate(names)]
        parts = [
            self.tr("1 image") if n == 1 else self.tr("{n} images").format(n=f"{n:,}"),
            self.tr("1 class") if classes == 1 else self.tr("{n} classes").format(n=f"{classes:,}"),
            ", ".join(f"{count:,} {name}" for name, count in counts if count),
        ]
        self.facts.setText("  ·  ".join(part for part in parts if part))


class CheckBar(QWidget):
    """How far a check has come; hidden while none is going."""

    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._text = QLabel()
        self._bar = QProgressBar(textVisible=False)
        self._bar.setAccessibleName(self.tr("Progress of the check"))
        cancel = QToolButton(toolTip=self.tr("Cancel the check"))
        cancel.setAccessibleName(self.tr("Cancel the check"))
        theme.set_icon(cancel, "x", "muted")
        cancel.clicked.connect(lambda: self.cancelled.emit())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 4, 8, 4)
        layout.addWidget(self._text)
        layout.addWidget(self._bar, 1)
        layout.addWidget(cancel)
        self.hide()

    def show_progress(self, done: int, total: int) -> None:
        """Images checked, and how many there are."""
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._text.setText(self.tr("Checking images: {done} of {all}").format(done=f"{done:,}", all=f"{total:,}"))
        self.show()
