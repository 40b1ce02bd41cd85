"""Puts off what a widget does not need for being seen: it is done once the widget was painted for the first time."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Slot
from PySide6.QtWidgets import QWidget

_UNPAINTED_MS = 1000  # what is hidden or minimised is not painted, but gets ready all the same


def after_first_paint(widget: QWidget, then: Callable[[], object]) -> None:
    """Call ``then`` once, from the event loop, after the widget's next paint, or after a second without one."""
    _Waiting(widget, then)


class _Waiting(QObject):
    def __init__(self, widget: QWidget, then: Callable[[], object]) -> None:
        super().__init__(widget)
        self._then: Callable[[], object] | None = then
        widget.installEventFilter(self)
        QTimer.singleShot(_UNPAINTED_MS, self, self._go)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """After the paint, not in it."""
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self, self._go)
        return False

    @Slot()
    def _go(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            self.parent().removeEventFilter(self)
            then()
            self.deleteLater()
