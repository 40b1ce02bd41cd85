"""A switch for tests: lets one operation fail, or ends the process there. Off, it costs nothing.

``TLSTUDIO_FAULT=OPERATION:ERROR@N``: the N-th operation of that name fails with ERROR. Operations on files that are written:
write, fsync, chmod, rename, create, mkdir, sync, append, remove, or ``*`` for any of these. Others: ``read`` (or ``worker``: an
image is read; threads do it, there are no worker processes) and ``step`` (gradients are computed). ERROR is the name of an
errno (``ENOSPC``) or of a built-in exception (``MemoryError``, ``RuntimeError``), ``CUDAOOM``, which is what a GPU without
memory raises, ``HANG``, which does not come back before the switch is off, or ``KILL``, which ends the process as the kernel
does.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from typing import IO, Any

WRITING = frozenset({"write", "fsync", "chmod", "rename", "create", "mkdir", "sync", "append", "remove"})
OPERATIONS = WRITING | {"read", "step"}
_FORM = re.compile(r"(\*|\w+):(\w+)@(\d+)")
_SPECIAL = ("KILL", "HANG", "CUDAOOM")


class Fault:
    """The switch while it is on; ``seen`` counts operations of the wanted name.

    Args:
        text: as in the environment variable; empty only counts.

    Raises:
        ValueError: the text says nothing, or names what there is not.
    """

    def __init__(self, text: str = "") -> None:
        self._operation, self._error, self._number = _parsed(text or "*:KILL@0")
        self._guard = threading.Lock()
        self.seen = 0
        self.struck, self.over = threading.Event(), threading.Event()
        """Set when it has happened; and by a test, to let what hangs come back."""

    def count(self, operation: str) -> None:
        """An operation is about to happen."""
        if operation not in (WRITING if self._operation == "*" else {self._operation}):
            return
        with self._guard:  # images are read in several threads
            self.seen += 1
            seen = self.seen
        if seen == self._number:
            self._strike()

    def _strike(self) -> None:
        self.struck.set()
        if self._error == "KILL":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        if self._error == "HANG":
            self.over.wait()
            return
        if self._error == "CUDAOOM":
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        number = getattr(errno, self._error, None)
        if number is not None:
            raise OSError(number, os.strerror(number))
        raise getattr(builtins, self._error)(f"fault at operation {self._number}")


def from_environment() -> Fault | None:
    """What the environment asks for.

    Raises:
        UserError: nobody can tell what that is.
    """
    text = os.environ.get("TLSTUDIO_FAULT", "")
    try:
        return Fault(text) if text else None
    except ValueError as error:
        from tlstudio.api.errors import UserError

        raise UserError(str(error), hint="Correct it, or unset TLSTUDIO_FAULT: it is a switch for tests.") from None


def _parsed(text: str) -> tuple[str, str, int]:
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"TLSTUDIO_FAULT={text!r}: expected OPERATION:ERROR@N, such as write:ENOSPC@2.")
    operation, error = found[1], found[2]
    if operation == "worker":
        if error in {"KILL", "SIGKILL"}:
            raise ValueError(f"TLSTUDIO_FAULT={text!r}: images are read in threads, and no thread can be killed alone.")
        operation = "read"
    if operation != "*" and operation not in OPERATIONS:
        raise ValueError(f"TLSTUDIO_FAULT={text!r}: there is no operation {operation!r}, only {', '.join(sorted(OPERATIONS))}.")
    kind = getattr(builtins, error, None)
    is_known = error in _SPECIAL or isinstance(getattr(errno, error, None), int)
    if not (is_known or (isinstance(kind, type) and issubclass(kind, BaseException))):
        known = ", ".join(_SPECIAL)
        raise ValueError(f"TLSTUDIO_FAULT={text!r}: {error!r} is no errno, no built-in exception and none of {known}.")
    return operation, error, int(found[3])


active: Fault | None = from_environment()


@contextlib.contextmanager
def injected(text: str = "") -> Iterator[Fault]:
    """The switch is on while it lasts; counting begins at 1."""
    global active
    before, active = active, Fault(text)
    try:
        yield active
    finally:
        active.over.set()
        active = before


class Watched:
    """A file whose writing is counted; everything else is the file's own."""

    def __init__(self, file: IO[bytes], operation: str) -> None:
        self._file, self._operation = file, operation

    def write(self, data: Any) -> int:
        """Write, unless the fault is here."""
        if active is not None:
            active.count(self._operation)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
