"""JSON from label files: one document, or one object a line. What is cut, nested too deep or too large is a `DataError`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tlstudio.api import DataError
from tlstudio_datasets.words import printable

MAX_BYTES = 2**30
_HINT = "Nothing was read from it. Copy or export the file again."
Record = dict[str, Any]


def read_json(file: Path, prune: Callable[[Record], Record] | None = None) -> Any:
    """The document in a file; ``prune`` sees each object as soon as it is read, so that what nobody needs costs no memory.

    Raises:
        DataError: the file is unreadable, too large, not UTF-8, broken (with line and column) or nested too deep.
    """
    name = printable(file.name)
    text = _text(file)
    try:
        return json.loads(text, object_hook=prune)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name} is no proper JSON: {_reason(error)} in line {error.lineno}, column {error.colno}.", hint=_HINT
        ) from None
    except (RecursionError, ValueError, MemoryError) as error:
        raise DataError(f"{name} is no JSON that can be read: {_limit(error)}.", hint=_HINT) from None


def read_json_lines(file: Path) -> Iterator[tuple[int, Record]]:
    """The objects in a file that has one a line, each with the number of its line; blank lines are passed over.

    Raises:
        DataError: as `read_json`, or a line is no object.
    """
    name = printable(file.name)
    number = 1
    try:
        _check_size(file)
        with file.open(encoding="utf-8-sig", newline="\n") as stream:
            for number, line in enumerate(stream, 1):
                if line.isspace():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise DataError(f"Line {number} of {name} is no JSON object.", line[:200].strip(), _HINT)
                yield number, record
    except json.JSONDecodeError as error:
        raise DataError(
            f"{name} is no proper JSON: {_reason(error)} in line {number}, column {error.colno}.", hint=_HINT
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{name} is not stored as UTF-8.", f"Line {number} or one after it.", "Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read.", error.strerror or str(error), "Check its permissions.") from None
    except (RecursionError, ValueError, MemoryError) as error:
        raise DataError(f"Line {number} of {name} cannot be read: {_limit(error)}.", hint=_HINT) from None


def _text(file: Path) -> str:
    try:
        _check_size(file)
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{printable(file.name)} is not stored as UTF-8.", hint="Save it as UTF-8.") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{printable(str(file))} cannot be read.", reason, "Check its permissions.") from None


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise DataError(
            f"{printable(file.name)} is too large: {size / 2**30:.1f} GB; the limit is {MAX_BYTES // 2**30} GB.",
            hint="Divide it into several files, such as one for each split.",
        )


def _reason(error: json.JSONDecodeError) -> str:
    ended = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
    return "it ends too early" if ended else error.msg[:1].lower() + error.msg[1:]


def _limit(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return "it does not fit into memory" if isinstance(error, MemoryError) else "a number in it is too long"
