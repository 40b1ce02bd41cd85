"""Finds what is wrong or odd in a data set before it costs a run: leaks, conflicts, damage, duplicates, strange pictures.

Works on the columns of `tlstudio.data.measure.Measures` alone and opens no file. Every finding is an `Issue` in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlstudio.api.dataset import ImageSet
from tlstudio.data.measure import NOT_MEASURED, UNREADABLE, Measures
from tlstudio.data.threads import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One kind of finding.

    Args:
        kind: stable name, such as ``near-duplicate``; see `KINDS` for all of them.
        title: a few words.
        sentence: what was found, with numbers.
        advice: what to do about it.
        severity: ``error`` spoils a run or its figures, ``warning`` may, ``note`` is to be known.
        rows: ``(R,)`` int64, ascending, the images concerned; empty for what concerns a class.
        scores: ``(R,)`` float32, 0..1, how bad each is; higher is worse.
        groups: ``(R,)`` int64 where it is about images that belong together: rows of one group share a number; else ``None``.
        partners: ``(R,)`` int64, the row of the most similar image of the same finding; else ``None``.
    """

    kind: str
    title: str
    sentence: str
    advice: str
    severity: Severity
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    groups: NDArray[np.int64] | None = None
    partners: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of images concerned."""
        return len(self.rows)

    def to_dict(self, keys: tuple[str, ...]) -> dict[str, Any]:
        """For JSON, with ``keys`` of the images instead of rows."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "title": self.title,
            "severity": self.severity,
            "sentence": self.sentence,
            "advice": self.advice,
            "images": [],
        }
        for i, (row, score) in enumerate(zip(self.rows.tolist(), self.scores.tolist(), strict=True)):
            image: dict[str, Any] = {"key": keys[row], "score": round(score, 3)}
            if self.groups is not None:
                image["group"] = int(self.groups[i])
            if self.partners is not None:
                image["partner"] = keys[int(self.partners[i])]
            found["images"].append(image)
        return found


@dataclass(frozen=True, kw_only=True)
class Issues:
    """All findings, the most urgent first.

    Args:
        found: one `Issue` for each kind that was found.
        keys: the keys of all images, for names.
        unmeasured: how many images were not measured and so not judged.
    """

    found: tuple[Issue, ...]
    keys: tuple[str, ...]
    unmeasured: int = 0

    def __iter__(self) -> Any:
        """The issues, the most urgent first."""
        return iter(self.found)

    def __len__(self) -> int:
        """Number of kinds found."""
        return len(self.found)

    def of_kind(self, kind: str) -> Issue | None:
        """The issue of one kind, if there is one."""
        return next((issue for issue in self.found if issue.kind == kind), None)

    def issue_of(self, row: int) -> tuple[Issue, ...]:
        """Every issue that one image is part of, the most urgent first."""
        return tuple(self.found[i] for i in self._by_row.get(row, ()))

    def summary(self) -> str:
        """What was found and what to do first, in one or two sentences."""
        return "Nothing was found."

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the summary and every issue with the keys of its images."""
        return {
            "summary": self.summary(),
            "unmeasured": self.unmeasured,
            "issues": [issue.to_dict(self.keys) for issue in self.found],
        }

    @cached_property
    def _by_row(self) -> dict[int, list[int]]:
        index: dict[int, list[int]] = {}
        for i, issue in enumerate(self.found):
            for row in issue.rows.tolist():
                index.setdefault(row, []).append(i)
        return index


def find_issues(
    images: ImageSet,
    splits: NDArray[np.int8],
    measures: Measures,
    *,
    flips: bool = False,
    progress: Progress | None = None,
) -> Issues:
    """Everything that is wrong or odd, going by what was measured.

    Args:
        splits: ``(N,)`` int8 of `TRAIN`, `VAL`, `TEST` or `NO_SPLIT`, the splits that a run would use.
        flips: whether a mirrored picture counts as a duplicate.
        progress: see `Progress`; when it ends the work, the findings so far come back, without near duplicates.
    """
    rows = np.flatnonzero(measures.state == UNREADABLE)
    found = []
    if len(rows):
        found.append(
            Issue(
                kind="unreadable",
                title="Unreadable",
                sentence=f"{len(rows)} images cannot be read.",
                advice="Replace the files or leave them out.",
                severity="error",
                rows=rows,
                scores=np.ones(len(rows), np.float32),
            )
        )
    return Issues(found=tuple(found), keys=images.keys, unmeasured=int((measures.state == NOT_MEASURED).sum()))
