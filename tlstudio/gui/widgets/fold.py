"""A heading that unfolds what belongs to it, and says how much of it is not as it was by default."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from tlstudio.gui import theme


class Fold(QWidget):
    """Folded at first."""

    toggled = Signal(object)
    """bool: it is open now, or folded."""

    def __init__(self, title: str, body: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self.body = body
        self.heading = QPushButton(title, self)
        self.heading.setCheckable(True)
        theme.set_role(self.heading, "fold")
        self.heading.toggled.connect(self._toggle)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addWidget(self.heading, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(body)
        self._toggle(False)

    @property
    def is_open(self) -> bool:
        """Whether what belongs to it is shown."""
        return self.heading.isChecked()

    def set_open(self, open_: bool) -> None:
        """Show what belongs to it, or no longer."""
        self.heading.setChecked(open_)

    def set_changed(self, count: int) -> None:
        """How many values in it are not the defaults."""
        text = self.tr("{title} ({n} changed)").format(title=self._title, n=count) if count else self._title
        self.heading.setText(text)

    @Slot(bool)
    def _toggle(self, open_: bool) -> None:
        self.body.setVisible(open_)
        theme.set_icon(self.heading, "caret-down" if open_ else "caret-right", "muted")
        self.toggled.emit(open_)
