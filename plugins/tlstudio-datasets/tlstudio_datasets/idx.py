"""The IDX files of the MNIST family: a header of numbers, then bytes; packed with gzip or not."""

from __future__ import annotations

import gzip
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import DataError
from tlstudio_datasets.words import printable

_BYTES = 8  # the code of unsigned bytes
_MAX_BYTES = 4 * 2**30
_HINT = "Use the official file, as it was downloaded or unpacked."


def read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in a file.

    Raises:
        DataError: the file is unreadable, cut, too large, or holds something else than bytes in so many dimensions.
    """
    name = printable(file.name)
    try:
        with gzip.open(file) if file.suffix.lower() == ".gz" else file.open("rb") as stream:
            shape = _shape(stream, dimensions, name)
            size = math.prod(shape)
            plain = file.suffix.lower() != ".gz"
            if size > _MAX_BYTES or (plain and file.stat().st_size < size):
                raise DataError(f"{name} is damaged: it says that it holds {size:,} bytes.", hint=_HINT)
            data = stream.read(size + 1)
    except OSError as error:
        raise DataError(f"{name} cannot be read.", error.strerror or str(error), _HINT) from None
    except (EOFError, zlib.error, MemoryError) as error:
        raise DataError(f"{name} is damaged.", str(error), _HINT) from None
    if len(data) != size:
        what = "more" if len(data) > size else f"only {len(data):,}"
        raise DataError(f"{name} is damaged: it should hold {size:,} bytes and holds {what}.", hint=_HINT)
    return np.frombuffer(data, np.uint8).reshape(shape)


def _shape(stream: gzip.GzipFile | BufferedReader, dimensions: int, name: str) -> tuple[int, ...]:
    header = stream.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, _BYTES, dimensions)):
        raise DataError(f"{name} is no file of the MNIST family.", hint=_HINT)
    return tuple(np.frombuffer(header[4:], ">u4").tolist())
