"""The rail on the left: the pages in the order of work, with icons and words."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QButtonGroup, QFrame, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tlstudio.gui import theme


class Rail(QFrame):
    """Buttons for pages; ``entries`` are (name, title, icon, tooltip), an empty name is the gap before the lower ones."""

    chosen = Signal(object)
    """str: name of the page."""

    def __init__(self, entries: Sequence[tuple[str, str, str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("rail")
        self._entries = entries
        self._buttons: dict[str, QToolButton] = {}
        self._group = QButtonGroup(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setSpacing(2)
        for name, title, _icon, tip in entries:
            if not name:
                layout.addStretch(1)
                continue
            button = QToolButton(text=title, checkable=True, toolTip=tip)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(theme.RAIL_ICON, theme.RAIL_ICON))
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setAccessibleName(title)
            button.clicked.connect(lambda _checked=False, name=name: self.chosen.emit(name))
            self._group.addButton(button)
            self._buttons[name] = button
            layout.addWidget(button)
        self._restyle(theme.colors())
        theme.changed.connect(self._restyle)

    def show_page(self, name: str) -> None:
        """Mark the page that is shown."""
        self._buttons[name].setChecked(True)

    def button(self, name: str) -> QToolButton:
        """The button of a page."""
        return self._buttons[name]

    @Slot(object)
    def _restyle(self, now: theme.Colors) -> None:
        caption = theme.font("caption")
        caption.setBold(True)
        widest = max(QFontMetrics(caption).horizontalAdvance(title) for _name, title, _icon, _tip in self._entries)
        self.setFixedWidth(max(80, widest + 24))
        for name, _title, icon, _tip in self._entries:
            if name:
                self._buttons[name].setIcon(theme.icon(icon, now.muted, checked=now.accent, size=theme.RAIL_ICON))
