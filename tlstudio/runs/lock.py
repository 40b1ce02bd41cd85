"""One process works on a run, and one on the queue, at a time. The kernel frees the lock of a process that dies."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from tlstudio import safe_io
from tlstudio.api.errors import UserError

LOCK_FILE = "train.lock"
HOLDER_FILE = "train.holder.json"
QUEUE_LOCK_FILE = "queue.lock"
QUEUE_HOLDER_FILE = "queue.holder.json"
_MOMENT, _AGAIN = 1.0, 0.01  # seconds: how long one waits for who holds a run still, and between two tries
_UNKNOWN = "nobody knows which"
_mine: set[str] = set()
"""What this process holds: a name that it could not take back, since the drive was gone, does not count."""


class _Holder(NamedTuple):
    pid: int
    host: str
    born: str
    """Tells the process from a later one of the same number; empty where nobody can."""
    begins: bool = False
    """Whether it was named before it has taken the lock."""


def hold(folder: Path) -> AbstractContextManager[None]:
    """Nobody else works on the run while it lasts.

    Raises:
        UserError: somebody does, and it says who; or there is no such folder.
    """
    _require_folder(folder)
    return _held(folder / LOCK_FILE, folder / HOLDER_FILE, lambda: _busy(folder))


@contextlib.contextmanager
def hold_still(folder: Path) -> Iterator[None]:
    """Nobody begins to work on the run while it lasts: but a moment, for which who wants to begin waits.

    Where a folder with an open file cannot be moved, on Windows, it is only looked whether somebody works on it.

    Raises:
        UserError: somebody does, and it says who; or there is no such folder.
    """
    _require_folder(folder)
    release = _acquired(folder / LOCK_FILE, folder / HOLDER_FILE, lambda: _busy(folder))
    try:
        if os.name == "nt":
            release()
        yield
    finally:
        release()


def hold_queue(workspace: Path) -> AbstractContextManager[None]:
    """Nobody else works off the queue of a workspace while it lasts.

    Raises:
        UserError: somebody does; it says who.
        OSError: there is no workspace, and none can be made.
    """

    def busy() -> UserError:
        return UserError(
            f"Another program works off the queue already: {queue_holder(workspace) or _UNKNOWN}.",
            hint="What you add is trained there as well.",
        )

    workspace.mkdir(parents=True, exist_ok=True)
    return _held(workspace / QUEUE_LOCK_FILE, workspace / QUEUE_HOLDER_FILE, busy)


def name_holder(folder: Path, pid: int) -> None:
    """Say beforehand which process is about to work on a run, for whoever asks before it has begun."""
    if _born(pid) is not None:
        with contextlib.suppress(OSError):
            _name(folder / HOLDER_FILE, pid, begins=True)


def queue_holder(workspace: Path) -> str:
    """Who works off the queue, for people; empty where nobody does."""
    holder = _holder(workspace / QUEUE_HOLDER_FILE)
    return "" if _works(holder, workspace / QUEUE_LOCK_FILE) is False else _for_people(holder)


def process_of(folder: Path) -> tuple[int, str] | None:
    """The process that works on a run, or did when it died: its number and its machine."""
    holder = _holder(folder / HOLDER_FILE)
    return None if holder is None else (holder.pid, holder.host)


def is_held(folder: Path) -> bool | None:
    """Whether a process works on a run: who does names itself. ``None`` on another machine: only its heartbeat can tell."""
    file = folder / HOLDER_FILE
    holder = _holder(file)
    if holder is None:
        return False
    held = _works(holder, folder / LOCK_FILE)
    if held is False and holder.pid == os.getpid():
        with contextlib.suppress(OSError):  # a name that could not be taken back while the drive was gone: others believe it
            file.unlink()
    return held


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():  # the lock would make it
        raise UserError(f"{folder} is no run.", hint="`tlstudio runs list` shows them.")


def _busy(folder: Path) -> UserError:
    holder = _for_people(_holder(folder / HOLDER_FILE)) or _UNKNOWN
    return UserError(
        f"Another program is working on the run {folder.name}: {holder}.", hint="Wait until it has finished, or stop it there."
    )


@contextlib.contextmanager
def _held(lock_file: Path, holder_file: Path, busy: Callable[[], UserError]) -> Iterator[None]:
    release = _acquired(lock_file, holder_file, busy)
    real = os.path.realpath(lock_file)
    try:
        _mine.add(real)
        with contextlib.suppress(OSError):
            _name(holder_file, os.getpid())
        yield
    finally:
        _mine.discard(real)
        with contextlib.suppress(OSError):
            holder_file.unlink()
        release()


def _acquired(lock_file: Path, holder_file: Path, busy: Callable[[], UserError]) -> Callable[[], object]:
    """Take the lock; returns what lets go of it. Where it is not sure who holds it, a moment is waited for."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file, timeout=0, thread_local=False)
    end = time.monotonic() + _MOMENT
    while True:
        try:
            lock.acquire()
        except Timeout:
            holder = _holder(holder_file)
            sure = holder is not None and (holder.born or holder.host != platform.node())
            if (sure and _lives(holder) is not False) or time.monotonic() > end:
                raise busy() from None
            time.sleep(_AGAIN)
        except (OSError, NotImplementedError):  # a file system that has no locks, or a lock that another user has made
            holder = _holder(holder_file)
            if holder is not None and holder.pid != os.getpid() and _lives(holder):  # itself may have been named beforehand
                raise busy() from None
            return lambda: None
        else:
            holder = _holder(holder_file)
            if holder is not None and holder.pid != os.getpid() and holder.born and _lives(holder):
                lock.release()  # the kernel forgets the lock of a process whose drive went and came back
                raise busy()
            return lock.release


def _name(holder_file: Path, pid: int, *, begins: bool = False) -> None:
    about = _Holder(pid, platform.node(), _born(pid) or "", begins)
    safe_io.write_json(holder_file, about._asdict())


def _for_people(holder: _Holder | None) -> str:
    return "" if holder is None else f"process {holder.pid} on {holder.host}"


def _works(holder: _Holder | None, lock_file: Path) -> bool | None:
    """Whether a holder is at work; ``None`` where only a heartbeat can tell.

    Where a process cannot be told from a later one of its number, as on Windows and macOS, the lock tells: the kernel has freed
    that of a process which died.
    """
    lives = _lives(holder)
    if holder is None or not lives:
        return lives
    if holder.pid == os.getpid() and not holder.begins:
        return os.path.realpath(lock_file) in _mine
    if holder.born:
        return True
    return None if holder.begins else _is_locked(lock_file)


def _is_locked(lock_file: Path) -> bool:
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError):
        return True
    lock.release()
    return False


def _lives(holder: _Holder | None) -> bool | None:
    if holder is None:
        return False
    if holder.host != platform.node():
        return None
    born = _born(holder.pid)
    return safe_io.is_alive(holder.pid) and born is not None and (not holder.born or born in {"", holder.born})


def _born(pid: int) -> str | None:
    """When a process began, and in which session of the machine: numbers are given anew.

    Empty where nobody can tell (other than Linux), ``None`` where it has ended and only its parent has not noticed.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (
            None
            if fields[0] in {b"Z", b"X"}
            else f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {int(fields[19])}"
        )
    except (OSError, ValueError, IndexError):
        return ""


def _holder(file: Path) -> _Holder | None:
    try:
        about = json.loads(file.read_bytes())
        return _Holder(int(about["pid"]), str(about["host"]), str(about.get("born", "")), bool(about.get("begins")))
    except (OSError, ValueError, KeyError, TypeError):
        return None
