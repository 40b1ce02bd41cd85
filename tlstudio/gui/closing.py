"""Closing while a run is going: ask, let the run save itself, then close. No thread is ever left behind.

The run can go on later to the last bit; which one it was is remembered, and the next start offers it.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Slot

if TYPE_CHECKING:
    from PySide6.QtGui import QSessionManager
    from PySide6.QtWidgets import QMessageBox

    from tlstudio.gui.main_window import MainWindow

_PATIENCE_MS = 30_000
_RETRY = 75  # the exit status for "try again": what the run saved is intact
_SESSION_SECONDS = 4.0  # Windows ends a program that keeps the session for five


class Closer(QObject):
    """Decides whether the window may go, and closes it again once the run is over."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._quietly = False
        self.question: QMessageBox | None = None
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(self._ask_to_leave)
        self._poll = QTimer(self, interval=100)
        self._poll.timeout.connect(self._try_again)
        window.context.run_active_changed.connect(self._run_changed)

    def may_close(self) -> bool:
        """Whether nothing runs; else ask, or wait on where the answer was given."""
        page = self._window.train_page
        if page is None or not page.is_running():
            self._poll.stop()
            self._patience.stop()
            return True
        if page.is_watching():  # that run is of another process and goes on
            self._window.context.closing = True
            page.stop_watching()
            self._poll.start()
        elif self._quietly:
            self.stop_and_close(keep=True)
        elif not self._window.context.closing and self.question is None:
            self._ask()
        return False

    def close_quietly(self) -> None:
        """Close without asking; a run is saved, to go on later. For signals and the end of the session."""
        self._quietly = True
        self._window.close()

    def session_ends(self, _manager: QSessionManager | None = None) -> None:
        """The user logs off or the machine goes down: save the run now, and be quick; closing comes after."""
        page = self._window.train_page
        if page is not None and page.is_running():
            self.close_quietly()
            page.wait_for_end(_SESSION_SECONDS)

    def stop_and_close(self, *, keep: bool) -> None:
        """End the run and close when it has ended.

        Args:
            keep: save it, so that it can go on later; else it is cancelled.
        """
        if not self._window.context.closing:
            self._window.context.closing = True
            page = self._window.train_page
            if page is not None and keep:
                self._window.memory.set_left(page.leave())
            elif page is not None:
                page.stop(keep=False)
            self._window.context.message.emit(self.tr("Closing when the run has been saved …"))
            self._patience.start()
            self._poll.start()

    def _ask(self) -> None:
        from PySide6.QtWidgets import QMessageBox

        box = self.question = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Training is going on"))
        box.setText(self.tr("A model is being trained."))
        box.setInformativeText(
            self.tr("Saved, the run can go on later where it is: the next start offers it. Cancelled, it keeps no model.")
        )
        save = box.addButton(self.tr("Stop, save and close"), QMessageBox.ButtonRole.AcceptRole)
        cancel = box.addButton(self.tr("Cancel the run"), QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton(self.tr("Keep open"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)
        box.setEscapeButton(stay)

        def answered() -> None:
            chosen = box.clickedButton()
            self.question = None
            box.deleteLater()
            if chosen in (save, cancel):
                self.stop_and_close(keep=chosen is save)
                self._try_again()  # the run may have ended while the question was there

        box.finished.connect(lambda _result: answered())
        box.open()

    @Slot(object)
    def _run_changed(self, active: bool) -> None:
        if self._window.context.closing and not active:
            QTimer.singleShot(0, self, self._try_again)

    @Slot()
    def _try_again(self) -> None:
        page = self._window.train_page
        if self._window.context.closing and (page is None or not page.is_running()):
            self._poll.stop()
            self._window.close()

    @Slot()
    def _ask_to_leave(self) -> None:
        from PySide6.QtWidgets import QMessageBox

        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle(self.tr("Still waiting"))
        box.setText(self.tr("The run has not ended yet: it finishes a step or saves its model."))
        box.setInformativeText(self.tr("You can wait. If you quit now, the last saved checkpoint is what is kept."))
        box.addButton(self.tr("Wait"), QMessageBox.ButtonRole.RejectRole)
        leave = box.addButton(self.tr("Quit now"), QMessageBox.ButtonRole.DestructiveRole)

        def answered() -> None:
            if box.clickedButton() is leave:
                logging.shutdown()
                os._exit(_RETRY)  # a thread that hangs cannot be waited for
            box.deleteLater()
            self._patience.start()

        box.finished.connect(lambda _result: answered())
        box.open()
