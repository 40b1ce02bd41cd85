"""Who trains and who measures: fixed by the data, or drawn once from a seed by a plan, and then kept.

What belongs together (a patient, a slide, near duplicates of one picture) lands in one split. Pure functions of the table, the
plan and what was assigned before; an image keeps its place when others come or go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.config import DataConfig
from tlstudio.api.dataset import NO_SPLIT, TEST, TRAIN, VAL, ImageSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMES_AT_ONCE = 65_536
FOLD_0 = 10
"""A part of a k-fold plan is stored as this number plus the number of the fold."""


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """How images are split; the parts of `DataConfig` that decide it. ``fold`` only says which part measures this time."""

    method: str
    val_fraction: float
    test_fraction: float
    folds: int
    fold: int
    seed: int
    group_by: str
    together: bool

    @classmethod
    def of(cls, data: DataConfig) -> SplitPlan:
        """The plan of a configuration."""
        return cls(
            method=data.split,
            val_fraction=data.val_fraction,
            test_fraction=data.test_fraction,
            folds=data.folds,
            fold=data.fold,
            seed=data.split_seed,
            group_by=data.group_by,
            together=data.duplicates_together,
        )

    def fields(self) -> dict[str, object]:
        """The parts as fields of `DataConfig`."""
        own = asdict(self)
        names = {"method": "split", "seed": "split_seed", "together": "duplicates_together"}
        return {names.get(name, name): value for name, value in own.items()}

    @property
    def name(self) -> str:
        """A short name that differs where the parts do; all folds of a plan share one."""
        parts: tuple[object, ...] = (self.method, self.seed, self.group_by, self.together)
        parts += (self.folds,) if self.method == "kfold" else (self.val_fraction, self.test_fraction)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def draws(self, images: ImageSet) -> bool:
        """Whether anything is left to draw: the data have no validation images, or the plan does not ask them."""
        own = images.splits is not None and bool((images.splits == VAL).any())
        return self.method != "auto" or (not own and self.val_fraction > 0)


def assign_parts(
    images: ImageSet,
    plan: SplitPlan,
    *,
    known: NDArray[np.int8] | None = None,
    alike: NDArray[np.int64] | None = None,
) -> NDArray[np.int8]:
    """The part of every image ``(N,)`` int8: TRAIN, VAL, TEST, or `FOLD_0` + its fold.

    What the data keep apart as a test stays a test, unless the plan draws a test split of its own. Unlabelled images train.
    Each class gives its share to each part as far as whole groups allow, and keeps at least one training image.

    Args:
        known: parts assigned earlier, `NO_SPLIT` for new images; those stay, and draw what belongs to them after them.
        alike: a number for each image, the same for near duplicates, -1 for an image that is like no other.
    """
    parts = np.full(len(images), NO_SPLIT, np.int8) if images.splits is None else images.splits.copy()
    parts[parts == NO_SPLIT] = TRAIN
    if not plan.draws(images):
        return parts
    redraw_test = plan.method != "auto" and plan.test_fraction > 0
    free = (images.labels >= 0) & ((parts != TEST) | redraw_test)
    rows = np.flatnonzero(free)
    if not len(rows):
        return parts
    units, names = _units(images, rows, plan.group_by, alike)
    given = np.full(len(rows), NO_SPLIT, np.int8) if known is None else known[rows]
    parts[rows] = _Drawing(plan, images.labels[rows], units, names, given).parts()
    return parts


def splits_of(parts: NDArray[np.int8], plan: SplitPlan) -> NDArray[np.int8]:
    """TRAIN, VAL or TEST for each part; of the folds, the plan's own measures and the others train."""
    splits = np.where(parts >= FOLD_0, TRAIN, parts).astype(np.int8)
    splits[parts == FOLD_0 + plan.fold] = VAL
    return splits


def assign_splits(images: ImageSet, plan: SplitPlan) -> NDArray[np.int8]:
    """`assign_parts` and `splits_of` for images that were never split before."""
    return splits_of(assign_parts(images, plan), plan)


def group_names(images: ImageSet, pattern: str) -> list[str]:
    """A group's name for each image: what a regular expression finds in its key, else its group in the data, else its key.

    Where the expression has a group of its own, such as ``patient(\\d+)``, that is the name. Raises `re.error` as `re` does.
    """
    fallback = images.keys if images.groups is None else images.groups
    if not pattern:
        return list(fallback)
    found = (re.search(pattern, key) for key in images.keys)
    return [
        name if match is None else (match.group(1) if match.re.groups else match.group(0))
        for match, name in zip(found, fallback, strict=True)
    ]


