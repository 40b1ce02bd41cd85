"""The one writer: every file that tlstudio owns goes through here, so that it is either the old one or the new one.

Write to a temporary file in the same folder, flush, fsync, rename over the target, fsync the folder.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from tlstudio import faults
from tlstudio.api.errors import ExitCode, UserError

TEMPORARY_PREFIX = ".tmp-"
_BLOCK = 2**20
_GONE = {getattr(errno, name, None) for name in ("EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "ENODEV", "EHOSTDOWN")} - {None}
_LEFTOVER = re.compile(re.escape(TEMPORARY_PREFIX) + r"(\d+)-([0-9a-f]{6})-")


def atomic_write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Replace ``path`` by what ``write(file)`` writes; on any failure the old file stays as it was.

    Raises:
        OSError: the file could not be written; see `as_user_error`.
    """
    path = Path(path)
    _count("create")
    descriptor, name = tempfile.mkstemp(prefix=_own_prefix(), dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(_watched(file, "write"))
            file.flush()
            _count("fsync")
            os.fsync(file.fileno())
        _count("chmod")
        temporary.chmod(_mode(path))
        _replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_hashed(path: Path, write: Callable[[IO[bytes]], object]) -> str:
    """As `atomic_write`; returns the SHA-256 of what was meant, whatever the disk makes of it, as 64 hex digits."""
    digests: list[str] = []

    def through(file: IO[bytes]) -> None:
        hashed = _Hashed(file)
        write(cast("IO[bytes]", hashed))
        digests.append(hashed.digest.hexdigest())

    atomic_write(path, through)
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:  # so that who reads it again asks the disk, and not what is still in memory
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digests[-1]


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file by these bytes, atomically."""
    atomic_write(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text as UTF-8 (undecodable file names survive), atomically."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def copy(source: Path, target: Path) -> None:
    """Replace a file by a copy of another one, atomically."""
    with source.open("rb") as file:
        atomic_write(target, lambda out: shutil.copyfileobj(file, out, _BLOCK))


def write_json(path: Path, value: Any) -> None:
    """Replace a file by this value as indented JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode())


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all: fill the one that is yielded, it is renamed to ``path`` at the end.

    Files inside must be written and synced by the functions of this module. An existing ``path`` is an error.
    """
    _count("mkdir")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_own_prefix(), dir=path.parent))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        sync_folder(temporary)
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        _replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut (POSIX; elsewhere nothing to do)."""
    if os.name != "posix":
        return
    _count("sync")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def open_append(path: Path) -> IO[bytes]:
    """A file to append whole lines to; a torn last line of an earlier crash is closed with a line break first."""
    file = path.open("ab+")
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
            file.flush()
    return file


def append(file: IO[bytes], data: bytes) -> None:
    """Add bytes to the end of a file of `open_append`: all of them or, where there is no room, none; raises `OSError`."""
    _count("append")
    end = os.fstat(file.fileno()).st_size
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(file.fileno(), left) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), end)
        raise


def sync(file: IO[bytes]) -> None:
    """Make what was appended to an open file survive a power cut; raises `OSError`."""
    _count("fsync")
    os.fsync(file.fileno())


def append_line(path: Path, data: bytes) -> None:
    """Add a line to a file, on the disk when this returns; on a failure the file is as long as before.

    The file and its folder are made where they are not there.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with open_append(path) as file:
        end = os.fstat(file.fileno()).st_size
        append(file, data + b"\n")
        try:
            sync(file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file.fileno(), end)
            raise
    if new:
        sync_folder(path.parent)


@contextlib.contextmanager
def locked(path: Path, seconds: float = 2.0) -> Iterator[None]:
    """Nobody else holds the lock of this file name while it lasts: for what takes milliseconds. The kernel frees it at death.

    Where the file system has no locks, it lasts without one.

    Raises:
        TimeoutError: somebody held it for that long.
        OSError: its folder cannot be written.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire(poll_interval=0.01)
    except Timeout:
        raise TimeoutError(f"Another program is writing in {path.parent}; try again.") from None
    except (OSError, NotImplementedError):
        pass  # a file system that has no locks
    try:
        yield
    finally:
        lock.release()


