"""From the bytes of a CSV file to rows of text: encoding, delimiter, header. It knows nothing of images."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tlstudio.api import DataError
from tlstudio_datasets.words import listed, printable

COLUMNS = ("path", "label", "split", "group")
_NAMES = {
    "path": ("path", "filepath", "file", "filename", "file_name", "image"),
    "label": ("label", "class"),
    "split": ("split",),
    "group": ("group",),
}
_DELIMITERS = (",", ";", "\t")
_START_BYTES = 64 * 1024
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Row(NamedTuple):
    """A row as it is written; ``number`` counts from 1 for the header. What is not there is empty."""

    number: int
    path: str
    label: str
    split: str
    group: str


def read_rows(file: Path, encoding: str = "utf-8", label: str = "") -> list[Row]:
    """All rows that are not blank, without the header; ``label`` names the column of labels, where it has another name.

    Raises:
        DataError: the text is in another encoding, the header lacks a column, or the table is broken or empty.
    """
    text = _text(file, encoding)
    delimiter, columns = _header(text, label)
    name = printable(file.name)
    missing = [{"label": label}.get(column) or column for column in ("path", "label") if column not in columns]
    if missing:
        seen = printable(_first_line(text))[:200]
        names = printable(" and none named ".join(missing))
        raise DataError(
            f"{name} has no column named {names}.",
            f"Its first row is: {seen}." if seen else "It is empty.",
            "The first row must name the columns: path,label and, if you like, split and group.",
        )
    # What a record lacks is empty, and so is the last place, which stands for columns that are not there.
    cells, width = itemgetter(*(columns.get(column, -1) for column in COLUMNS)), max(columns.values()) + 1
    try:
        rows = [
            Row(number, *["" if value.isspace() else value for value in cells(record)])
            for number, record in _records(text, delimiter, width)
        ][1:]
    except csv.Error as error:
        raise DataError(f"{name} is no proper CSV file.", str(error), "Save it again as CSV.") from None
    if not rows:
        raise DataError(f"{name} has a header and no rows.", hint="Add a row for each image.")
    nameless = [str(row.number) for row in rows if not row.path.strip()]
    if nameless:
        raise DataError(
            f"{name} has rows without a path.", f"Rows {listed(nameless, limit=20)}.", "Fill them in or delete them."
        )
    return rows


def read_start(file: Path) -> Mapping[str, int]:
    """The recognised columns of a file, from its first line; none where it is no UTF-8 text.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        start = stream.read(_START_BYTES)
    line = start.splitlines()[0] if start else b""
    try:
        return _header(line.decode("utf-8-sig"))[1]
    except UnicodeDecodeError:
        return {}


def _text(file: Path, encoding: str) -> str:
    try:
        data = file.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{printable(str(file))} cannot be read.", reason, "Check its permissions.") from None
    utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8"}
    try:
        return data.decode("utf-8-sig" if utf8 else encoding)
    except UnicodeDecodeError as error:
        raise _encoding_error(file, data, error, encoding) from None
    except (LookupError, UnicodeError):
        raise DataError(
            f"The encoding '{printable(encoding)}' is not known.", hint="Common ones: utf-8, cp1252, shift_jis, utf-16."
        ) from None


def _encoding_error(file: Path, data: bytes, error: UnicodeDecodeError, encoding: str) -> DataError:
    """Show the first line that does not decode as likely encodings would read it: a person sees which one is right."""
    name = printable(file.name)
    if data.startswith(_UTF16):
        return DataError(f"{name} is stored as UTF-16, not as UTF-8.", hint=_how_to_fix("utf-16"))
    begin = data.rfind(b"\n", 0, error.start) + 1
    end = data.find(b"\n", error.start)
    line = data[begin : end if end >= 0 else len(data)].rstrip(b"\r")[:200]
    readings = _readings(line)
    likely = next((guess for guess, text in readings.items() if all(char.isascii() or char.isalpha() for char in text)), None)
    number = data.count(b"\n", 0, error.start) + 1
    lines = [f"Line {number} would read"]
    lines += [f"as {guess}: {printable(text)}" for guess, text in readings.items()]
    return DataError(
        f"{name} is not stored as {encoding.upper()}" + (f"; it may be {likely}." if likely else "."),
        "\n".join(lines) if readings else "",
        _how_to_fix(likely or "cp1252"),
    )


def _readings(line: bytes) -> dict[str, str]:
    """The line under each of the usual encodings that can decode it."""
    readings = {}
    for guess in ("cp1252", "shift_jis", "gb18030", "cp1251"):
        try:
            readings[guess] = line.decode(guess)
        except UnicodeDecodeError:
            continue
    return readings


def _how_to_fix(encoding: str) -> str:
    return (
        "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or set the option encoding to what it is stored as, "
        f"such as {encoding}."
    )


def _header(text: str, label: str = "") -> tuple[str, dict[str, int]]:
    """The delimiter under which the first row names most columns, and where they are."""
    line = _first_line(text)
    best: tuple[str, dict[str, int]] = (",", {})
    for delimiter in _DELIMITERS:
        columns = _columns(line, delimiter, label)
        if len(columns) > len(best[1]):
            best = (delimiter, columns)
    return best


def _first_line(text: str) -> str:
    return text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")


def _columns(line: str, delimiter: str, label: str = "") -> dict[str, int]:
    try:
        names = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return {}
    at = {name.strip().casefold(): index for index, name in reversed(list(enumerate(names)))}
    wanted = {**_NAMES, "label": (label.strip().casefold(),)} if label.strip() else _NAMES
    found = {column: next((at[name] for name in known if name in at), None) for column, known in wanted.items()}
    return {column: index for column, index in found.items() if index is not None}


def _records(text: str, delimiter: str, width: int) -> Iterator[tuple[int, list[str]]]:
    """Number and values of all rows that are not blank, filled up to ``width`` and with an empty value at the end."""
    # A space after the delimiter is part of the style of a file that writes its header so; elsewhere it belongs to the value.
    spaced = f"{delimiter} " in _first_line(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=spaced)
    for number, record in enumerate(reader, 1):
        if any(record):
            record.extend([""] * (width - len(record) + 1) if len(record) < width else ("",))
            yield number, record
