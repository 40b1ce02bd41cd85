"""The net under the window: hooks that only relay what went wrong, the log, and garbage collection in the GUI thread alone.

An exception in a slot may reach the hook in any thread, so a hook writes the log line and emits a signal; nothing else.
Python's cyclic collector destroys Qt objects in whatever thread trips it, so it is off and a timer here does its work.
"""

from __future__ import annotations

import contextlib
import copy
import faulthandler
import gc
import logging
import queue
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from PySide6.QtCore import QMessageLogContext, QObject, QTimer, QtMsgType, Signal, Slot, qInstallMessageHandler

from tlstudio import paths
from tlstudio.api.errors import UserError

if TYPE_CHECKING:
    import logging.handlers

logger = logging.getLogger("tlstudio")

_COLLECT_MS = 1000
_FULL_EVERY = 30  # young objects each second; all of them only this often, since that takes longer
_STALL_SECONDS = 10.0
_SAME_LINE_PER_MINUTE = 10
_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


class Safety(QObject):
    """What `install` put in place; `uninstall` takes it away again."""

    fault = Signal(object)
    """BaseException: something that nobody caught, from any thread; shown by a receiver in the GUI thread."""

    def __init__(self, log_folder: Path) -> None:
        super().__init__()
        self._ticks = 0
        self._frozen = False
        self._crash_file: IO[str] | None = None
        self._log_folder = log_folder
        self._listener: logging.handlers.QueueListener | None = None
        self._handler = _Waiting()
        logger.addHandler(self._handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        self._had_gc = gc.isenabled()
        self._hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        sys.excepthook = self._excepthook
        threading.excepthook = self._thread_hook
        sys.unraisablehook = self._unraisable_hook
        qInstallMessageHandler(_qt_message)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(_COLLECT_MS)

    def watch_crashes(self, log_folder: Path) -> None:
        """Have hard crashes and stalls of the event loop leave every thread's stack in ``crash.log``."""
        with contextlib.suppress(OSError, ValueError):
            log_folder.mkdir(parents=True, exist_ok=True)
            self._crash_file = (log_folder / "crash.log").open("a", encoding="utf-8")
            faulthandler.enable(self._crash_file)

    def write_log(self) -> None:
        """From now on, write the lines to the file; those until now as well. Without a writable folder, none are kept."""
        if self._listener is not None:
            return
        from tlstudio.log_file import write_to

        try:
            self._log_folder.mkdir(parents=True, exist_ok=True)
            self._listener = write_to(self._log_folder, self._handler.records)
        except OSError:
            logger.removeHandler(self._handler)

    def settled(self) -> None:
        """What was imported so far stays for good: leave it out of later collections, which keeps them short."""
        gc.collect()
        gc.freeze()
        self._frozen = True

    def uninstall(self) -> None:
        """Put back the hooks and the collector, and close the log."""
        self._timer.stop()
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._hooks
        qInstallMessageHandler(None)
        if self._frozen:
            gc.unfreeze()
        if self._had_gc:
            gc.enable()
        if self._crash_file is not None:
            faulthandler.cancel_dump_traceback_later()
            faulthandler.disable()
            self._crash_file.close()
            self._crash_file = None
        self.write_log()  # what went wrong before the window was painted
        logger.removeHandler(self._handler)
        if self._listener is not None:
            with contextlib.suppress(Exception):
                self._listener.stop()
                for handler in self._listener.handlers:
                    handler.close()

    @Slot()
    def _tick(self) -> None:
        self._ticks += 1
        gc.collect(2 if self._ticks % _FULL_EVERY == 0 else 1)
        if self._crash_file is not None:
            faulthandler.dump_traceback_later(_STALL_SECONDS, file=self._crash_file)

    def _excepthook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        self._relay(error.with_traceback(trace), "uncaught")

    def _thread_hook(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            self._relay(args.exc_value, f"uncaught in thread {args.thread.name if args.thread else '?'}")

    def _unraisable_hook(self, args: sys.UnraisableHookArgs) -> None:
        error = args.exc_value
        text = "".join(traceback.format_exception(error)) if error is not None else ""
        logger.error("%s %r\n%s", args.err_msg or "ignored exception in", args.object, text)

    def _relay(self, error: BaseException, where: str) -> None:
        with contextlib.suppress(Exception):
            level = logging.WARNING if isinstance(error, UserError) else logging.ERROR
            logger.log(level, "%s: %s", where, "".join(traceback.format_exception(error)))
        with contextlib.suppress(RuntimeError):  # the window is gone already
            self.fault.emit(error)


def install(*, log_folder: Path | None = None, crashes: bool = True, write: bool = True) -> Safety:
    """Put the net in place; keep the result as long as the application lives.

    Args:
        log_folder: by default the user's log folder.
        crashes: also leave stacks of hard crashes and stalls there.
        write: open the log's file now; else lines wait for `Safety.write_log`.
    """
    folder = log_folder or paths.logs()
    safety = Safety(folder)
    if crashes:
        safety.watch_crashes(folder)
    if write:
        safety.write_log()
    return safety


def _qt_message(kind: QtMsgType, context: QMessageLogContext, message: str | None) -> None:
    """Qt's own messages go to the log; they are for developers, not for a dialog."""
    with contextlib.suppress(Exception):
        logger.log(_LEVELS.get(kind, logging.WARNING), "Qt %s: %s", context.category or "", message)


class _Waiting(logging.Handler):
    """A queue in front of the file, so that no thread waits for the disk, and that the start does not wait for the file."""

    def __init__(self) -> None:
        super().__init__()
        self.records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self.addFilter(_Repeats())

    def emit(self, record: logging.LogRecord) -> None:
        """Put it in line with its text made, since what the text is made of may change."""
        record = copy.copy(record)
        record.msg = self.format(record)
        record.args = record.exc_info = record.exc_text = record.stack_info = None
        self.records.put_nowait(record)


class _Repeats(logging.Filter):
    """Lets the same line through ten times a minute; what comes on top is counted and told with the next one."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = f"{record.levelno}{record.msg}{record.args}"[:500]
        now = time.monotonic()
        since, count = self._seen.get(key, (now, 0))
        if now - since > 60.0:
            if count > _SAME_LINE_PER_MINUTE:
                record.msg = f"{record.msg} [and {count - _SAME_LINE_PER_MINUTE} times before]"
            since, count = now, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < _SAME_LINE_PER_MINUTE
