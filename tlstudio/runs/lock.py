"""One process works on a run at a time. The kernel frees the lock of a process that dies, so a crash locks nobody out."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from tlstudio import safe_io
from tlstudio.api.errors import UserError

LOCK_FILE = "train.lock"
HOLDER_FILE = "train.holder.json"


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Nobody else works on the run while it lasts.

    Raises:
        UserError: somebody does; it says who.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0, thread_local=False)
    locked = True
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"Another program is working on the run {folder.name}: {holder_of(folder)}.",
            hint="Wait until it has finished, or stop it there.",
        ) from None
    except (OSError, NotImplementedError):
        locked = False  # a file system that has no locks
    try:
        if locked:
            with contextlib.suppress(OSError):
                safe_io.write_json(folder / HOLDER_FILE, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        if locked:
            with contextlib.suppress(OSError):
                (folder / HOLDER_FILE).unlink()
            lock.release()


def holder_of(folder: Path) -> str:
    """Who works on a run, for people."""
    try:
        about = json.loads((folder / HOLDER_FILE).read_bytes())
        return f"process {int(about['pid'])} on {about['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "nobody knows which"
