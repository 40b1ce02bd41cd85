"""How a run ended, as a card: its result and what to do with it, or what went wrong and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from tlstudio.api.events import EpochDone, RunFailed, RunFinished, RunPaused
from tlstudio.gui import theme


class ResultCard(QFrame):
    """The figure that counts, where the model lies, and the next steps."""

    predict_wanted = Signal()
    show_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self._folder = ""
        self.headline = _label("section")
        self.place = _label("muted")
        self.advice = _label("")
        self._predict = _action(self.tr("Predict"), "image", self.tr("Use this model on other images"))
        self._show = _action(self.tr("Show run"), "list-bullets", self.tr("Curves, settings and notes of this run"))
        self._reveal = _action(self.tr("Reveal folder"), "folder-open", self.tr("Open the run's folder in the file manager"))
        self._predict.clicked.connect(lambda: self.predict_wanted.emit())
        self._show.clicked.connect(lambda: self.show_wanted.emit())
        self._reveal.clicked.connect(self._open_folder)
        text = QVBoxLayout()
        text.setSpacing(theme.HALF)
        text.addWidget(self.headline)
        text.addWidget(self.place)
        top = QHBoxLayout()
        top.addLayout(text, 1)
        for button in (self._predict, self._show, self._reveal):
            top.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(theme.HALF)
        layout.addLayout(top)
        layout.addWidget(self.advice)  # over the whole width: it may be three lines long
        layout.addStretch(1)

    def show_result(self, event: RunFinished, *, folder: str, best: EpochDone | None) -> None:
        """Show how this run ended."""
        self._folder = folder
        kept = bool(event.model)
        self._predict.setVisible(kept)
        if not kept:
            self.headline.setText(self.tr("Cancelled: no model is kept."))
        else:
            self.headline.setText(self._headline(event))
        self.place.setText(
            self.tr("Model saved in {folder}").format(folder=Path(folder).name)
            if kept
            else self.tr("The curves stay in {folder}").format(folder=Path(folder).name)
        )
        self.place.setToolTip(event.model or folder)
        self.set_advice(())

    def set_advice(self, texts: Sequence[str]) -> None:
        """What the run advises; all of it in the tooltip, the newest in sight."""
        self.advice.setText(texts[-1] if texts else "")
        self.advice.setToolTip("\n\n".join(texts))
        self.advice.setVisible(bool(texts))

    def _headline(self, event: RunFinished) -> str:
        epoch = event.best_epoch + 1
        for key, text in (
            ("val_accuracy", self.tr("Validation accuracy {value} % at epoch {n}")),
            ("train_accuracy", self.tr("Training accuracy {value} % at epoch {n} (nothing kept aside to validate)")),
        ):
            if key in event.metrics:
                return text.format(value=f"{100 * event.metrics[key]:.1f}", n=epoch)
        return self.tr("Best epoch: {n}").format(n=epoch)

    def _open_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(self._folder))


class FailureCard(QFrame):
    """What happened, what to do, and the details on request."""

    details_wanted = Signal(object)
    """RunFailed: show all there is to know."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        self._event: RunFailed | None = None
        picture = QLabel()
        theme.set_icon(picture, "warning-circle", "error", 24)
        self.title = _label("section")
        self.hint = _label("")
        details = _action(self.tr("Details"), "magnifying-glass", self.tr("The whole message, to read or to copy"))
        details.clicked.connect(lambda: self.details_wanted.emit(self._event))
        text = QVBoxLayout()
        text.setSpacing(theme.HALF)
        text.addWidget(self.title)
        text.addWidget(self.hint)
        text.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(text, 1)
        layout.addWidget(details, 0, Qt.AlignmentFlag.AlignTop)

    def show_failure(self, event: RunFailed) -> None:
        """Show this one."""
        self._event = event
        self.title.setText(event.error)
        self.title.setToolTip(event.error)
        first = event.detail.splitlines()[0] if event.detail and event.hint else ""
        self.hint.setText(event.hint or first)


class HeldCard(QFrame):
    """Why a run is held that cannot be saved, and what to do about it."""

    again_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("card", True)
        picture = QLabel()
        theme.set_icon(picture, "warning", "error", 24)
        self.title = _label("section")
        self.hint = _label("")
        self.state = _label("muted")
        self.again = _action(self.tr("Try again"), "arrow-clockwise", self.tr("Save the run now, and go on with it"))
        self.again.clicked.connect(self._try_again)
        text = QVBoxLayout()
        text.setSpacing(theme.HALF)
        for label in (self.title, self.hint, self.state):
            text.addWidget(label)
        text.addStretch(1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(text, 1)
        layout.addWidget(self.again, 0, Qt.AlignmentFlag.AlignTop)

    def show_reason(self, event: RunPaused) -> None:
        """Show this one."""
        self.title.setText(event.reason)
        self.title.setToolTip(event.reason)
        self.hint.setText(event.hint)
        self.state.setText(self.tr("Nothing is lost. It is tried again every half a minute."))

    def _try_again(self) -> None:
        self.state.setText(self.tr("Tried again at {time}.").format(time=time.strftime("%H:%M:%S")))
        self.again_wanted.emit()


def _label(role: str) -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setText(" ")  # makes the text document that selecting needs: now, not at the end of a run
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    if role:
        label.setProperty("role", role)
    return label


def _action(text: str, icon: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    theme.set_icon(button, icon)
    return button
