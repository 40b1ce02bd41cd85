"""Finds what is wrong or odd in a data set before it costs a run: leaks, conflicts, damage, duplicates, strange pictures.

Works on the columns of `tlstudio.data.measure.Measures` alone and opens no file. Every finding is an `Issue` in plain words.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlstudio.api.dataset import NO_SPLIT, SPLIT_NAMES, SPLIT_WORDS, UNLABELLED, ImageSet
from tlstudio.data import oddities
from tlstudio.data.duplicates import Pairs, connected_groups, exact_groups, near_pairs, same_look, star_groups
from tlstudio.data.issues import Issue, Issues, Severity, counted
from tlstudio.data.measure import MEASURED, NOT_MEASURED, Measures
from tlstudio.data.threads import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KINDS", "Issue", "Issues", "Severity", "find_issues"]

KINDS = (
    "leak", "label-conflict", "unreadable", "truncated", "empty", "exact-duplicate", "near-duplicate", "placeholder",
    "low-information", "dark", "bright", "blurred", "odd-aspect", "class-imbalance", "odd-size", "wrong-extension", "remark",
)  # fmt: skip
"""Every kind of issue, in the order in which to see to them."""

_SPLIT_WORDS = tuple(SPLIT_WORDS.values())
_SURELY = 0.95  # other labels speak for other pictures, so a conflict takes more likeness (all below were false in CIFAR-10)
_UNEVEN = 10  # times as many images in the largest class as in a small one


def find_issues(
    images: ImageSet,
    splits: NDArray[np.int8],
    measures: Measures,
    *,
    flips: bool = False,
    pairs: Pairs | None = None,
    progress: Progress | None = None,
) -> Issues:
    """Everything that is wrong or odd, going by what was measured.

    Args:
        splits: ``(N,)`` int8 of `TRAIN`, `VAL`, `TEST` or `NO_SPLIT`, the splits that a run would use.
        flips: whether a mirrored picture counts as a duplicate.
        pairs: what `near_pairs` found before, perhaps among more rows; by default it looks now, which takes most of the time.
        progress: see `Progress`; when it ends the work, the other findings come back with the near duplicates so far.
    """
    ended = False

    def told(done: int, total: int) -> bool:
        nonlocal ended
        ended = progress is not None and not progress(done, total)
        return not ended

    if pairs is None:
        pairs = near_pairs(measures, flips=flips, progress=told)
    same = _Same.of(measures, pairs.among(measures.state == MEASURED))
    found = [
        *_leaks(same, splits),
        *_conflicts(same, images),
        *_exact(measures),
        *_near(measures, same.pairs),
        *oddities.damage(measures),
        *oddities.remarks(measures),
        *oddities.looks(measures),
        *oddities.shapes(images, measures),
        *oddities.placeholders(images, measures),
        *_imbalance(images, splits),
    ]
    told_of = (issue for issue in found if len(issue) or issue.kind == "class-imbalance")  # which may be one without images
    ordered = sorted(told_of, key=lambda issue: KINDS.index(issue.kind))
    unmeasured = int((measures.state == NOT_MEASURED).sum())
    return Issues(found=tuple(ordered), keys=images.keys, unmeasured=unmeasured, complete=not ended)


class _Same(NamedTuple):
    """Rows that show the same picture.

    Args:
        leader: ``(N,)`` the row that stands for all rows with this very picture, itself for most.
        pools: leader -> all its rows, where there are several.
        pairs: what `near_pairs` found.
    """

    leader: NDArray[np.int64]
    pools: dict[int, list[int]]
    pairs: Pairs

    @classmethod
    def of(cls, measures: Measures, pairs: Pairs) -> _Same:
        looks, exact = same_look(measures), exact_groups(measures)
        leader = np.where(looks >= 0, looks, exact)
        pools: dict[int, list[int]] = {}
        for row in np.flatnonzero(leader >= 0).tolist():
            pools.setdefault(int(leader[row]), []).append(row)
        return cls(np.where(leader >= 0, leader, np.arange(len(leader))), pools, pairs)

    def clashes(self, values: NDArray[np.int64], least: float = 0.0) -> Clashes:
        """Rows whose picture is also, at ``least`` that similar, that of a row with another value; below 0 is no value."""
        best: dict[int, tuple[float, int]] = {}
        inside = [(pool, pool, 1.0) for pool in self.pools.values()]
        a, b = self.leader[self.pairs.first], self.leader[self.pairs.second]
        across = np.flatnonzero((a != b) & (self.pairs.similarity >= least))
        between = (
            (self.pools.get(i, [i]), self.pools.get(j, [j]), similarity)
            for i, j, similarity in zip(
                a[across].tolist(), b[across].tolist(), self.pairs.similarity[across].tolist(), strict=True
            )
        )
        for mine, theirs, similarity in (*inside, *between):
            for ours, others in ((mine, theirs), (theirs, mine)):
                first_of = {int(values[row]): row for row in reversed(others) if values[row] >= 0}
                if not first_of:
                    continue
                for row in ours:
                    partner = next((other for value, other in first_of.items() if value != values[row]), -1)
                    if values[row] >= 0 and partner >= 0 and similarity > best.get(row, (0.0, 0))[0]:
                        best[row] = (similarity, partner)
        rows = sorted(best)
        return Clashes(rows, [best[row][1] for row in rows], [best[row][0] for row in rows])


class Clashes(NamedTuple):
    """Rows, for each the row that it clashes with, and how similar the two are."""

    rows: list[int]
    partners: list[int]
    similarity: list[float]


def _leaks(same: _Same, splits: NDArray[np.int8]) -> list[Issue]:
    found = same.clashes(np.where(splits == NO_SPLIT, -1, splits).astype(np.int64))
    pairs = ((int(splits[row]), int(splits[partner])) for row, partner in zip(found.rows, found.partners, strict=True))
    between = Counter(pair for pair in pairs if pair[0] > pair[1])
    parts = [
        f"{counted(count, f'{_SPLIT_WORDS[mine]} image')} {'is' if count == 1 else 'are'} also in {_SPLIT_WORDS[theirs]}"
        for (mine, theirs), count in sorted(between.items())
    ]
    return [
        _pairwise(
            "leak", "Leaks between splits", "; ".join(parts) + ".",
            "Keep each picture in one split: a model is judged too well on pictures that it was trained on.", found,
        )
    ]  # fmt: skip


def _conflicts(same: _Same, images: ImageSet) -> list[Issue]:
    found = same.clashes(np.where(images.labels == UNLABELLED, -1, images.labels).astype(np.int64), _SURELY)
    sentence = ""
    if found.rows:
        a, b = (images.classes[images.labels[row]] for row in (found.rows[0], found.partners[0]))
        sentence = f"{counted(len(found.rows), 'image')} show a picture that has another label elsewhere, such as {a} and {b}."
    return [
        _pairwise(
            "label-conflict", "Two labels, one picture", sentence,
            "Look at each pair and correct the wrong label, or leave both out.", found,
        )
    ]  # fmt: skip


def _pairwise(kind: str, title: str, sentence: str, advice: str, found: Clashes) -> Issue:
    rows, partners = np.array(found.rows, np.int64), np.array(found.partners, np.int64)
    groups = connected_groups(rows, partners, int(max(rows.max(initial=0), partners.max(initial=0))) + 1)
    return Issue(
        kind=kind, title=title, sentence=sentence, advice=advice, severity="error",
        rows=rows, scores=np.array(found.similarity, np.float32), groups=groups[rows], partners=partners,
    )  # fmt: skip


def _exact(measures: Measures) -> list[Issue]:
    groups = exact_groups(measures)
    rows = np.flatnonzero(groups >= 0)
    leaders = len(np.unique(groups[rows]))
    copies = len(rows) - leaders
    return [
        Issue(
            kind="exact-duplicate", title="Exact duplicates", severity="warning",
            sentence=f"{counted(leaders, 'image')} {'is' if leaders == 1 else 'are'} there more than once: "
            f"{counted(copies, 'exact copy', 'exact copies')} could go.",
            advice="Leave all but one of each out: copies weigh more than other images.",
            rows=rows, scores=np.ones(len(rows), np.float32), groups=groups[rows],
        )
    ]  # fmt: skip


def _near(measures: Measures, pairs: Pairs) -> list[Issue]:
    differ = (measures.digest[pairs.first] != measures.digest[pairs.second]).any(axis=1)
    kept = Pairs(first=pairs.first[differ], second=pairs.second[differ], similarity=pairs.similarity[differ])
    groups = star_groups(kept, len(measures))
    rows = np.flatnonzero(groups >= 0)
    partners, scores = _best_partners(kept, len(measures))
    count = len(np.unique(groups[rows]))
    return [
        Issue(
            kind="near-duplicate", title="Near duplicates", severity="warning",
            sentence=f"{counted(len(rows), 'image')} are {counted(count, 'picture')} in several versions that differ in size, "
            "compression, brightness or margin only.",
            advice="Keep each group in one split, or leave all but the best of it out.",
            rows=rows, scores=scores[rows], groups=groups[rows], partners=partners[rows],
        )
    ]  # fmt: skip


def _best_partners(pairs: Pairs, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    partners, best = np.full(rows, -1, np.int64), np.zeros(rows, np.float32)
    order = np.argsort(pairs.similarity, kind="stable")
    for mine, theirs in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        a, b, similarity = mine[order], theirs[order], pairs.similarity[order]
        better = similarity > best[a]
        partners[a[better]], best[a[better]] = b[better], similarity[better]  # the last of equal indices wins: the most similar
    return partners, best


def _imbalance(images: ImageSet, splits: NDArray[np.int8]) -> list[Issue]:
    """Classes with far fewer training images than the largest; all images where nothing is in a split."""
    training = splits == SPLIT_NAMES.index("train")
    used = (training if training.any() else np.ones(len(images), bool)) & (images.labels >= 0)
    counts = np.bincount(images.labels[used], minlength=len(images.classes))
    if len(counts) < 2 or not counts.any():
        return []
    largest = int(counts.argmax())
    small = np.flatnonzero(counts * _UNEVEN <= counts[largest])
    if not len(small):
        return []
    named = ", ".join(f"{images.classes[label]} ({counts[label]:,})" for label in small[np.argsort(counts[small])][:3].tolist())
    rows = np.flatnonzero(used & np.isin(images.labels, small))
    sentence = (
        f"{counted(len(small), 'class', 'classes')} of {len(counts)} {'has' if len(small) == 1 else 'have'} at most a tenth "
        f"of the {counts[largest]:,} images of {images.classes[largest]}: {named}."
    )
    return [
        Issue(
            kind="class-imbalance", title="Uneven classes", severity="warning", sentence=sentence,
            advice="Gather more images of them, or weigh the classes in training; judge by class, not by overall accuracy.",
            rows=rows, scores=(1 - counts[images.labels[rows]] / counts[largest]).astype(np.float32),
        )
    ]  # fmt: skip
