"""A slim bar of plain sentences above a page's content: what was found, left out or chosen. Can be closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from tlstudio.gui import theme


class InfoBar(QFrame):
    """Shows the first sentence; the others on request. Hidden while it has nothing to say."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("infoBar")
        self._lines: tuple[str, ...] = ()
        picture = QLabel()
        theme.set_icon(picture, "info", "muted")
        self._text = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._more = QPushButton()
        self._more.setProperty("role", "link")
        self._more.clicked.connect(self._expand)
        self._action = QPushButton()
        self._action.clicked.connect(self._act)
        self._run: Callable[[], object] | None = None
        self._close = QToolButton(toolTip=self.tr("Hide"))
        self._close.setAccessibleName(self.tr("Hide this message"))
        theme.set_icon(self._close, "x", "muted")
        self._close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 4, 8, 4)
        layout.setSpacing(theme.GRID)
        layout.addWidget(picture)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._more)
        layout.addWidget(self._action)
        layout.addWidget(self._close)
        self.hide()

    def show_lines(
        self, lines: Sequence[str], action: str = "", run: Callable[[], object] | None = None, *, closable: bool = True
    ) -> None:
        """Show these sentences, and a button that does something about it; no sentence hides the bar."""
        self._close.setVisible(closable)
        self._run = run
        self._action.setText(action)
        self._action.setVisible(run is not None)
        self._lines = tuple(line for line in lines if line)
        self._text.setText(self._lines[0] if self._lines else "")
        rest = len(self._lines) - 1
        self._more.setText(self.tr("{n} more").format(n=rest))
        self._more.setVisible(rest > 0)
        self.setVisible(bool(self._lines))

    def text(self) -> str:
        """What can be read now."""
        return self._text.text()

    def action(self) -> str:
        """What the button offers; empty where there is none."""
        return "" if self._run is None else self._action.text()

    def _act(self) -> None:
        if self._run is not None:
            self._run()

    def _expand(self) -> None:
        self._text.setText("\n".join(self._lines))
        self._more.hide()
