"""A label that says less where there is less room, instead of cutting a number off."""

from __future__ import annotations

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget


class FittingLabel(QLabel):
    """Shows the first of its texts that fits, else the last; takes the room that others leave."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._texts: tuple[str, ...] = ("",)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def set_texts(self, *texts: str) -> None:
        """Show one of these, the longest first."""
        if texts != self._texts:
            self._texts = texts
            self._choose()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """There may be room for another text."""
        super().resizeEvent(event)
        self._choose()

    def _choose(self) -> None:
        measure, room = self.fontMetrics(), self.contentsRect().width()
        self.setText(next((text for text in self._texts if measure.horizontalAdvance(text) <= room), self._texts[-1]))
