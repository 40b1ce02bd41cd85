"""A problem shown in place, where its result would be: what happened, to what, and what to do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.problems import Described, describe, diagnostics


class ErrorView(QWidget):
    """Title, hint, detail and, for what was not expected, the traceback on request."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._described: Described | None = None
        picture = QLabel()
        theme.set_icon(picture, "warning-circle", "error", 24)
        self._title = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self._title.setProperty("role", "section")
        self._hint = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        for label in (self._title, self._hint):
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._detail = QPlainTextEdit(readOnly=True)
        self._detail.setAccessibleName(self.tr("Details of the problem"))
        self._details = QPushButton(self.tr("Details"), checkable=True)
        self._details.toggled.connect(self._detail.setVisible)
        self._copy = QPushButton(self.tr("Copy diagnostics"))
        theme.set_icon(self._copy, "copy")
        self._copy.setToolTip(self.tr("Versions, what happened and where, without images or names of people"))
        self._copy.clicked.connect(self._copy_diagnostics)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(theme.GRID)
        self._buttons.addWidget(self._details)
        self._buttons.addWidget(self._copy)
        self._buttons.addStretch(1)
        text = QVBoxLayout()
        text.setSpacing(theme.GRID)
        for widget in (self._title, self._hint):
            text.addWidget(widget)
        text.addLayout(self._buttons)
        text.addWidget(self._detail, 1)
        text.addStretch(0)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.setSpacing(16)
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(text, 1)

    def add_button(self, text: str, run: Callable[[], object]) -> QPushButton:
        """Offer a way on, left of the others."""
        button = QPushButton(text)
        button.clicked.connect(lambda: run())
        self._buttons.insertWidget(0, button)
        return button

    def show_problem(self, error: object) -> None:
        """Show this one. What the user can act on has its detail open; a traceback waits behind *Details*."""
        self._described = described = describe(error)
        self._title.setText(described.title)
        self._hint.setText(described.hint)
        self._hint.setVisible(bool(described.hint))
        self._detail.setPlainText(described.detail)
        self._detail.setFont(theme.font("body" if described.expected else "mono"))
        self._details.setVisible(bool(described.detail))
        self._copy.setVisible(not described.expected)
        self._details.setChecked(described.expected and bool(described.detail))
        self._detail.setVisible(self._details.isChecked())

    def title(self) -> str:
        """The title now shown."""
        return self._title.text()

    def hint(self) -> str:
        """The hint now shown."""
        return self._hint.text()

    def _copy_diagnostics(self) -> None:
        from PySide6.QtGui import QGuiApplication

        if self._described is not None:
            QGuiApplication.clipboard().setText(diagnostics(self._described))
