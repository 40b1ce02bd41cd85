"""The editor of a value that is one of several: a list, of which some entries may say why they cannot be taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QFont, QMouseEvent, QPaintEvent, QStandardItem, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QComboBox, QSizePolicy, QStyle, QStyleOptionComboBox, QStylePainter

from tlstudio.gui import theme
from tlstudio.gui.widgets.editors import MIN_WIDTH, frame, mark, only_with_focus

_MAX_VISIBLE = 20


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One entry of a list: the value, what the user reads, and why it cannot be taken if it cannot; or a heading over some."""

    value: Any
    title: str
    about: str = ""
    enabled: bool = True
    heading: bool = False


class ChoiceBox(QComboBox):
    """One of several values."""

    changed = Signal()

    def __init__(self, choices: Sequence[Choice] = ()) -> None:
        super().__init__()
        self._choices: list[Choice] = []
        self._opened = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setMaxVisibleItems(_MAX_VISIBLE)
        self.setMinimumWidth(MIN_WIDTH)
        self.set_choices(choices)
        self.currentIndexChanged.connect(self._picked)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What can be chosen."""
        return tuple(self._choices)

    def set_choices(self, choices: Sequence[Choice]) -> None:
        """Offer others; what was chosen stays chosen, as an entry of its own if need be."""
        kept = self._choices[self.currentIndex()] if self._choices else None
        blocked = self.blockSignals(True)
        self.clear()
        self._choices = []
        for choice in choices:
            self._add(choice)
        if kept is not None:
            self._select(kept.value)
        self.blockSignals(blocked)
        self._show_tip()

    def value(self) -> Any:
        """The chosen value."""
        index = self.currentIndex()
        return self._choices[index].value if 0 <= index < len(self._choices) else None

    def set_value(self, value: Any) -> None:
        """Choose it; a value that is not offered becomes an entry, so that nothing is lost."""
        self._select(value)
        self._show_tip()

    def set_invalid(self, invalid: bool) -> None:
        """Frame it as wrong."""
        mark(self, invalid)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling over the form must not change values."""
        only_with_focus(self, event, super().wheelEvent)

    def paintEvent(self, event: QPaintEvent) -> None:
        """As usual, but a text that does not fit ends in dots."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        style = self.style()
        room = style.subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        ).width()
        room -= 0 if option.currentIcon.isNull() else option.iconSize.width() + 4
        option.currentText = self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room - 4)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        frame(self)

    def showPopup(self) -> None:
        """The list is as wide as its longest entry; its headings have the colour of the theme."""
        for row, choice in enumerate(self._choices):
            if choice.heading:
                self._item(row).setForeground(theme.colors().muted)
        if not self._opened:
            self._opened = True
            self.view().viewport().installEventFilter(self)
        self.view().setMinimumWidth(min(640, self.view().sizeHintForColumn(0) + 4 * theme.GRID))
        super().showPopup()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A click on what cannot be taken takes nothing; Qt would take the entry that the mouse passed before it."""
        if event.type() == QEvent.Type.MouseButtonRelease and isinstance(event, QMouseEvent):
            index = self.view().indexAt(event.position().toPoint())
            if index.isValid() and not index.flags() & Qt.ItemFlag.ItemIsEnabled:
                return True
        return super().eventFilter(watched, event)

    def _add(self, choice: Choice) -> None:
        self._choices.append(choice)
        item = QStandardItem(choice.title)
        item.setToolTip(choice.about)
        item.setEnabled(choice.enabled and not choice.heading)
        if choice.heading:
            bold = QFont()
            bold.setBold(True)
            item.setFont(bold)  # the rest of it is the list's, whatever size it has
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        model.appendRow(item)

    def _item(self, row: int) -> QStandardItem:
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        return model.item(row)

    def _select(self, value: Any) -> None:
        index = next((i for i, choice in enumerate(self._choices) if choice.value == value), -1)
        if index < 0:
            self._add(Choice(value=value, title=self.tr("automatic") if value is None else str(value)))
            index = len(self._choices) - 1
        self.setCurrentIndex(index)

    def _picked(self, _index: int) -> None:
        self._show_tip()
        self.changed.emit()

    def _show_tip(self) -> None:
        index = self.currentIndex()
        if 0 <= index < len(self._choices) and self._choices[index].about:
            self.setToolTip(self._choices[index].about)
