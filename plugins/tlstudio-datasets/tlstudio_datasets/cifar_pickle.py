"""Reads the pickles of CIFAR's python version without running anything that they name.

A pickle can call any function it names. This reader knows a handful of names, all of which it replaces by functions of its
own that only put bytes into a uint8 array; any other name ends the reading.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import DataError
from tlstudio_datasets.words import printable

_MAX_BYTES = 2 * 2**30
# What a damaged pickle makes the standard library raise.
_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError, MemoryError,
    OverflowError, RecursionError,
)  # fmt: skip


def read_pickle(file: Path) -> dict[str, Any]:
    """The dictionary in a file: its keys as text, arrays as uint8 numpy arrays, text as bytes or str as it was written.

    Raises:
        DataError: the file is unreadable, damaged, no dictionary, or names something that it should not.
    """
    name = printable(file.name)
    try:
        with file.open("rb") as stream:
            if stream.seek(0, 2) > _MAX_BYTES:
                raise DataError(f"{name} is too large for a file of CIFAR.")
            stream.seek(0)
            data = _Reader(stream, encoding="bytes").load()
    except _RefusedError as error:
        raise DataError(
            f"{name} is no file of CIFAR: it names {printable(str(error))}, which was not run.",
            hint="Use the official archive.",
        ) from None
    except OSError as error:
        raise DataError(f"{name} cannot be read.", error.strerror or str(error), "Check its permissions.") from None
    except _DAMAGE as error:
        raise DataError(f"{name} is damaged.", str(error), "Unpack the official archive again.") from None
    if not isinstance(data, dict):
        raise DataError(f"{name} is no file of CIFAR.", hint="Use the official archive.")
    return {text(key): _array(value) for key, value in data.items()}


def text(value: object) -> str:
    """A string from what the old and the new Python wrote."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class _RefusedError(Exception):
    """The pickle names something that is not on the list."""


class _Bytes:
    """Stands in for a numpy array while the pickle is read."""

    def __init__(self) -> None:
        self.value: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, fortran, raw = state
        self.value = _uint8(raw, dtype, shape, "F" if fortran else "C")


class _Type:
    """Stands in for a numpy dtype; only unsigned bytes are allowed."""

    def __init__(self, code: object, *_: object) -> None:
        if text(code) not in {"u1", "|u1", "uint8", "B"}:
            raise ValueError(f"values of type {text(code)} instead of bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: of no meaning for single bytes."""


def _uint8(raw: Any, dtype: object, shape: Any, order: Any) -> NDArray[np.uint8]:
    if not isinstance(dtype, _Type):
        raise TypeError("an array without a proper type")
    return np.frombuffer(raw, np.uint8).reshape(tuple(shape), order=order)


def _reconstruct(*_: object) -> _Bytes:
    return _Bytes()


def _frombuffer(raw: Any, dtype: object, shape: Any, order: Any) -> _Bytes:
    array = _Bytes()
    array.value = _uint8(raw, dtype, shape, order)
    return array


def _encode(value: str, encoding: str) -> bytes:
    if encoding not in {"latin1", b"latin1"}:
        raise ValueError(f"bytes encoded as {encoding!r}")
    return value.encode("latin1")


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Bytes,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """One of the stand-ins; never an import."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None


def _array(value: object) -> object:
    return value.value if isinstance(value, _Bytes) else value
