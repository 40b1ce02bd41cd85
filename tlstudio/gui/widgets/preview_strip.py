"""A row of training images as the network will see them, with another draw of the variation on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tlstudio.gui import theme

SIDE = 56
COUNT = 20


class PreviewStrip(QWidget):
    """Shows small pictures in a row; as many as fit."""

    another_wanted = Signal()
    """The user asks for another random draw."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._caption = QLabel()
        self._caption.setProperty("role", "caption")
        self._row = _Row()
        self._another = QToolButton()
        self._another.setToolTip(self.tr("Draw the random variation anew"))
        self._another.setAccessibleName(self._another.toolTip())
        theme.set_icon(self._another, "shuffle", "muted")
        policy = self._another.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._another.setSizePolicy(policy)
        self._another.clicked.connect(lambda: self.another_wanted.emit())
        top = QHBoxLayout()
        top.addWidget(self._caption)
        top.addWidget(self._another)
        top.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addLayout(top)
        layout.addWidget(self._row)
        self.set_images((), "")

    def set_images(self, images: Sequence[NDArray[np.uint8]], caption: str, *, random: bool = False) -> None:
        """Show these ``(S, S, 3)`` arrays; ``random`` ones can be drawn anew."""
        self._row.pictures = [to_qimage(array) for array in images]
        self._row.setAccessibleName(caption)
        self._row.setToolTip(caption)
        self._row.update()
        self._caption.setText(caption)
        self._another.setVisible(random and bool(images))

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self._row.pictures)


class _Row(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[QImage] = []
        self.setFixedHeight(SIDE)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(SIDE * 6, SIDE)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for index in range(COUNT):
            place = QRect(index * (SIDE + theme.HALF), 0, SIDE, SIDE)
            if place.right() > self.width():
                break
            if index < len(self.pictures):
                painter.drawImage(place, self.pictures[index])
            elif not self.pictures:
                painter.fillRect(place, theme.colors().raised)


def to_qimage(array: NDArray[np.uint8]) -> QImage:
    """A picture of its own from ``(H, W, 3)`` uint8, small enough for the strip."""
    data = np.ascontiguousarray(array)
    height, width, _ = data.shape
    image = QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    return image.scaled(2 * SIDE, 2 * SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
