"""What a page shows while it has nothing: one sentence on what will be here, and the one next action."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from tlstudio.gui import theme


class EmptyState(QWidget):
    """A centred icon, title, sentence and buttons; the first button is the primary one."""

    def __init__(self, icon: str, title: str, sentence: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        theme.set_icon(self._picture, icon, "muted", 48)
        self._title = QLabel(title, alignment=Qt.AlignmentFlag.AlignCenter)
        self._title.setProperty("role", "title")
        self._sentence = _Sentence(sentence)
        self.body = QVBoxLayout()
        self.body.setSpacing(theme.GRID)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(32, 32, 32, 32)
        layout.addStretch(2)
        for widget, gap in ((self._picture, 16), (self._title, 8), (self._sentence, 24)):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
            layout.addSpacing(gap)
        layout.addLayout(self.body)
        layout.addStretch(3)
        self._buttons = 0

    def add_button(self, text: str, run: Callable[[], object], icon: str = "", tip: str = "") -> QPushButton:
        """Offer an action; returns its button."""
        button = QPushButton(text)
        button.setToolTip(tip)
        primary = self._buttons == 0
        if primary:
            button.setProperty("role", "primary")
        if icon:
            theme.set_icon(button, icon, "on_accent" if primary else "text")
        button.setMinimumWidth(30 * theme.GRID)
        button.clicked.connect(lambda: run())
        self._buttons += 1
        self.body.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
        return button

    def set_text(self, title: str, sentence: str) -> None:
        """Say something else."""
        self._title.setText(title)
        self._sentence.setText(sentence)


class _Sentence(QLabel):
    """A wrapped text that asks for the height it needs: a layout that centres a widget does not ask for it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.setProperty("role", "muted")
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        width = min(56 * theme.GRID, self.fontMetrics().horizontalAdvance(self.text()) + 8)
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def hasHeightForWidth(self) -> bool:
        return False  # the layout would ask for the height at its own, larger width
