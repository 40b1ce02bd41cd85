"""Finds images by a line of text, such as ``class:ant split:val issue:blurred -tag:seen width<200 wing``.

Words with a colon name a column; a comma between values means "or"; a minus before a word means "not"; everything else is
looked for in the image's key. All words must hold. Knows the table and what was measured; no Qt, no files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tlstudio.api.dataset import SPLIT_NAMES, UNLABELLED, ImageSet
from tlstudio.api.errors import UserError
from tlstudio.data.edits import Table
from tlstudio.data.measure import NOT_MEASURED, UNREADABLE, Measures
from tlstudio.data.quality import KINDS, Issue, Issues

if TYPE_CHECKING:
    from numpy.typing import NDArray

Mask: TypeAlias = "NDArray[np.bool_]"
Sort = Literal["table", "name", "size", "date", "pixels", "issue"]
STATES = ("edited", "excluded", "labelled", "unlabelled", "unreadable", "checked", "good")
_COMPARISON = re.compile(r"^(width|height|size)(<=|>=|<|>|=)(\d+(?:\.\d+)?)\s*(kb|mb|gb|)$", re.IGNORECASE)
_UNITS = {"": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
_COMPARE: dict[str, Callable[[NDArray[np.int64], float], NDArray[np.bool_]]] = {
    "<": np.less, ">": np.greater, "<=": np.less_equal, ">=": np.greater_equal, "=": np.equal,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that a query can ask about: the table, and what was measured and found, as far as it was."""

    table: Table
    measures: Measures | None = None
    issues: Issues | None = None

    @property
    def images(self) -> ImageSet:
        """The images with the labels now in force."""
        return self.table.images


def find(known: Known, text: str) -> Mask:
    """Whether each image is meant by a line of text, ``(N,)`` bool.

    Raises:
        UserError: a word that cannot be understood, with what would be.
    """
    mask = np.ones(len(known.images), np.bool_)
    for word in _words(text):
        negated = word.startswith("-") and len(word) > 1
        found = _word(known, word[1:] if negated else word, mask)
        mask &= ~found if negated else found
    return mask


def sort(known: Known, rows: NDArray[np.int64], by: Sort, *, issue: str = "", descending: bool = False) -> NDArray[np.int64]:
    """Rows in another order; equal ones in the order of the table.

    Args:
        by: ``table`` as the data have it, ``name`` of the file, ``size`` in bytes, ``date`` of change, ``pixels``, or the score
            of an ``issue``, worst first.
        issue: the kind of issue whose score counts, its images that belong together side by side; empty: the worst of all.
    """
    found = known.issues.of_kind(issue) if by == "issue" and known.issues is not None and issue else None
    if found is not None and found.groups is not None:
        return _by_group(found, rows)
    if by == "table":
        return rows[::-1] if descending else rows
    if by == "name":
        keys = known.images.keys
        order = sorted(range(len(rows)), key=lambda i: _natural(keys[rows[i]].rpartition("/")[2]), reverse=descending)
        return rows[order]
    values: NDArray[Any]
    if by == "issue":
        values = -_scores(known, issue)[rows]
    elif known.measures is None:
        return rows
    else:
        measures = known.measures
        pixels = measures.width.astype(np.int64) * measures.height
        values = {"size": measures.file_size, "date": measures.modified, "pixels": pixels}[by][rows]
    return rows[np.argsort(-values if descending else values, kind="stable")]


def quoted(word: str) -> str:
    """A value as it must stand in a query."""
    return shlex.quote(word) if re.search(r"[\s'\",\\]", word) else word


def _words(text: str) -> list[str]:
    splitter = shlex.shlex(text, posix=True, punctuation_chars=False)
    splitter.whitespace_split = True
    splitter.commenters = ""
    try:
        return list(splitter)
    except ValueError:  # a quote that is not closed yet, while somebody types
        return text.replace('"', " ").replace("'", " ").split()


def _word(known: Known, word: str, mask: Mask) -> Mask:
    comparison = _COMPARISON.match(word)
    if comparison is not None:
        return _compare(known, *comparison.groups())
    field, colon, value = word.partition(":")
    if not colon or field.lower() not in _FIELDS:
        return _containing(known.images.keys, word, mask)
    result = np.zeros(len(known.images), np.bool_)
    for part in value.split(","):
        if part:
            result |= _FIELDS[field.lower()](known, part)
    return result


def _of_class(known: Known, value: str) -> Mask:
    images = known.images
    if value.lower() == "none" and "none" not in images.classes:
        return np.equal(images.labels, UNLABELLED)
    wanted = [label for label, name in enumerate(images.classes) if name.casefold() == value.casefold()]
    if not wanted:
        raise _unknown("class", value, images.classes)
    return np.isin(images.labels, wanted)


