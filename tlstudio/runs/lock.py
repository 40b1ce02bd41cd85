"""One process works on a run, and one on the queue, at a time. The kernel frees the lock of a process that dies."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from tlstudio import safe_io
from tlstudio.api.errors import UserError

LOCK_FILE = "train.lock"
HOLDER_FILE = "train.holder.json"
QUEUE_LOCK_FILE = "queue.lock"
QUEUE_HOLDER_FILE = "queue.holder.json"


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Nobody else works on the run while it lasts.

    Raises:
        UserError: somebody does; it says who.
    """

    def busy() -> UserError:
        return UserError(
            f"Another program is working on the run {folder.name}: {holder_of(folder)}.",
            hint="Wait until it has finished, or stop it there.",
        )

    with _locked(folder / LOCK_FILE, folder / HOLDER_FILE, busy):
        yield


@contextlib.contextmanager
def hold_queue(workspace: Path) -> Iterator[None]:
    """Nobody else works off the queue of a workspace while it lasts.

    Raises:
        UserError: somebody does; it says who.
    """

    def busy() -> UserError:
        return UserError(
            f"Another program works off the queue already: {queue_holder(workspace) or 'nobody knows which'}.",
            hint="What you add is trained there as well.",
        )

    workspace.mkdir(parents=True, exist_ok=True)
    with _locked(workspace / QUEUE_LOCK_FILE, workspace / QUEUE_HOLDER_FILE, busy):
        yield


def name_holder(folder: Path, pid: int) -> None:
    """Say beforehand which process is about to work on a run, for whoever asks before it has begun."""
    with contextlib.suppress(OSError):
        safe_io.write_json(folder / HOLDER_FILE, {"pid": pid, "host": platform.node()})


def holder_of(folder: Path) -> str:
    """Who works on a run, for people."""
    return _for_people(_holder(folder / HOLDER_FILE)) or "nobody knows which"


def queue_holder(workspace: Path) -> str:
    """Who works off the queue, for people; empty where nobody does."""
    holder = _holder(workspace / QUEUE_HOLDER_FILE)
    return "" if _lives(holder) is False else _for_people(holder)


def process_of(folder: Path) -> tuple[int, str] | None:
    """The process that works on a run, or did when it died: its number and its machine."""
    return _holder(folder / HOLDER_FILE)


def is_held(folder: Path) -> bool | None:
    """Whether a process works on a run; ``None`` where only its heartbeat can tell: nobody says, or one of another machine."""
    holder = _holder(folder / HOLDER_FILE)
    if holder is None:
        return False if (folder / LOCK_FILE).exists() else None
    return _lives(holder)


@contextlib.contextmanager
def _locked(lock_file: Path, holder_file: Path, busy: Callable[[], UserError]) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file, timeout=0, thread_local=False)
    locked = True
    try:
        lock.acquire()
    except Timeout:
        raise busy() from None
    except (OSError, NotImplementedError):
        locked = False  # a file system that has no locks
    try:
        with contextlib.suppress(OSError):
            safe_io.write_json(holder_file, {"pid": os.getpid(), "host": platform.node()})
        yield
    finally:
        with contextlib.suppress(OSError):
            holder_file.unlink()
        if locked:
            lock.release()


def _for_people(holder: tuple[int, str] | None) -> str:
    return "" if holder is None else f"process {holder[0]} on {holder[1]}"


def _lives(holder: tuple[int, str] | None) -> bool | None:
    if holder is None:
        return False
    return safe_io.is_alive(holder[0]) if holder[1] == platform.node() else None


def _holder(file: Path) -> tuple[int, str] | None:
    try:
        about = json.loads(file.read_bytes())
        return int(about["pid"]), str(about["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