def _units(
    images: ImageSet, rows: NDArray[np.int64], pattern: str, alike: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """For each row the number of the unit that must stay in one part, and the name of each unit."""
    if pattern or images.groups is not None:
        every = group_names(images, pattern)
        known: dict[str, int] = {}
        units = np.array([known.setdefault(every[row], len(known)) for row in rows.tolist()], np.int64)
    else:
        units = np.arange(len(rows))
    if alike is not None:
        units = _joined(units, alike[rows])
    _, first, units = np.unique(units, return_index=True, return_inverse=True)
    keys = images.keys if images.groups is None and not pattern else every
    return units, [keys[row] for row in rows[first].tolist()]


def _joined(units: NDArray[np.int64], alike: NDArray[np.int64]) -> NDArray[np.int64]:
    """Units that share an image with near duplicates become one: the smallest number of each connected set."""
    joined = units.copy()
    mine = np.flatnonzero(alike >= 0)
    if not len(mine):
        return joined
    while True:
        lowest = np.full(int(alike.max()) + 1, np.iinfo(np.int64).max)
        np.minimum.at(lowest, alike[mine], joined[mine])
        smaller = np.arange(int(units.max()) + 1)
        np.minimum.at(smaller, units, joined)
        np.minimum.at(smaller, units[mine], lowest[alike[mine]])
        after = smaller[units]
        if np.array_equal(after, joined):
            return joined
        joined = after


class _Drawing:
    """Gives whole units to parts so that each class has its share in each; what was given before stays."""

    def __init__(
        self,
        plan: SplitPlan,
        labels: NDArray[np.int32],
        units: NDArray[np.int64],
        names: Sequence[str],
        given: NDArray[np.int8],
    ) -> None:
        if plan.method == "kfold":
            self.targets = np.arange(FOLD_0, FOLD_0 + plan.folds, dtype=np.int8)
            shares = np.full(plan.folds, 1.0 / plan.folds)
        else:
            test = plan.test_fraction if plan.method != "auto" else 0.0
            shares = np.array([max(0.0, 1.0 - plan.val_fraction - test), plan.val_fraction, test])
            self.targets = np.array([TRAIN, VAL, TEST], np.int8)[shares > 0]
            shares = shares[shares > 0]
        self.labels, self.units = labels, units
        place = np.full(128, -1)
        place[self.targets] = np.arange(len(self.targets))
        self.before = place[given]
        self.chosen = np.full(len(names), -1)
        self.chosen[units[self.before >= 0]] = self.before[self.before >= 0]
        self.wanted = np.outer(shares, np.bincount(labels)).astype(float)
        self.placed = np.zeros_like(self.wanted)
        fixed = np.flatnonzero(self.chosen[units] >= 0)
        np.add.at(self.placed, (self.chosen[units[fixed]], labels[fixed]), 1.0)
        self.order = draws(plan.seed, names)
        self.sizes = np.bincount(units, minlength=len(names))

    def parts(self) -> NDArray[np.int8]:
        """The part of each row."""
        still_open = self.chosen < 0
        self._place_groups(np.flatnonzero(still_open & (self.sizes > 1)))
        self._place_singles(np.flatnonzero(still_open & (self.sizes == 1)))
        if TRAIN in self.targets:
            self._keep_training_images(still_open)
        chosen = np.where(self.before >= 0, self.before, self.chosen[self.units])
        result: NDArray[np.int8] = self.targets[chosen]
        return result

    def _place_groups(self, groups: NDArray[np.int64]) -> None:
        """One by one, large ones before small ones, each to the part that comes closest to what it should have."""
        rows = np.argsort(self.units, kind="stable")
        ends = np.cumsum(self.sizes)
        large_first = np.lexsort((self.order[groups], -np.floor(np.log2(self.sizes[groups]))))
        for unit in groups[large_first].tolist():
            mine = self.labels[rows[ends[unit] - self.sizes[unit] : ends[unit]]]
            counts = np.bincount(mine, minlength=self.wanted.shape[1])
            after = self.placed + counts - self.wanted
            before = self.placed - self.wanted
            worse = ((after**2 - before**2) / (self.wanted + 1e-9) * (counts > 0)).sum(1)
            best = int(worse.argmin())
            self.chosen[unit] = best
            self.placed[best] += counts

    def _place_singles(self, singles: NDArray[np.int64]) -> None:
        """Within each class, in drawn order, as many to each part as it still lacks."""
        label_of = np.zeros(len(self.chosen), np.int64)
        label_of[self.units] = self.labels
        singles = singles[np.argsort(label_of[singles] + self.order[singles], kind="stable")]  # a draw is below 1
        classes, starts = np.unique(label_of[singles], return_index=True)
        for label, first, last in zip(classes.tolist(), starts, [*starts[1:], len(singles)][: len(starts)], strict=True):
            mine = singles[first:last]
            counts = self._counts(label, len(mine))
            self.chosen[mine] = np.repeat(np.arange(len(counts))[::-1], counts[::-1])

    def _counts(self, label: int, total: int) -> NDArray[np.int64]:
        """How many of ``total`` images of a class each part gets: whole numbers, the largest remainders rounded up."""
        lacking = (self.wanted[:, label] - self.placed[:, label]).clip(0)
        if lacking.sum() <= 0:
            lacking = self.wanted[:, label]
        exact = lacking * (total / lacking.sum())
        counts: NDArray[np.int64] = np.floor(exact + 1e-9).astype(np.int64)
        turn = label if FOLD_0 in self.targets else 0  # folds take turns with what is left over
        later_first = (np.arange(len(counts))[::-1] + turn) % len(counts)
        rest = np.lexsort((later_first, -(exact - counts).round(9)))[: total - int(counts.sum())]
        counts[rest] += 1
        empty = (counts == 0) & (self.placed[:, label] == 0)
        for part in np.flatnonzero(empty)[: max(0, total - len(counts) + int(empty.sum()))] if total >= len(counts) else ():
            counts[counts.argmax()] -= 1
            counts[part] = 1
        return counts

    def _keep_training_images(self, drawn: NDArray[np.bool_]) -> None:
        """A class of which nothing would train gets the smallest of its newly drawn units back."""
        train = int(np.flatnonzero(self.targets == TRAIN)[0])
        trains = np.where(self.before >= 0, self.before, self.chosen[self.units]) == train
        trained = np.bincount(self.labels[trains], minlength=self.wanted.shape[1])
        movable = np.bincount(self.labels[drawn[self.units]], minlength=self.wanted.shape[1])
        for label in np.flatnonzero((movable > 0) & (trained == 0)):
            mine = np.unique(self.units[(self.labels == label) & drawn[self.units]])
            self.chosen[mine[self.sizes[mine].argmin()]] = train


def draws(seed: int, names: Sequence[str]) -> NDArray[np.float64]:
    """A number in 0..1 for each name ``(N,)``, from it and the seed alone, the same on every machine.

    A multilinear hash of the name's bytes (Carter and Wegman 1979) with weights from the seed, mixed by splitmix64 (Steele, Lea
    and Flood 2014); for many names at once, since a million calls of a hash function would be felt.
    """
    parts = [_draws(seed, names[start : start + _NAMES_AT_ONCE]) for start in range(0, len(names), _NAMES_AT_ONCE)]
    return np.concatenate(parts) if parts else np.empty(0)


def _draws(seed: int, names: Sequence[str]) -> NDArray[np.float64]:
    text = "".join([f"{name}\0" for name in names])
    if text.count("\0") != len(names):  # a name that holds a zero character itself
        text = "".join([name.replace("\0", "\1") + "\0" for name in names])
    data = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8).astype(np.uint64)
    ends = np.flatnonzero(data == 0) + 1
    lengths = np.diff(ends, prepend=0)
    place = np.arange(len(data)) - np.repeat(ends - lengths, lengths)
    weights = _mixed(np.arange(int(lengths.max()), dtype=np.uint64) + (np.uint64(seed) << np.uint64(32)))
    sums = np.add.reduceat((data + np.uint64(1)) * weights[place], ends - lengths)
    result: NDArray[np.float64] = (_mixed(sums) >> np.uint64(11)).astype(np.float64) / 2**53
    return result


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def known_parts(images: ImageSet, stored: Mapping[str, int]) -> NDArray[np.int8]:
    """Stored parts, one a row; `NO_SPLIT` where an image is new."""
    return np.array([stored.get(key, NO_SPLIT) for key in images.keys], np.int8)
