"""Editors of single values. Each has ``value()``, ``set_value()``, ``set_invalid()`` and a signal ``changed``.

An editor hands out whatever was typed, also what is no valid value: judging it is the configuration model's work.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QWidget,
)

from tlstudio.gui import theme

_SERIES = (1.0, 2.0, 5.0, 10.0)
MIN_WIDTH = 80
"""Pixels; so that a form can be narrow."""


class Editor(Protocol):
    """What a form needs of an editor; all of them are widgets."""

    changed: Signal

    def value(self) -> Any:
        """What is entered, valid or not."""

    def set_value(self, value: Any) -> None:
        """Show this value."""

    def set_invalid(self, invalid: bool) -> None:
        """Frame it as wrong, or no longer."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The range of a number; ``open_`` ends do not belong to it."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def contain(self, value: float) -> bool:
        """Whether the value lies in the range."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below


class NumberBox(QAbstractSpinBox):
    """A whole or real number; empty means automatic where that is allowed. Real ones may be typed as 1e-3.

    Args:
        whole: whether it is an integer.
        optional: whether it may be empty.
        bounds: the range; typing beyond it is possible, stepping is not.
        logarithmic: whether steps go 1, 2, 5, 10, … instead of by a fixed amount.
        unit: shown inside, at the right.
    """

    changed = Signal()

    def __init__(
        self, *, whole: bool, optional: bool, bounds: Bounds, logarithmic: bool = False, unit: str = "", step: float = 1.0
    ) -> None:
        super().__init__()
        self._whole, self._optional, self._bounds = whole, optional, bounds
        self._logarithmic, self._step = logarithmic, step
        self._automatic: float | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(MIN_WIDTH)
        self._unit = QLabel(unit, self)
        self._unit.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self._unit.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._unit.setVisible(bool(unit))
        self.set_automatic(None)
        self.lineEdit().textChanged.connect(self.changed)

    def value(self) -> Any:
        """The number, ``None`` for automatic, or the text where it is no number."""
        text = self.lineEdit().text().strip().replace(",", ".")
        if not text:
            return None if self._optional else ""
        try:
            return int(text) if self._whole else float(text)
        except ValueError:
            return text

    def set_value(self, value: Any) -> None:
        """Show a number, or nothing for automatic."""
        self.lineEdit().setText("" if value is None else number_text(value))

    def add_tool(self, icon: str, tip: str, run: Callable[[], object]) -> QAction:
        """A small button inside, at the right, that helps to find a value."""
        action = QAction(tip, self.lineEdit())
        action.setToolTip(tip)
        theme.set_icon(action, icon, "muted")
        action.triggered.connect(lambda _checked=False: run())
        self.lineEdit().addAction(action, QLineEdit.ActionPosition.TrailingPosition)
        return action

    @property
    def automatic(self) -> float | None:
        """What automatic comes to, where somebody knows."""
        return self._automatic

    def set_automatic(self, value: float | None) -> None:
        """What automatic would come to; shown in grey while the field is empty."""
        self._automatic = value
        if self._optional:
            text = self.tr("auto") if value is None else self.tr("auto ({value})").format(value=number_text(value))
            self.lineEdit().setPlaceholderText(text)

    def set_invalid(self, invalid: bool) -> None:
        """Frame it as wrong."""
        mark(self, invalid)

    def paintEvent(self, event: QPaintEvent) -> None:
        """As usual, with a frame where it is wrong (by the stylesheet, the arrows would be lost)."""
        super().paintEvent(event)
        frame(self)

    def stepBy(self, steps: int) -> None:
        """One step up or down, from the automatic value where the field is empty; never out of the range."""
        value = self.value()
        if not isinstance(value, int | float):
            value = self._automatic if self._automatic is not None else max(self._bounds.low, 0.0)
        for _ in range(abs(steps)):
            value = self._stepped(float(value), 1 if steps > 0 else -1)
        if self._bounds.contain(value):
            self.set_value(round(value) if self._whole else value)

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Both ways; the ends are looked at when stepping."""
        return QAbstractSpinBox.StepEnabledFlag.StepUpEnabled | QAbstractSpinBox.StepEnabledFlag.StepDownEnabled

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling over the form must not change values."""
        only_with_focus(self, event, super().wheelEvent)

    def changeEvent(self, event: QEvent) -> None:
        """The unit pales with the rest."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.EnabledChange:
            role = QPalette.ColorRole.PlaceholderText if self.isEnabled() else QPalette.ColorRole.WindowText
            self._unit.setForegroundRole(role)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the unit at the right end of the text."""
        super().resizeEvent(event)
        if not self._unit.isHidden():
            size = self._unit.sizeHint()
            edit = self.lineEdit().geometry()
            self._unit.setGeometry(
                edit.right() - size.width() - 4, edit.center().y() - size.height() // 2, size.width(), size.height()
            )
            self.lineEdit().setTextMargins(0, 0, size.width() + theme.GRID, 0)

    def sizeHint(self) -> QSize:
        """As high as a list."""
        return QSize(120, max(super().sizeHint().height(), self.fontMetrics().height() + 10))

    def minimumSizeHint(self) -> QSize:
        """The same height, a few digits wide."""
        return QSize(MIN_WIDTH, self.sizeHint().height())

    def _stepped(self, value: float, direction: int) -> float:
        if not self._logarithmic:
            return round(value + direction * self._step, 10)
        if value <= 0.0:
            return 1e-5 if direction > 0 else 0.0
        power = math.floor(math.log10(value) + 1e-9)
        lead = value / 10.0**power
        if direction > 0:
            lead = next((number for number in _SERIES if number > lead * (1 + 1e-9)), 20.0)
        else:
            lead = next((number for number in reversed((0.5, *_SERIES)) if number < lead * (1 - 1e-9)), 0.5)
        return float(f"{lead * 10.0**power:.3g}")


class TextBox(QLineEdit):
    """Text; empty means ``None`` where that is allowed."""

    changed = Signal()

    def __init__(self, *, optional: bool = False) -> None:
        super().__init__()
        self._optional = optional
        self.setMinimumWidth(MIN_WIDTH)
        if optional:
            self.setPlaceholderText(self.tr("auto"))
        self.textChanged.connect(self.changed)

    def value(self) -> Any:
        """The text."""
        return None if self._optional and not self.text() else self.text()

    def set_value(self, value: Any) -> None:
        """Show it."""
        self.setText("" if value is None else str(value))

    def set_invalid(self, invalid: bool) -> None:
        """Frame it as wrong."""
        mark(self, invalid)

    def paintEvent(self, event: QPaintEvent) -> None:
        """As usual, with a frame where it is wrong."""
        super().paintEvent(event)
        frame(self)


class JsonBox(TextBox):
    """Anything else, as JSON."""

    def value(self) -> Any:
        """The value, or the text where it is no JSON."""
        try:
            return json.loads(self.text())
        except ValueError:
            return self.text() or None

    def set_value(self, value: Any) -> None:
        """Show it as JSON."""
        self.setText("" if value is None else json.dumps(value, ensure_ascii=False, default=str))
        self.setCursorPosition(0)  # the beginning says more than the end


class SwitchBox(QCheckBox):
    """Yes or no."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.toggled.connect(lambda _on: self.changed.emit())

    def value(self) -> bool:
        """Whether it is ticked."""
        return self.isChecked()

    def set_value(self, value: Any) -> None:
        """Tick it or not."""
        self.setChecked(bool(value))

    def set_invalid(self, invalid: bool) -> None:
        """A tick is never wrong by itself."""
        mark(self, invalid)


def number_text(value: float) -> str:
    """A number as one types it, such as 32, 0.2 or 1e-4; reading it back gives the same number."""
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e6):
        return str(int(value))
    if not isinstance(value, float):
        return str(value)
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:.6g}"
    else:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text if float(text) == value else repr(value)


def mark(widget: QWidget, invalid: bool) -> None:
    """Have an editor framed as wrong, or no longer."""
    if bool(widget.property("wrong")) != invalid:
        widget.setProperty("wrong", invalid)
        widget.update()


def frame(widget: QWidget) -> None:
    """Paint that frame; at the end of an editor's own painting."""
    if widget.property("wrong"):
        painter = QPainter(widget)
        painter.setPen(QPen(theme.colors().error, 1))
        painter.drawRoundedRect(widget.rect().adjusted(0, 0, -1, -1), 3, 3)


def only_with_focus(widget: QWidget, event: QWheelEvent, handle: Any) -> None:
    """Let an editor have a turn of the wheel only while it has the keyboard."""
    if widget.hasFocus():
        handle(event)
    else:
        event.ignore()
