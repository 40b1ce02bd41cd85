"""The dialog that searches for a learning rate: it tries rising rates on some of the images, live, and offers the one it finds.

The search runs in the thread that runs train in, and keeps nothing; only the button with the number changes anything.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import Event, Note, Progress, RateFound, RateTried, RunFailed
from tlstudio.engine.control import Control
from tlstudio.gui import theme
from tlstudio.gui.thread import Runner, TrainThread
from tlstudio.gui.widgets.rate_plot import RatePlot, short_rate
from tlstudio.registry import Catalog

_SIZE = (640, 520)


class RateDialog(QDialog):
    """Searches as soon as it is made; closing it ends the search first.

    Args:
        runner: what searches, such as `tlstudio.gui.thread.find_rate`.
        config: the settings of the run that is to follow.
    """

    chosen = Signal(object)
    """float: the user takes this learning rate."""
    problem = Signal(object)
    """RunFailed: the search failed, and somebody wants to know why."""

    def __init__(
        self, runner: Runner, config: TrainConfig, catalog: Catalog, workspace: Path, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Find a learning rate"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._rate: float | None = None
        self._closing = False
        self.plot = RatePlot(self)
        self.says = QLabel(self.tr("Preparing …"), self)
        self.says.setWordWrap(True)
        self.says.setMinimumHeight(3 * self.fontMetrics().height())
        self.says.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 0)
        self.progress.setAccessibleName(self.tr("Progress of the search"))
        self.use = QPushButton(self.tr("Use it"), self)
        theme.set_role(self.use, "primary")
        self.use.setEnabled(False)
        self.use.setToolTip(self.tr("Put it into the field of the learning rate"))
        self.use.clicked.connect(self._use)
        self.stop = QPushButton(self.tr("Cancel"), self)
        self.stop.setAutoDefault(False)
        self.stop.clicked.connect(self.reject)
        self._build()
        self._control = Control()
        self._thread: TrainThread | None = TrainThread(runner, config, catalog, workspace, self._control, self)
        self._thread.event.connect(self._on_event)
        self._thread.finished.connect(self._on_finished)
        self._thread.start()

    def is_running(self) -> bool:
        """Whether the search goes on."""
        return self._thread is not None

    def shut_down(self) -> None:
        """End the search and wait for it; for the very end of the program."""
        if self._thread is not None:
            self._control.cancel()
            self._thread.wait()

    @Slot()
    def reject(self) -> None:
        """Close, once the search has ended; nothing was changed."""
        if self._thread is None:
            super().reject()
            return
        self._closing = True
        self._control.cancel()
        self.stop.setEnabled(False)
        self.use.setEnabled(False)
        self.says.setText(self.tr("Stopping …"))

    def closeEvent(self, event: QCloseEvent) -> None:
        """The cross is as good as Cancel."""
        if self._thread is not None:
            event.ignore()
            self.reject()
            return
        super().closeEvent(event)

    @Slot()
    def _use(self) -> None:
        if self._rate is not None:
            self.chosen.emit(self._rate)
            self.accept()

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        if self._closing:
            return
        if isinstance(event, RateTried):
            self.plot.feed(event)
            self.progress.setRange(0, event.steps)
            self.progress.setValue(event.step)
            self.says.setText(self.tr("Step {n}: learning rate {rate}").format(n=event.step, rate=short_rate(event.rate)))
        elif isinstance(event, RateFound):
            self.plot.feed(event)
            self._show(event)
        elif isinstance(event, RunFailed):
            self.says.setText("\n".join(part for part in (event.error, event.hint) if part))
            theme.set_role(self.says, "error")
        elif isinstance(event, Progress):
            self.says.setText(f"{event.task} …")
            self.progress.setRange(0, event.total)  # of none known: it goes to and fro
            self.progress.setValue(event.done)
        elif isinstance(event, Note):
            self.says.setText(event.text)

    def _show(self, found: RateFound) -> None:
        if found.rate is None:
            self.says.setText(
                self.tr("No rate makes the loss fall clearly. Look at the images and the settings, or leave the field empty.")
            )
            return
        self._rate = float(f"{found.rate:.1e}")
        text = self.tr("The loss falls fastest at {rate}: a good learning rate.").format(rate=short_rate(found.rate))
        if found.lowest is not None:
            lowest = short_rate(found.lowest)
            text += " " + self.tr("It is lowest at {lowest}; from there on rates are too large.").format(lowest=lowest)
        self.says.setText(text)
        self.use.setText(self.tr("Use {rate}").format(rate=short_rate(found.rate)))
        self.use.setEnabled(True)
        self.use.setDefault(True)
        self.use.setFocus()

    @Slot()
    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
        self.progress.setRange(0, 1)
        self.progress.setValue(1)
        self.stop.setText(self.tr("Close"))
        if self._closing:
            super().reject()

    def _build(self) -> None:
        about = QLabel(
            self.tr(
                "Learns for a few steps at rising rates, on some of the training images and with the settings of the form. "
                "Nothing of it is kept, and a run afterwards is the run that it would have been."
            ),
            self,
        )
        about.setWordWrap(True)
        theme.set_role(about, "muted")
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.use)
        buttons.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, 2 * theme.GRID, 2 * theme.GRID, 2 * theme.GRID)
        layout.setSpacing(theme.GRID)
        layout.addWidget(about)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.progress)
        layout.addWidget(self.says)
        layout.addLayout(buttons)
        self.resize(*_SIZE)
