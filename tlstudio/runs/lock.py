"""One process works on a run at a time. The kernel frees the lock of a process that dies, so a crash locks nobody out."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

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
    from filelock import FileLock, Timeout

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
        with contextlib.suppress(OSError):
            safe_io.write_json(folder / HOLDER_FILE, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / HOLDER_FILE).unlink()
        if locked:
            lock.release()


def holder_of(folder: Path) -> str:
    """Who works on a run, for people."""
    holder = _holder(folder)
    return "nobody knows which" if holder is None else f"process {holder[0]} on {holder[1]}"


def is_held(folder: Path) -> bool | None:
    """Whether a process works on a run; ``None`` where only its heartbeat can tell: nobody says, or one of another machine."""
    holder = _holder(folder)
    if holder is None:
        return False if (folder / LOCK_FILE).exists() else None
    return safe_io.is_alive(holder[0]) if holder[1] == platform.node() else None


def _holder(folder: Path) -> tuple[int, str] | None:
    try:
        about = json.loads((folder / HOLDER_FILE).read_bytes())
        return int(about["pid"]), str(about["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
