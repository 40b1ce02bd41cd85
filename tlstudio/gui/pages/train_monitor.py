"""What a run tells while it works: buttons, bars, figures, notes, and at the end its result or what went wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.events import (
    CheckpointSaved,
    Event,
    Note,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    StepDone,
)
from tlstudio.gui import theme
from tlstudio.gui.pages.train_progress import RunProgress, duration_text
from tlstudio.gui.pages.train_result import FailureCard, HeldCard, ResultCard

State = Literal["idle", "starting", "running", "paused", "held", "stopping"]
_STILL: tuple[State, ...] = ("paused", "held")
_LOWER_HEIGHT = 96
_SOON_MS = 100
_NOTE_ICONS = {"info": ("info", "muted"), "advice": ("lightbulb", "accent"), "warning": ("warning", "error")}


class RunMonitor(QWidget):
    """Shows one run. The page tells it the state; the user's wishes come out as signals."""

    start_wanted = Signal()
    pause_wanted = Signal(object)
    """bool: pause (true) or go on."""
    stop_wanted = Signal()
    cancel_wanted = Signal()
    again_wanted = Signal()
    """The run is held since it cannot be saved; the user says to try again."""
    still_changed = Signal(object)
    """bool: the run is held, by the user or by itself, or goes on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.progress = RunProgress()
        self.state: State = "idle"
        self._patience = 0
        self._held_since = 0.0
        self._saved = False
        """Whether the run was saved since it is held."""
        self._make_buttons()
        self._make_bars()
        self.status = QLabel()
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.figures = QLabel()
        self.figures.setTextFormat(Qt.TextFormat.PlainText)
        self.figures.setProperty("role", "muted")
        self.figures.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.notes = _Notes(self.tr("What a run notices is listed here."))
        self.notes.setAccessibleName(self.tr("Notes on this run"))
        self.notes.setWordWrap(True)
        self.notes.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.notes.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.result = ResultCard()
        self.failure = FailureCard()
        self.held = HeldCard()
        self.held.again_wanted.connect(self.again_wanted)
        self._build()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self._show_all)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._show_figures)
        self.set_state("idle")

    def begin(self, *, patience: int) -> None:
        """Forget the last run; a new one is about to start."""
        self.progress = RunProgress()
        self._patience = patience
        self.notes.clear()
        self._lower.setCurrentWidget(self.notes)
        self.set_state("starting")

    def show_told(self, progress: RunProgress, notes: Sequence[Note]) -> None:
        """Show how far the run had come before, and what it had noticed."""
        self.progress = progress
        self.notes.clear()
        for note in notes:
            self.add_note(note)
        self._show_all()

    def add_ways(self, beside: QWidget, end: QWidget) -> None:
        """Put a widget behind the buttons of a run, and one at the end of their row."""
        self._row.insertWidget(self._row.indexOf(self.cancel) + 1, beside)
        self._row.addWidget(end)

    def set_state(self, state: State) -> None:
        """Offer what can be done in this state."""
        before, self.state = self.state in _STILL, state
        if not before and state in _STILL:
            self._held_since, self._saved = time.time(), False
        elif before and state not in _STILL:
            self.progress.stood_still(time.time() - self._held_since)
        if before != (state in _STILL):
            self.still_changed.emit(state in _STILL)
        if (state == "held") != (self._lower.currentWidget() is self.held):
            self._lower.setCurrentWidget(self.held if state == "held" else self.notes)
        active = state != "idle"
        self.start.setVisible(not active)
        self.pause.setVisible(active)
        self.pause.setEnabled(state in ("running", "paused"))
        self.stop.setEnabled(state in ("running", *_STILL))
        self.stop.setVisible(active)
        self.cancel.setVisible(active)
        self.cancel.setEnabled(state in ("starting", "running", *_STILL))
        paused = state == "paused"
        self.pause.setText(self.tr("Resume") if paused else self.tr("Pause"))
        theme.set_icon(self.pause, "play" if paused else "pause")
        if active:
            self._clock.start()
        else:
            self._clock.stop()
        self._show_all()

    def feed(self, event: Event) -> None:
        """Take an event of the run that is shown."""
        self.progress.feed(event)
        if self.state == "starting" and isinstance(event, Prepared):
            self.set_state("running")
        if isinstance(event, Note):
            self.add_note(event)
        elif isinstance(event, RunResumed):
            self._tell_resumed(event)
        elif isinstance(event, CheckpointSaved):
            self._saved = self.state == "paused"
        elif isinstance(event, RunPaused):
            self.held.show_reason(event)
            self.set_state("held")
        elif isinstance(event, RunFinished):
            self.result.show_result(event, folder=self.progress.folder, best=self.progress.best)
            self.result.set_advice([note.text for note in self._advice()])
            self._reveal(self.result)
        elif isinstance(event, RunFailed):
            self.failure.show_failure(event)
            self._reveal(self.failure)
        if isinstance(event, StepDone | Progress):  # they come often: show the newest a little later
            if not self._soon.isActive():
                self._soon.start()
        else:
            self._show_all()

    def add_note(self, note: Note) -> None:
        """One more sentence in the list."""
        icon, color = _NOTE_ICONS[note.level]
        item = QListWidgetItem(theme.icon(icon, getattr(theme.colors(), color)), note.text)
        item.setData(Qt.ItemDataRole.UserRole, note)
        item.setToolTip(note.text)
        self.notes.addItem(item)
        self.notes.scrollToBottom()

    def _tell_resumed(self, event: RunResumed) -> None:
        """Where the run goes on, and whether it ends as it would have without the break."""
        where = self.tr("The run goes on in epoch {n} of {all}, after step {step}.").format(
            n=min(event.epoch + 1, event.epochs or event.epoch + 1), all=event.epochs or self.progress.epochs, step=event.step
        )
        if event.step == 0:
            where = self.tr("There was no checkpoint yet: the run begins anew.")
        if not event.exact:
            where += " " + self.tr("It may end a little otherwise than without the break: {why}.").format(why=event.why)
        self.add_note(Note(level="info" if event.exact else "warning", text=where))

    def show_problem(self, text: str) -> None:
        """Say in the status line why a run cannot start."""
        self._set_status(text, role="error")

    def _reveal(self, card: QWidget) -> None:
        """Show a card a moment later: what the end of a run changes is laid out and painted in several small steps."""
        QTimer.singleShot(0, self, lambda: self._lower.setCurrentWidget(card) if self.progress.end is not None else None)

    def _advice(self) -> list[Note]:
        items = [self.notes.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.notes.count())]
        return [note for note in items if note.level != "info"]

    def _set_status(self, text: str, *, role: str = "") -> None:
        if self.status.property("role") != role:
            theme.set_role(self.status, role)
        self.status.setText(text)

    @Slot()
    def _show_all(self) -> None:
        self._show_status()
        self._show_figures()

    def _show_status(self) -> None:
        now = self.progress
        texts = {
            "idle": self.tr("Ready."),
            "starting": self.tr("Preparing …"),
            "paused": self.tr("Paused. All is saved.") if self._saved else self.tr("Paused after the current step."),
            "held": self.tr("Paused: the run cannot be saved."),
            "stopping": self.tr("Stopping after this step …"),
            "running": self.tr("Training on {device}").format(device=now.device or self.tr("this machine")),
        }
        text = texts[self.state]
        if now.task is not None and self.state in ("starting", "running"):
            text = f"{now.task.task} {now.task.done:,} / {now.task.total:,}"
        elif self.state == "idle" and now.end is not None:
            text = self._end_text(now.end)
        self._set_status(text, role="error" if self.state == "held" else "")
        self.epoch_bar.setValue(round(1000 * now.epoch_share))
        self.total_bar.setValue(round(1000 * now.total_share))
        epoch = max(now.epoch, 0) + 1
        self._epoch_label.setText(
            self.tr("Epoch {n} of {all}").format(n=epoch, all=now.epochs) if now.epochs else self.tr("Epoch")
        )

    def _end_text(self, end: RunFinished | RunFailed) -> str:
        if isinstance(end, RunFailed):
            return self.tr("The run ended with a problem.")
        return {
            "completed": self.tr("Finished."),
            "stopped": self.tr("Stopped; the best model so far is kept."),
            "cancelled": self.tr("Cancelled; no model is kept."),
        }[end.outcome]

    @Slot()
    def _show_figures(self) -> None:
        now, clock = self.progress, time.time()
        parts = []
        if now.images_per_s and now.end is None:
            parts.append(self.tr("{n} images/s").format(n=f"{now.images_per_s:,.0f}"))
        elapsed = now.elapsed(clock)
        if elapsed:
            parts.append(self.tr("{time} elapsed").format(time=duration_text(elapsed)))
        in_task = now.task_left(clock)
        if in_task is not None and self.state in ("starting", "running"):
            parts.append(self.tr("{time} left for this step").format(time=duration_text(in_task)))
        elif self.state == "running" and now.left(clock) is not None:
            parts.append(self.tr("{time} left").format(time=duration_text(now.left(clock))))
        if now.best is not None and now.end is None:
            parts.append(self._best_text())
        if self._patience and now.epochs_done and now.end is None:
            waited = now.without_better()
            parts.append(self.tr("patience {n} of {all}").format(n=waited, all=self._patience))
        self.figures.setText("  ·  ".join(parts))

    def _best_text(self) -> str:
        best = self.progress.best
        assert best is not None
        value = best.val.get("accuracy", best.train.get("accuracy"))
        if value is None:
            return self.tr("best so far: epoch {n}").format(n=best.epoch + 1)
        return self.tr("best so far {value} % at epoch {n}").format(value=f"{100 * value:.1f}", n=best.epoch + 1)

    def _make_buttons(self) -> None:
        self.start = _button(self.tr("Start"), "play", self.tr("Train with these settings (F5)"), "on_accent")
        self.start.setProperty("role", "primary")
        self.pause = _button(self.tr("Pause"), "pause", self.tr("Hold after the current step"))
        self.stop = _button(self.tr("Stop and keep"), "stop", self.tr("End now and keep the best model so far (Shift+F5)"))
        self.cancel = _button(self.tr("Cancel"), "x", self.tr("End now and keep no model"))
        self.start.clicked.connect(lambda: self.start_wanted.emit())
        self.pause.clicked.connect(lambda: self.pause_wanted.emit(self.state != "paused"))
        self.stop.clicked.connect(lambda: self.stop_wanted.emit())
        self.cancel.clicked.connect(lambda: self.cancel_wanted.emit())

    def _make_bars(self) -> None:
        self.epoch_bar, self.total_bar = QProgressBar(), QProgressBar()
        self._epoch_label, self._total_label = QLabel(self.tr("Epoch")), QLabel(self.tr("Total"))
        for bar, name in ((self.epoch_bar, self.tr("Progress of the epoch")), (self.total_bar, self.tr("Progress of the run"))):
            bar.setRange(0, 1000)
            bar.setTextVisible(False)
            bar.setAccessibleName(name)
        for label in (self._epoch_label, self._total_label):
            label.setProperty("role", "caption")

    def _build(self) -> None:
        row = self._row = QHBoxLayout()
        row.setSpacing(theme.GRID)
        for button in (self.start, self.pause, self.stop, self.cancel):
            row.addWidget(button)
        row.addSpacing(theme.GRID)
        row.addWidget(self.status, 1)
        bars = QGridLayout()
        bars.setHorizontalSpacing(theme.GRID)
        bars.setVerticalSpacing(theme.HALF)
        for line, (label, bar) in enumerate(((self._epoch_label, self.epoch_bar), (self._total_label, self.total_bar))):
            label.setMinimumWidth(96)
            bars.addWidget(label, line, 0)
            bars.addWidget(bar, line, 1, Qt.AlignmentFlag.AlignVCenter)
        bars.setColumnStretch(1, 1)
        self._lower = QStackedWidget()
        self._lower.setFixedHeight(_LOWER_HEIGHT)
        for widget in (self.notes, self.result, self.failure, self.held):
            self._lower.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.GRID)
        layout.addLayout(row)
        layout.addLayout(bars)
        layout.addWidget(self.figures)
        layout.addWidget(self._lower)


class _Notes(QListWidget):
    """A list that says what will be in it while it is empty."""

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._placeholder = placeholder

    def paintEvent(self, event: QPaintEvent) -> None:
        """The items, or the placeholder."""
        super().paintEvent(event)
        if not self.count():
            painter = QPainter(self.viewport())
            painter.setPen(theme.colors().muted)
            painter.setFont(theme.font("caption"))
            painter.drawText(self.viewport().rect(), Qt.AlignmentFlag.AlignCenter, self._placeholder)


def _button(text: str, icon: str, tip: str, color: str = "text") -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    theme.set_icon(button, icon, color)
    return button
