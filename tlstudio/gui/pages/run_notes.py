"""The user's notes and tags of one run, written where its details are. Keeps nothing itself; it tells what was written."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QFocusEvent, QHideEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.runs.notes import RunNotes, clean_tags
from tlstudio.runs.store import RunInfo

_PAUSE_MS = 1000
_LINES = 3


class _Text(QPlainTextEdit):
    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Whoever wrote here goes elsewhere."""
        super().focusOutEvent(event)
        self.left.emit()


class NotesEdit(QWidget):
    """What is written is told after a pause, and whenever the user goes elsewhere."""

    written = Signal(object, object)
    """RunInfo, RunNotes: the run, and what is said of it now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run: RunInfo | None = None
        self._told = RunNotes()
        self.tags = QLineEdit()
        self.tags.setPlaceholderText(self.tr("Tags, with commas between"))
        self.tags.setAccessibleName(self.tr("Tags"))
        self.text = _Text()
        self.text.setPlaceholderText(self.tr("Notes"))
        self.text.setAccessibleName(self.tr("Notes"))
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(_LINES * self.text.fontMetrics().lineSpacing() + 2 * theme.GRID)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self.flush)
        self.tags.textEdited.connect(self._pause.start)
        self.tags.editingFinished.connect(self.flush)
        self.text.textChanged.connect(self._typed)
        self.text.left.connect(self.flush)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addWidget(self.text)
        layout.addWidget(self.tags)

    def show_run(self, run: RunInfo | None) -> None:
        """Show what is said of a run; what is being written of it stays."""
        same = run is not None and self._run is not None and run.id == self._run.id
        if not same:
            self.flush()
        unsaid = same and self._said() != self._told
        self._run = run
        self._told = RunNotes() if run is None else RunNotes(text=run.notes, tags=run.tags)
        if unsaid or (same and self._said() == self._told):
            return
        self.text.blockSignals(True)
        self.text.setPlainText(self._told.text)
        self.text.blockSignals(False)
        self.tags.setText(", ".join(self._told.tags))
        self.setEnabled(run is not None)

    @Slot()
    def flush(self) -> None:
        """Tell what was written and not told yet."""
        self._pause.stop()
        said = self._said()
        if self._run is not None and said != self._told:
            self._told = said
            self.written.emit(self._run, said)

    def hideEvent(self, event: QHideEvent) -> None:
        """Out of sight, nothing waits."""
        self.flush()
        super().hideEvent(event)

    def _said(self) -> RunNotes:
        return RunNotes(text=self.text.toPlainText().strip(), tags=clean_tags([self.tags.text()]))

    @Slot()
    def _typed(self) -> None:
        self._pause.start()
