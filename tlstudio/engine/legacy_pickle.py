"""What an old torch file claims to hold, told from its pickles before torch makes room for it; nothing is unpickled.

Until torch 1.6, and on request since, a file is no zip archive but pickles, one after the other: a magic number, a version,
facts of the machine, the object itself, the keys of its storages; then the numbers. Torch makes room for a storage as soon as
the object names its length. Here the same operations are followed on a stack of plain values, those that torch's restricted
unpickler knows and no others.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

TOO_LARGE = "its contents claim to be larger than the file"
NOT_PLAIN = "it does not say plainly how large its contents are"

_ZIP = b"PK\x03\x04"
_PICKLES = 4
"""The last of them is the object; no other names storages."""
_SMALL = 2**16

ITEM_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexDoubleStorage": 16,
    "ComplexFloatStorage": 8, "QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4, "QUInt4x2Storage": 1,
    "QUInt2x4Storage": 1,
}  # fmt: skip
_LARGEST_ITEM = 16
"""Of what is not in the list."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_TAKES = {
    "EMPTY_LIST": 0, "EMPTY_DICT": 0, "EMPTY_SET": 0, "REDUCE": 2, "NEWOBJ": 2, "BUILD": 2, "APPEND": 2, "SETITEM": 3,
    "BINPERSID": 1,
}  # fmt: skip
"""How many values an operation takes to leave one that is followed no further."""


@dataclass(frozen=True)
class _Global:
    """A class or function, by its name."""

    name: str


class _Other:
    """A value that is no literal: a list, an object, a storage."""


class Clipped:
    """A file that is never asked for more than it holds: Python makes room for what is asked for, before it reads."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline
        self.asked_too_much = False

    def read(self, count: int) -> bytes:
        """At most so many bytes, and no more than there are."""
        if count > _SMALL and count > (left := max(0, self._size - self._file.tell())):
            self.asked_too_much, count = True, left
        return self._file.read(count)


def problem_of(path: Path) -> str:
    """Why torch must not be asked to load a file: it claims more than it holds, or hides how much; empty where it may.

    Of what is a zip archive, damaged or no pickle at all, torch is the judge: it makes no room for these.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:  # so does torch tell them apart
            return ""
        file.seek(0)
        clipped = Clipped(file, size)
        try:
            return _problem(clipped, size)
        except (ValueError, LookupError):
            return TOO_LARGE if clipped.asked_too_much else ""


def _problem(file: Clipped, size: int) -> str:
    keys: set[str | bytes | int] = set()
    total = 0
    for _ in range(_PICKLES):
        for claim in _claims(file):
            if isinstance(claim, tuple) and len(claim) != 6:
                return ""  # no storage, and torch refuses it
            storage = _storage(claim)
            if storage is None:
                return NOT_PLAIN
            key, length = storage
            if key not in keys:  # who names a storage first decides on its length
                keys.add(key)
                total += length
            if total > size:
                return TOO_LARGE
    return ""


def _storage(claim: object) -> tuple[str | bytes | int, int] | None:
    """Key and bytes of a storage; ``None`` where they are no literals."""
    if not isinstance(claim, tuple):
        return None
    _, kind, key, _, count, _ = claim
    if not (isinstance(kind, _Global) and isinstance(key, str | bytes | int) and isinstance(count, int) and count >= 0):
        return None
    return key, count * ITEM_BYTES.get(kind.name.rpartition(" ")[2], _LARGEST_ITEM)


def _claims(file: Clipped) -> Iterator[object]:
    """What one pickle names as kept outside of it: ``("storage", class, key, device, count, view)``."""
    stacks: list[list[object]] = [[]]
    memo: dict[object, object] = {}
    for code, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]  # read and readline are all it uses
        name, stack = code.name, stacks[-1]
        if name == "BINPERSID":
            yield stack[-1]
        if name == "MARK":
            stacks.append([])
        elif name in {"BINPUT", "LONG_BINPUT"}:
            memo[argument] = stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            stack.append(memo[argument])
        elif name == "TUPLE":
            items = tuple(stacks.pop())
            stacks[-1].append(items)
        elif name in {"APPENDS", "SETITEMS"}:  # into the list or dictionary below, which is followed no further
            stacks.pop()
        elif name not in {"PROTO", "STOP"}:
            stack.append(_value(name, argument, stack))


def _value(name: str, argument: object, stack: list[object]) -> object:
    """What an operation puts on the stack; what it takes is gone from there.

    Raises:
        LookupError: torch does not know the operation.
    """
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name in _LITERALS:
        return argument
    if name == "GLOBAL":
        return _Global(str(argument))
    if name == "SHORT_BINSTRING":  # of Python 2; never the same key as a text
        return str(argument).encode("latin-1")
    taken = [stack.pop() for _ in range(_TUPLES.get(name) or _TAKES[name])]
    return tuple(reversed(taken)) if name in _TUPLES else _Other()
