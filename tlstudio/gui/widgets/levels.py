"""Which of the 65,536 greys of a 16-bit picture are shown, from black to white: what radiology calls window and level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRect, Qt, Signal
from PySide6.QtGui import QLinearGradient, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QToolButton, QWidget

from tlstudio.gui import theme

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

FULL = (0, 65_535)
_SHARE = 0.5
"""Percent of the pixels that the automatic range leaves to black, and to white."""
_BAND_PIXELS = 2**19
_END = 8
"""Pixels beside the track, so that a handle at its end is whole."""


def auto_range(greys: NDArray[np.uint16]) -> tuple[int, int]:
    """From the 0.5th to the 99.5th percentile; at least one step wide."""
    import numpy as np

    counts = np.zeros(FULL[1] + 1, np.int64)
    for band in _bands(greys):
        counts += np.bincount(band.ravel(), minlength=len(counts))
    below = np.cumsum(counts) / max(1, greys.size)
    low, high = (int(np.searchsorted(below, share)) for share in (_SHARE / 100, 1 - _SHARE / 100))
    low = min(low, FULL[1] - 1)
    return low, max(low + 1, min(high, FULL[1]))


def apply_range(greys: NDArray[np.uint16], low: int, high: int) -> Image:
    """An 8-bit picture ``(H, W)``: ``low`` and what is below is black, ``high`` and what is above white."""
    import numpy as np
    from PIL import Image

    shades = np.clip(np.rint((np.arange(FULL[1] + 1) - low) * (255 / max(1, high - low))), 0, 255).astype(np.uint8)
    result = np.empty(greys.shape, np.uint8)
    for into, band in zip(_bands(result), _bands(greys), strict=True):
        np.take(shades, band, out=into)
    return Image.fromarray(result)


def _bands(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Parts of a few milliseconds' work, between which the window gets its turn."""
    rows = max(1, _BAND_PIXELS // max(1, array.shape[1]))
    return (array[top : top + rows] for top in range(0, len(array), rows))


class LevelsBar(QWidget):
    """Two numbers with a slider between them, *Auto* and *All*."""

    changed = Signal()
    """The range, or whether it is automatic."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = (self._box(self.tr("Shown as black")), self._box(self.tr("Shown as white")))
        self.slider = RangeSlider()
        self.slider.moved.connect(lambda: self._set_by_hand(*self.slider.values()))
        self.auto = QToolButton(text=self.tr("Auto"), checkable=True)
        self.auto.setToolTip(self.tr("For each picture from its 0.5th to its 99.5th percentile"))
        self.auto.toggled.connect(lambda _on: self.changed.emit())
        everything = QToolButton(text=self.tr("All"))
        everything.setToolTip(self.tr("All greys, 0 to 65,535: as training sees them"))
        everything.clicked.connect(lambda: self._set_by_hand(*FULL))
        label = QLabel(self.tr("16-bit greys"))
        label.setProperty("role", "caption")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 4, 8, 4)
        layout.setSpacing(theme.GRID)
        for widget in (label, self._low):
            layout.addWidget(widget)
        layout.addWidget(self.slider, 1)
        for widget in (self._high, self.auto, everything):
            layout.addWidget(widget)
        self.set_range(*FULL)

    def _box(self, name: str) -> QSpinBox:
        box = QSpinBox(minimum=FULL[0], maximum=FULL[1], groupSeparatorShown=True, keyboardTracking=False)
        box.setAccessibleName(name)
        box.setToolTip(name)
        box.setSingleStep(256)
        box.valueChanged.connect(self._typed)
        return box

    def values(self) -> tuple[int, int]:
        """The greys shown as black and as white."""
        return self._low.value(), self._high.value()

    def set_range(self, low: int, high: int) -> None:
        """Show another range, without telling."""
        for box, value in ((self._low, low), (self._high, high)):
            blocked = box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(blocked)
        self.slider.set_values(low, high)

    def _typed(self, _value: int) -> None:
        low, high = self.values()
        if low >= high and self.sender() is self._high:
            low = max(FULL[0], high - 1)
        self._set_by_hand(low, high)

    def _set_by_hand(self, low: int, high: int) -> None:
        low = min(low, FULL[1] - 1)
        self.set_range(low, max(high, low + 1))
        blocked = self.auto.blockSignals(True)
        self.auto.setChecked(False)
        self.auto.blockSignals(blocked)
        self.changed.emit()


class RangeSlider(QWidget):
    """A slider with two handles for the mouse; the numbers beside it are for the keyboard."""

    moved = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._values = list(FULL)
        self._held: int | None = None
        self._grip = (0, 0)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(3 * theme.GRID)
        self.setMinimumWidth(15 * theme.GRID)
        self.setToolTip(self.tr("Drag the ends, or the part between them"))
        theme.changed.connect(self._repaint)

    def values(self) -> tuple[int, int]:
        """Both ends."""
        return self._values[0], self._values[1]

    def set_values(self, low: int, high: int) -> None:
        """Show these."""
        self._values = [low, high]
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A track that goes from black to white between two handles."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        now, middle = theme.colors(), self.height() // 2
        low, high = map(self._place, self._values)
        shades = QLinearGradient(low, 0, high, 0)
        shades.setColorAt(0, Qt.GlobalColor.black)
        shades.setColorAt(1, Qt.GlobalColor.white)
        painter.setPen(QPen(now.line, 1))
        painter.setBrush(shades)
        painter.drawRoundedRect(QRect(_END, middle - 3, self.width() - 2 * _END, 6), 3, 3)
        painter.setBrush(now.base)
        painter.setPen(QPen(now.accent, 2))
        for at in (low, high):
            painter.drawEllipse(QRect(at - 6, middle - 6, 12, 12))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Hold the end that is nearest, or both between them."""
        x = event.position().x()
        low, high = map(self._place, self._values)
        near = [abs(x - low), abs(x - high)]
        between = low < x < high and min(near) > 2 * _END
        self._held = 2 if between else int(near[1] < near[0] or (near[0] == near[1] and x > high))
        self._grip = (self._value(x) - self._values[0], self._values[1] - self._values[0])
        self.mouseMoveEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move what is held."""
        if self._held is None:
            return
        value = self._value(event.position().x())
        if self._held == 2:
            offset, width = self._grip
            low = min(max(FULL[0], value - offset), FULL[1] - width)
            self._values = [low, low + width]
        elif self._held == 0:
            self._values[0] = min(value, self._values[1] - 1)
        else:
            self._values[1] = max(value, self._values[0] + 1)
        self.update()
        self.moved.emit()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:
        """Let go."""
        self._held = None

    def _place(self, value: int) -> int:
        return round(_END + (self.width() - 2 * _END) * value / FULL[1])

    def _value(self, x: float) -> int:
        share = (x - _END) / max(1, self.width() - 2 * _END)
        return round(min(1.0, max(0.0, share)) * FULL[1])

    def _repaint(self, _colors: object) -> None:
        self.update()
