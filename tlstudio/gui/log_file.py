"""The log file of the window: one JSON object a line, in a file that is turned over. Imported once the window is painted."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
from pathlib import Path


def write_to(folder: Path, records: queue.SimpleQueue[logging.LogRecord]) -> logging.handlers.QueueListener:
    """Write what is in the queue, and what will be, in a thread of its own; raises `OSError` where there can be no file."""
    target = _QuietFile(folder / "tlstudio.log", maxBytes=5 * 2**20, backupCount=4, encoding="utf-8", errors="replace")
    target.setFormatter(_JsonLines())
    listener = logging.handlers.QueueListener(records, target)
    listener.start()
    return listener


class _QuietFile(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A log that cannot be written is no reason to disturb anybody."""


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": round(record.created, 3),
            "level": record.levelname,
            "thread": record.threadName,
            "from": record.name,
            "text": record.getMessage(),
        }
        return json.dumps(line, ensure_ascii=True)