def sync_file(path: Path) -> int:
    """Make what was appended to a file survive a power cut; returns how long it is; raises `OSError`."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        _count("fsync")
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Rename a file over another of the same file system; nothing happens where it was moved already."""
    with contextlib.suppress(FileNotFoundError):
        _replace(source, target)
        sync_folder(target.parent)


def shorten(path: Path, size: int) -> None:
    """Keep the first bytes of a file, atomically; one that is no longer than that stays as it is."""
    if not path.exists() or path.stat().st_size <= size:
        return

    def first_bytes(file: IO[bytes]) -> None:
        left = size
        with path.open("rb") as source:
            while left and (block := source.read(min(_BLOCK, left))):
                file.write(block)
                left -= len(block)

    atomic_write(path, first_bytes)


def remove_folder(folder: Path) -> None:
    """Delete a folder so that it is gone at once under its name: it is renamed first, or half of it might be left."""
    _count("remove")
    doomed = folder.with_name(f"{_own_prefix()}{folder.name}")
    os.replace(folder, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that are dead by now have left unfinished in a folder. What others are at work on stays."""
    try:
        entries = [entry for entry in folder.iterdir() if entry.name.startswith(TEMPORARY_PREFIX)]
    except OSError:
        return
    for entry in entries:
        found = _LEFTOVER.match(entry.name)
        if found is None or found[2] != _host() or int(found[1]) == os.getpid() or is_alive(int(found[1])):
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.unlink()


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine; where nobody can tell, there is."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def open_partial(path: Path) -> IO[bytes]:
    """A file to append bytes to that arrive over time and may break off; whoever uses it checks the whole first."""
    return path.open("ab")


def sha256(path: Path, progress: Callable[[int], object] | None = None) -> str:
    """The SHA-256 of a file as 64 hex digits; ``progress(bytes read since the last call)``."""
    with path.open("rb") as file:
        if progress is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := file.read(_BLOCK):
            digest.update(block)
            progress(len(block))
        return digest.hexdigest()


def is_full(error: BaseException) -> bool:
    """Whether the system says that a disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def as_user_error(error: BaseException, folder: Path) -> UserError | None:
    """A failure to write, as a sentence and a cure; ``None`` where the error is not about storage.

    A full disk does not always look like one: torch and safetensors raise errors of their own, behind which the real one may
    be; else the free space decides.
    """
    error = _cause(error)
    full = is_full(error)
    if not full and not isinstance(error, UserError):
        with contextlib.suppress(OSError):
            full = shutil.disk_usage(folder).free < 2**20
    if full:
        return UserError(
            f"The disk is full: nothing more can be saved in {folder}.",
            detail=str(error),
            hint="Free some space or choose another workspace. What was saved before is intact.",
            exit_code=ExitCode.DISK_FULL,
        )
    if isinstance(error, OSError) and error.errno in _GONE:
        return UserError(
            f"The drive with {folder} cannot be reached.", detail=str(error), hint="Check that it is connected.",
            exit_code=ExitCode.RETRY,
        )  # fmt: skip
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return UserError(
            f"No permission to write in {folder}.", detail=str(error), hint="Choose a workspace that you may write to."
        )
    return None


class _Hashed:
    """A file to write to that adds up what is written; everything else is the file's own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _cause(error: BaseException) -> BaseException:
    """The failure of the system that an error began with; the error itself where there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return error if cause is None or isinstance(error, UserError) else cause


def _count(operation: str) -> None:
    if faults.active is not None:
        faults.active.count(operation)


def _watched(file: IO[bytes], operation: str) -> IO[bytes]:
    return file if faults.active is None else cast("IO[bytes]", faults.Watched(file, operation))


def _own_prefix() -> str:
    """Of temporary names: which process of which machine is at work on them."""
    return f"{TEMPORARY_PREFIX}{os.getpid()}-{_host()}-"


@functools.cache
def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace(source: Path, target: Path) -> None:
    """`os.replace`; on Windows an antivirus or indexer may hold the target for milliseconds, so try for three seconds."""
    _count("rename")
    delay = 0.05
    while True:
        try:
            os.replace(source, target)
        except PermissionError:
            if sys.platform != "win32" or delay > 1.6:
                raise
            time.sleep(delay)
            delay *= 2
        else:
            return
