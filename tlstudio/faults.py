"""A switch for tests: lets one operation on files fail, or ends the process there. Off, it costs nothing.

``TLSTUDIO_FAULT=OPERATION:ERROR@N``: the N-th operation of that name (``*``: of any) fails with ERROR. That is the name of an
errno (``ENOSPC``), of a built-in exception (``MemoryError``, ``RuntimeError``), or ``KILL``, which ends the process as the
kernel does. Names: write, fsync, chmod, rename, create, mkdir, sync, append, remove.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import os
import re
import signal
from collections.abc import Iterator
from typing import IO, Any

_FORM = re.compile(r"(\*|[a-z]+):(\w+)@(\d+)")


class Fault:
    """The switch while it is on; ``seen`` counts operations of the wanted name.

    Args:
        text: as in the environment variable; empty only counts.

    Raises:
        ValueError: the text says nothing.
    """

    def __init__(self, text: str = "") -> None:
        found = _FORM.fullmatch(text or "*:KILL@0")
        if found is None:
            raise ValueError(f"TLSTUDIO_FAULT={text!r}: expected OPERATION:ERROR@N, such as write:ENOSPC@2")
        self._operation, self._error, self._number = found[1], found[2], int(found[3])
        self.seen = 0

    def count(self, operation: str) -> None:
        """An operation is about to happen."""
        if self._operation not in {"*", operation}:
            return
        self.seen += 1
        if self.seen == self._number:
            self._strike()

    def _strike(self) -> None:
        if self._error == "KILL":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        number = getattr(errno, self._error, None)
        if number is not None:
            raise OSError(number, os.strerror(number))
        kind = getattr(builtins, self._error, RuntimeError)
        raise kind(f"fault at operation {self.seen}")


def from_environment() -> Fault | None:
    """What the environment asks for."""
    text = os.environ.get("TLSTUDIO_FAULT", "")
    return Fault(text) if text else None


active: Fault | None = from_environment()


@contextlib.contextmanager
def injected(text: str = "") -> Iterator[Fault]:
    """The switch is on while it lasts; counting begins at 1."""
    global active
    before, active = active, Fault(text)
    try:
        yield active
    finally:
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
