"""The bar above the table of runs: search and filters at the left, what can be done with the chosen runs at the right."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QWidget,
)

from tlstudio.gui import theme
from tlstudio.gui.pages.runs_model import status_text

_STATUSES = ("completed", "running", "queued", "stopped", "interrupted", "failed", "cancelled")


class RunsBar(QWidget):
    """Tells what is searched for; the page connects the buttons."""

    status_changed = Signal(object)
    """str: show only runs of this status; empty for all."""
    tag_changed = Signal(object)
    """str: show only runs with this tag; empty for all."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.search = QLineEdit()
        self.status = QComboBox()
        self.tag = QComboBox()
        self.columns = QToolButton()
        self.columns_menu = QMenu(self)
        self._make_filters()
        self.predict = self._button(self.tr("Predict"), "image", self.tr("Use this run's model on other images (Enter)"))
        self.evaluate = self._button(self.tr("Evaluate"), "chart-bar", self.tr("Look at this model's errors"))
        self.reproduce = self._button(
            self.tr("Reproduce"), "repeat",
            self.tr("Train once more exactly as this run did: same settings, seed and split. Says before if anything differs."),
        )  # fmt: skip
        self.again = self._button(
            self.tr("Train again …"), "sliders-horizontal", self.tr("Put these settings into the train page, to change them")
        )
        self.reveal = self._tool("folder-open", self.tr("Open the run's folder"))
        self.export = self._tool("export", self.tr("Save the table as CSV: the chosen runs if several are, else all shown"))
        self.delete = self._tool("trash", self.tr("Move the chosen runs to the trash (Del)"), "error")
        self._arrange()

    def set_tags(self, tags: Iterable[str]) -> None:
        """Offer these tags."""
        found = {tag.casefold(): tag for tag in tags}
        names = [found[key] for key in sorted(found)]
        if names == [self.tag.itemData(place) for place in range(1, self.tag.count())]:
            return
        chosen = self.tag.currentData() or ""
        self.tag.blockSignals(True)
        self.tag.clear()
        self.tag.addItem(self.tr("All tags"), "")
        for name in names:
            self.tag.addItem(name, name)
        self.tag.setCurrentIndex(max(0, self.tag.findData(chosen)))
        self.tag.blockSignals(False)
        self.tag.setVisible(bool(names))
        if self.tag.currentData() != chosen:
            self.tag_changed.emit("")

    @Slot()
    def clear(self) -> None:
        """Show all runs again."""
        self.search.clear()
        self.status.setCurrentIndex(0)
        self.tag.setCurrentIndex(0)

    def _make_filters(self) -> None:
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setToolTip(self.tr("Words that must occur in names, data, notes, tags or ids (Ctrl+F)"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(self.tr("Search the runs"))
        self.search.setMaximumWidth(26 * theme.GRID)
        self.status.addItem(self.tr("Any status"), "")
        for status in _STATUSES:
            self.status.addItem(status_text(status).capitalize(), status)
        self.status.setAccessibleName(self.tr("Status"))
        self.status.currentIndexChanged.connect(lambda _place: self.status_changed.emit(self.status.currentData()))
        self.tag.addItem(self.tr("All tags"), "")
        self.tag.setAccessibleName(self.tr("Tag"))
        self.tag.setMaximumWidth(18 * theme.GRID)
        self.tag.hide()
        self.tag.currentIndexChanged.connect(lambda _place: self.tag_changed.emit(self.tag.currentData() or ""))
        self.columns.setToolTip(self.tr("Choose the columns"))
        self.columns.setAccessibleName(self.tr("Columns"))
        theme.set_icon(self.columns, "columns")
        self.columns.setText(self.tr("Columns"))
        self.columns.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.columns.setMenu(self.columns_menu)
        self.columns.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _button(self, text: str, icon: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        theme.set_icon(button, icon)
        return button

    def _tool(self, icon: str, tip: str, color: str = "text") -> QAbstractButton:
        button = QToolButton()
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        theme.set_icon(button, icon, color)
        return button

    def _arrange(self) -> None:
        title = QLabel(self.tr("Runs"))
        title.setProperty("role", "title")
        bar = QHBoxLayout(self)
        bar.setContentsMargins(2 * theme.GRID, 12, 2 * theme.GRID, theme.GRID)
        bar.setSpacing(theme.GRID)
        bar.addWidget(title)
        bar.addSpacing(theme.GRID)
        bar.addWidget(self.search, 1)
        for widget in (self.status, self.tag, self.columns):
            bar.addWidget(widget)
        bar.addStretch(1)
        for button in (self.predict, self.evaluate, self.reproduce, self.again, self.reveal, self.export, self.delete):
            bar.addWidget(button)
