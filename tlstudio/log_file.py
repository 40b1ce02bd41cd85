"""The program's log: one JSON object a line, in a file that is turned over. Window and terminal write it, also side by side."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import queue
from pathlib import Path

from tlstudio import safe_io

LOG = "tlstudio.log"
_LOCK = "tlstudio.lock"
_BYTES = 5 * 2**20
_OLD = 4
"""How many full ones are kept, as ``tlstudio.log.1`` (the newest) and so on."""


def write_to(folder: Path, records: queue.SimpleQueue[logging.LogRecord]) -> logging.handlers.QueueListener:
    """Write what is in the queue, and what will be, in a thread of its own; raises `OSError` where there can be no file."""
    folder.mkdir(parents=True, exist_ok=True)
    safe_io.open_append(folder / LOG).close()
    listener = logging.handlers.QueueListener(records, _Lines(folder))
    listener.start()
    return listener


def write_line(folder: Path, name: str, level: int, text: str) -> Path:
    """Write one line; returns the file. The level is one of `logging`'s; raises `OSError` where it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    _append(folder, logging.LogRecord(name, level, "", 0, text, None, None))
    return folder / LOG


class _Lines(logging.Handler):
    """The file is not held open: another process may turn it over."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def emit(self, record: logging.LogRecord) -> None:
        """A log that cannot be written is no reason to disturb anybody."""
        with contextlib.suppress(OSError):
            _append(self._folder, record)


def _append(folder: Path, record: logging.LogRecord) -> None:
    line = {
        "time": round(record.created, 3),
        "level": record.levelname,
        "process": record.process,
        "thread": record.threadName,
        "from": record.name,
        "text": record.getMessage(),
    }
    data = json.dumps(line, ensure_ascii=True).encode() + b"\n"
    try:
        with safe_io.locked(folder / _LOCK):
            _turn_over(folder, len(data))
            _write(folder / LOG, data)
    except TimeoutError:  # whoever has the lock sleeps: better a file that is too long than a line that is missing
        _write(folder / LOG, data)


def _write(file: Path, data: bytes) -> None:
    with safe_io.open_append(file) as target:
        target.write(data)


def _turn_over(folder: Path, more: int) -> None:
    """Begin a new file where the present one would become too long; where that cannot be done, it becomes so."""
    try:
        full = (folder / LOG).stat().st_size + more > _BYTES
    except FileNotFoundError:
        return
    if full:
        with contextlib.suppress(OSError):
            for number in range(_OLD - 1, 0, -1):
                safe_io.move(folder / f"{LOG}.{number}", folder / f"{LOG}.{number + 1}")
            safe_io.move(folder / LOG, folder / f"{LOG}.1")
