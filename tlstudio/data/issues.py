"""The record of what was found in a data set, and its words: one `Issue` for each kind, `Issues` for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One kind of finding.

    Args:
        kind: stable name, such as ``near-duplicate``; see `tlstudio.data.quality.KINDS` for all of them.
        title: a few words.
        sentence: what was found, with numbers.
        advice: what to do about it.
        severity: ``error`` spoils a run or its figures, ``warning`` may, ``note`` is good to know.
        rows: ``(R,)`` int64, ascending, the images concerned; none for a class that has none.
        scores: ``(R,)`` float32, 0..1, how bad each is; higher is worse.
        groups: ``(R,)`` int64 where images belong together: the row that leads each one's group; else ``None``.
        partners: ``(R,)`` int64, for each row the most similar row that it clashes with; else ``None``.
        details: row -> what is to be said of this image alone, such as why it cannot be read.
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
    details: dict[int, str] | None = None

    def __len__(self) -> int:
        """Number of images concerned."""
        return len(self.rows)

    def to_dict(self, keys: tuple[str, ...]) -> dict[str, Any]:
        """For JSON, with ``keys`` of the images instead of rows."""
        images = []
        for i, (row, score) in enumerate(zip(self.rows.tolist(), self.scores.tolist(), strict=True)):
            image: dict[str, Any] = {"key": keys[row], "score": round(score, 3)}
            if self.groups is not None:
                image["group"] = keys[int(self.groups[i])]
            if self.partners is not None:
                image["partner"] = keys[int(self.partners[i])]
            if self.details is not None and row in self.details:
                image["detail"] = self.details[row]
            images.append(image)
        words = {name: getattr(self, name) for name in ("kind", "title", "severity", "sentence", "advice")}
        return {**words, "images": images}


@dataclass(frozen=True, kw_only=True)
class Issues:
    """All findings, the most urgent first.

    Args:
        found: one `Issue` for each kind of which there is anything.
        keys: the keys of all images.
        unmeasured: how many images were not measured and so not judged.
        complete: whether the search for near duplicates came to its end.
    """

    found: tuple[Issue, ...]
    keys: tuple[str, ...]
    unmeasured: int = 0
    complete: bool = True

    def __iter__(self) -> Iterator[Issue]:
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
        """What to do first and what else there is, in one or two sentences."""
        judged = len(self.keys) - self.unmeasured
        if not self.found:
            first = f"Nothing was found in {counted(judged, 'image')}."
        else:
            urgent, *others = self.found
            first = f"{urgent.sentence} {urgent.advice}" if urgent.severity != "note" else urgent.sentence
            if others:
                first += f" Also: {', '.join(map(_short, others))}."
        return first + (f" {counted(self.unmeasured, 'image')} not measured yet." if self.unmeasured else "")

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the summary and every issue with the keys of its images."""
        return {
            "summary": self.summary(),
            "images": len(self.keys),
            "unmeasured": self.unmeasured,
            "complete": self.complete,
            "issues": [issue.to_dict(self.keys) for issue in self.found],
        }

    @cached_property
    def _by_row(self) -> dict[int, list[int]]:
        index: dict[int, list[int]] = {}
        for i, issue in enumerate(self.found):
            for row in issue.rows.tolist():
                index.setdefault(row, []).append(i)
        return index


def _short(issue: Issue) -> str:
    return issue.title.lower() + (f" ({len(issue):,})" if len(issue) else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun: ``1 image``, ``1,200 images``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
