"""A problem as a dialog: what happened, what to do, *Details* with the traceback, *Copy diagnostics*. One at a time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.problems import describe
from tlstudio.gui.widgets.error_view import ErrorView


class ErrorDialog(QDialog):
    """Shows problems without blocking the event loop; those that come while it is open are counted, not stacked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Problem"))
        self.setMinimumWidth(64 * theme.GRID)
        self.view = ErrorView()
        self._more = QLabel()
        self._more.setProperty("role", "caption")
        self._more.setContentsMargins(24, 0, 24, 0)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setIcon(QIcon())
        buttons.setContentsMargins(24, 8, 24, 16)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._more)
        layout.addWidget(buttons)
        self._waiting = 0

    def show_problem(self, error: object) -> None:
        """Show a problem, or count it where one is shown already."""
        if self.isVisible():
            self._waiting += 1
            self._more.setText(self.tr("{n} more since then; the log has all of them.").format(n=self._waiting))
            self._more.show()
            return
        self._waiting = 0
        self._more.hide()
        self.view.show_problem(describe(error))
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.adjustSize()
        self.open()