def _in_split(known: Known, value: str) -> Mask:
    if value.lower() not in SPLIT_NAMES:
        raise _unknown("split", value, SPLIT_NAMES)
    return np.equal(known.table.splits, SPLIT_NAMES.index(value.lower()))


def _with_issue(known: Known, value: str) -> Mask:
    if known.issues is None:
        return np.zeros(len(known.images), np.bool_)
    if value.lower() == "any":
        return _rows_mask(known, _all_issue_rows(known))
    issue = known.issues.of_kind(value.lower())
    if issue is None and value.lower() not in KINDS:
        raise _unknown("issue", value, ("any", *KINDS))
    return _rows_mask(known, issue.rows if issue is not None else np.empty(0, np.int64))


def _tagged(known: Known, value: str) -> Mask:
    return _rows_mask(known, known.table.tags.get(value, np.empty(0, np.int64)))


def _in_group(known: Known, value: str) -> Mask:
    names = known.images.groups or ("",) * len(known.images)
    return np.array([name.casefold() == value.casefold() for name in names], np.bool_)


def _in_state(known: Known, value: str) -> Mask:
    value = value.lower()
    table, labels = known.table, known.images.labels
    measures = known.measures
    state = np.zeros(len(labels), np.uint8) if measures is None else measures.state
    states: dict[str, Callable[[], Mask]] = {
        "edited": lambda: table.edited,
        "excluded": lambda: table.excluded,
        "labelled": lambda: labels != UNLABELLED,
        "unlabelled": lambda: labels == UNLABELLED,
        "unreadable": lambda: state == UNREADABLE,
        "checked": lambda: state != NOT_MEASURED,
        "good": lambda: ~_rows_mask(known, _all_issue_rows(known)),
    }
    if value not in states:
        raise _unknown("is", value, STATES)
    return states[value]()


def _compare(known: Known, field: str, sign: str, number: str, unit: str) -> Mask:
    measures = known.measures
    if measures is None:
        return np.zeros(len(known.images), np.bool_)
    columns: dict[str, NDArray[Any]] = {"width": measures.width, "height": measures.height, "size": measures.file_size}
    column = columns[field.lower()]
    compared = _COMPARE[sign](column.astype(np.int64), float(number) * _UNITS[unit.lower()])
    result: NDArray[np.bool_] = compared & (column > 0)
    return result


def _containing(keys: tuple[str, ...], text: str, mask: Mask) -> Mask:
    """Keys with a text in them; looked for only where the words before it hold."""
    wanted = text.casefold()
    result = np.zeros(len(keys), np.bool_)
    rows = np.flatnonzero(mask)
    result[rows] = [wanted in keys[row].casefold() for row in rows.tolist()]
    return result


def _scores(known: Known, kind: str) -> NDArray[np.float32]:
    scores = np.zeros(len(known.images), np.float32)
    for issue in known.issues or ():
        if not kind or issue.kind == kind:
            np.maximum.at(scores, issue.rows, issue.scores)
    return scores


def _by_group(issue: Issue, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups side by side, the worst group first."""
    assert issue.groups is not None
    worst = np.zeros(int(issue.groups.max(initial=0)) + 1, np.float32)
    np.maximum.at(worst, issue.groups, issue.scores)
    group = dict(zip(issue.rows.tolist(), issue.groups.tolist(), strict=True))
    groups = np.array([group.get(row, -1) for row in rows.tolist()], np.int64)
    return rows[np.lexsort((rows, groups, np.where(groups >= 0, -worst[groups], 1.0)))]


def _all_issue_rows(known: Known) -> NDArray[np.int64]:
    """Rows of any issue that is more than a note."""
    parts = [issue.rows for issue in known.issues or () if issue.severity != "note"]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _rows_mask(known: Known, rows: NDArray[np.int64]) -> Mask:
    mask = np.zeros(len(known.images), np.bool_)
    mask[rows] = True
    return mask


def _unknown(field: str, value: str, known: tuple[str, ...]) -> UserError:
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return UserError(f"There is no {field} called {value!r}.", hint=f"Known: {shown}.")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts ``img2`` before ``img10``."""
    parts = re.split(r"(\d{1,18})", name.casefold())
    return [(0, int(part), "") if i % 2 else (1, 0, part) for i, part in enumerate(parts)]


_FIELDS: dict[str, Callable[[Known, str], Mask]] = {
    "class": _of_class, "split": _in_split, "issue": _with_issue, "tag": _tagged, "group": _in_group, "is": _in_state,
}  # fmt: skip
