"""What can be done about an issue at once: edits for all its images, which the user sees, applies and can undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.dataset import SPLIT_NAMES
from tlstudio.data.edits import Edit, Exclude, MoveToSplit, Table, Together
from tlstudio.data.measure import Measures
from tlstudio.data.quality import Issue

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAVE_OUT = frozenset({"unreadable", "truncated", "empty", "placeholder"})
_KEEP_ONE = frozenset({"exact-duplicate", "near-duplicate"})


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A remedy: its name on a button, and the edit that it is."""

    title: str
    edit: Edit


def fix_for(issue: Issue, table: Table, measures: Measures) -> Fix | None:
    """The usual remedy for an issue, or ``None`` where only a person can decide."""
    keys = table.images.keys
    if issue.kind in _LEAVE_OUT:
        rows = issue.rows[~table.excluded[issue.rows]]
        if len(rows):
            return Fix(title=f"Leave out {_images(len(rows))}", edit=Exclude(keys=_keys(keys, rows)))
    if issue.kind in _KEEP_ONE and issue.groups is not None:
        rows = _all_but_the_best(issue.rows, issue.groups, table, measures)
        if len(rows):
            title = f"Keep the best of each group, leave out {_images(len(rows))}"
            return Fix(title=title, edit=Exclude(keys=_keys(keys, rows)))
    if issue.kind == "leak" and issue.groups is not None:
        return _in_one_split(issue, table)
    return None


def _all_but_the_best(
    rows: NDArray[np.int64], groups: NDArray[np.int64], table: Table, measures: Measures
) -> NDArray[np.int64]:
    """Of each group all that take part but the largest picture; of equally large ones the first stays."""
    part = ~table.excluded[rows]
    rows, groups = rows[part], groups[part]
    pixels = measures.width[rows].astype(np.int64) * measures.height[rows]
    order = np.lexsort((rows, -pixels, groups))
    first = np.ones(len(order), np.bool_)
    first[1:] = groups[order][1:] != groups[order][:-1]
    return np.sort(rows[order[~first]])


def _in_one_split(issue: Issue, table: Table) -> Fix | None:
    """Each group moves to the split of its that comes first: what is learnt from is not measured on."""
    assert issue.groups is not None
    rows, splits = issue.rows, table.splits[issue.rows]
    first = np.full(int(issue.groups.max(initial=0)) + 1, len(SPLIT_NAMES), np.int8)
    np.minimum.at(first, issue.groups, splits)
    target = first[issue.groups]
    moving = (target != splits) & ~table.excluded[rows]
    edits = tuple(
        MoveToSplit(keys=_keys(table.images.keys, rows[moving & (target == split)]), split=name)
        for split, name in enumerate(SPLIT_NAMES)
        if (moving & (target == split)).any()
    )
    title = f"Keep each group in one split: move {_images(int(moving.sum()))}"
    return Fix(title=title, edit=Together(edits=edits)) if edits else None


def _keys(keys: tuple[str, ...], rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(keys[row] for row in rows.tolist())


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
