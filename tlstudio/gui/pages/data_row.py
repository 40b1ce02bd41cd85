"""The row of the train form that says which images are open. They are chosen on the data page; this only leads there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from tlstudio.gui import theme


class DataRow(QWidget):
    """An editor of ``data.path`` that shows its name and what is in there."""

    changed = Signal()
    wanted = Signal()
    """The user wants to choose other images."""
    resettable = False

    def __init__(self) -> None:
        super().__init__()
        self._path: str | None = None
        self._title, self._summary = "", ""
        self.name, self.facts = ElidedLabel(), ElidedLabel()
        self.facts.setProperty("role", "caption")
        button = QPushButton(self.tr("Open…"))
        button.setToolTip(self.tr("Choose other images on the data page"))
        button.clicked.connect(lambda: self.wanted.emit())
        text = QVBoxLayout()
        text.setSpacing(0)
        text.addWidget(self.name)
        text.addWidget(self.facts)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.GRID)
        layout.addLayout(text, 1)
        layout.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.setFocusProxy(button)
        self._show()

    def value(self) -> str | None:
        """The path, as it is opened."""
        return self._path

    def set_value(self, value: Any) -> None:
        """Another path."""
        self._path = None if value is None else str(value)
        self._show()
        self.changed.emit()

    def set_words(self, title: str, summary: str) -> None:
        """What to call data that have no path, and what is in them, such as "2 classes, 398 images"."""
        self._title, self._summary = title, summary
        self._show()

    def set_invalid(self, invalid: bool) -> None:
        """The reason below says it."""

    def _show(self) -> None:
        name = Path(self._path).name if self._path else self._title
        self.name.setText(name or self.tr("none yet"))
        self.facts.setText(self._summary)
        self.facts.setVisible(bool(self._summary))
        self.setToolTip("\n".join(part for part in (self._path or self._title, self._summary) if part))


class ElidedLabel(QLabel):
    """A line of plain text that ends in dots where it has no room."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:
        """As narrow as need be."""
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        """As much of the text as fits."""
        painter = QPainter(self)
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        now = theme.colors()
        color = now.muted if self.property("role") == "caption" else now.text
        painter.setPen(color if self.isEnabled() else theme.mix(now.muted, now.window, 0.5))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
