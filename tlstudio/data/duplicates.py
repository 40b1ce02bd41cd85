"""Finds the same picture twice: exactly, by the digest of its file, or nearly, by the small picture `look`.

A near duplicate is the same photo re-encoded, resized, slightly cropped or made brighter. Each look becomes a descriptor of its
low spatial frequencies (Ahmed, Natarajan and Rao 1974, the cosine transform), whitened by how these vary in the data set at
hand, so that what all its pictures share (a white ground, a centred shape) does not count as likeness. Each look is also
described as if its margins had been cut off in six ways: one of a pair may be the cropped one. Two pictures are near duplicates
where descriptors point the same way. Descriptors are compared within buckets around sampled centres, so that a million rows do
not cost a million squared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.data.looks import LOOK_SIDE, TINT_SIDE
from tlstudio.data.measure import MEASURED, Measures
from tlstudio.data.threads import Ended, Progress, Ticker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SIMILAR = 0.9
"""Cosine from which two pictures count as the same; at 0.88 the first different pictures come in (CIFAR-10, by eye)."""

_FREQUENCIES = 8
_CUT = 0.05
_CROPS = (
    *(((x, x + 1 - _CUT), (y, y + 1 - _CUT)) for x in (0.0, _CUT) for y in (0.0, _CUT)),
    ((_CUT / 2, 1 - _CUT / 2), (_CUT / 2, 1 - _CUT / 2)),
    ((_CUT, 1 - _CUT), (_CUT, 1 - _CUT)),
)
_WHOLE = ((0.0, 1.0), (0.0, 1.0))
_FLAT = 2.0  # standard deviation of a look's luminance, of 255, below which it has no shape to compare
_TINT = 24.0  # mean difference of tints, of 255, from which the same shape is another thing in another colour
_BUCKET = 400
_PROBES = 3
_BLOCK = 8192
_SMALL_BLOCK = 2048
_PARTNERS = 16
_MOST_CHAINED = 50


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Pairs of similar rows, each once, by row.

    Args:
        first, second: ``(P,)`` int64 rows, ``first < second``.
        similarity: ``(P,)`` float32, cosine, `SIMILAR`..1.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    similarity: Floats

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.first)

    def among(self, rows: NDArray[np.bool_]) -> Pairs:
        """The pairs of which both rows are among these, ``(N,)`` bool."""
        kept = rows[self.first] & rows[self.second]
        return Pairs(first=self.first[kept], second=self.second[kept], similarity=self.similarity[kept])


def exact_groups(measures: Measures) -> NDArray[np.int64]:
    """``(N,)`` int64: the lowest row with the same bytes, for every row that has a double; -1 for all others."""
    return _same(measures.digest, np.flatnonzero(measures.state == MEASURED), len(measures))


def near_pairs(measures: Measures, *, flips: bool = False, progress: Progress | None = None) -> Pairs:
    """Pairs of rows whose pictures are nearly the same; of rows with one and the same look, the lowest stands for all.

    The rows that it stands for are paired with it (similarity 1). Of many partners in one bucket a row keeps its 17 best, so
    that thousands of pictures of one scene stay bounded. Pictures of one colour have no shape and are left out.

    Args:
        flips: whether a mirrored picture counts.
        progress: see `Progress`; when it ends the work, the pairs so far come back.
    """
    rows = _with_shape(measures)
    leaders = _same(measures.look, rows, len(measures))
    doubles = np.flatnonzero((leaders >= 0) & (leaders != np.arange(len(measures))))
    rows = rows[(leaders[rows] < 0) | (leaders[rows] == rows)]
    found = [(leaders[doubles], doubles, np.ones(len(doubles), np.float32))]
    if len(rows) > 1:
        with suppress(Ended):
            for a, b, similarity in _search(measures.look[rows], flips, progress):
                found.append((rows[a], rows[b], similarity))
    return _merged(found)


def star_groups(pairs: Pairs, rows: int) -> NDArray[np.int64]:
    """``(N,)`` int64: the leader of each row's group, -1 for rows without one. A member is similar to its leader itself.

    So a chain of pictures that change little by little does not become one group, as it would with connected components.
    Only a row whose partners have all gone to other leaders follows one of these partners.
    The row with the most partners leads first; of equals, the lowest.
    """
    ends = np.concatenate([pairs.first, pairs.second])
    others = np.concatenate([pairs.second, pairs.first])
    order = np.argsort(ends, kind="stable")
    partners = others[order]
    degree = np.bincount(ends, minlength=rows)
    starts = np.concatenate([[0], np.cumsum(degree)])
    groups = np.full(rows, -1, np.int64)
    for row in np.argsort(-degree, kind="stable")[: int((degree > 0).sum())].tolist():
        if groups[row] < 0:
            near = partners[starts[row] : starts[row + 1]]
            free = near[groups[near] < 0]
            groups[free] = row
            groups[row] = row if len(free) else groups[near[0]]
    return groups


def connected_groups(first: NDArray[np.int64], second: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """``(N,)`` int64: the lowest row that a chain of pairs leads to, -1 for rows in no pair."""
    lowest = np.arange(rows)
    while True:
        before = lowest.copy()
        least = np.minimum(lowest[first], lowest[second])
        np.minimum.at(lowest, first, least)
        np.minimum.at(lowest, second, least)
        lowest = lowest[lowest]
        if np.array_equal(lowest, before):
            break
    result = np.full(rows, -1, np.int64)
    for ends in (first, second):
        result[ends] = lowest[ends]
    return result


def inseparable(pairs: Pairs, rows: int) -> NDArray[np.int64]:
    """``(N,)`` int64: a number for each row, the same for rows to keep in one split, -1 for a row that is like no other.

    All that hangs together through pairs; but where that would chain more than `_MOST_CHAINED` rows, only each leader and those
    like it: in a set of look-alikes everything hangs together.
    """
    groups = connected_groups(pairs.first, pairs.second, rows)
    sizes = np.bincount(groups[groups >= 0], minlength=rows)
    chained = (groups >= 0) & (sizes[groups] > max(_MOST_CHAINED, rows // 100))
    if chained.any():
        groups[chained] = star_groups(pairs, rows)[chained]
    return groups


def same_look(measures: Measures) -> NDArray[np.int64]:
    """As `exact_groups`, for pictures with one and the same look that are not of one colour."""
    return _same(measures.look, _with_shape(measures), len(measures))


def _same(column: NDArray[np.uint8], rows: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """The lowest row with an equal value, for rows that have a double."""
    weights = np.random.default_rng(0).integers(2**63, size=column.shape[1] // 8, dtype=np.uint64) * 2 + 1
    values = np.empty(len(rows), np.uint64)  # a hash of 64 bits: a million rows meet by chance once in 40 million sets
    for start in range(0, len(rows), _BLOCK):
        part = np.ascontiguousarray(column[rows[start : start + _BLOCK]]).view(np.uint64)
        part = (part ^ (part >> 32)) * weights
        values[start : start + _BLOCK] = (part ^ (part >> 29)).sum(axis=1, dtype=np.uint64)
    _, first, inverse, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    lowest = np.full(total, -1, np.int64)
    lowest[rows] = np.where(counts[inverse] > 1, rows[first][inverse], -1)
    return lowest


def _with_shape(measures: Measures) -> NDArray[np.int64]:
    """Rows whose picture is not of one colour."""
    looks, shaped = measures.look, measures.state == MEASURED
    for start in range(0, len(looks), _BLOCK):
        shaped[start : start + _BLOCK] &= looks[start : start + _BLOCK, : LOOK_SIDE**2].std(axis=1) >= _FLAT
    return np.flatnonzero(shaped)


Found = tuple["NDArray[np.int64]", "NDArray[np.int64]", "Floats"]


def _search(looks: NDArray[np.uint8], flips: bool, progress: Progress | None) -> Iterator[Found]:
    """Pairs of positions in ``looks``, possibly the same one several times and either way round."""
    views = [(crop, flip) for flip in ((False, True) if flips else (False,)) for crop in (_WHOLE, *_CROPS)]
    tick = Ticker(progress, len(looks) * (len(views) + 1))
    whiten = _whitening(looks, tick)
    whole = np.empty((len(looks), _FREQUENCIES**2 - 1), np.float32)
    for i, block in enumerate(_raw_blocks(looks)):
        tick.at(0)
        whole[i * _BLOCK : (i + 1) * _BLOCK] = whiten(block)
    least = _least_similarity(whole)
    index = _Buckets(whole, tick)
    size = max(_BLOCK, 32 * index.centres.shape[1])  # so many that each bucket is asked some hundred times at once
    for number, (crop, flip) in enumerate(views, 1):
        for i, block in enumerate(_raw_blocks(looks, crop, flip, size)):
            start = i * size
            tick.at(number * len(looks) + start)
            for mine, theirs, similarity in index.near(whiten(block), least):
                different = mine + start != theirs
                if different.any():
                    a, b, s = mine[different] + start, theirs[different], similarity[different]
                    kept = _same_tints(looks, a, b, flip)
                    yield a[kept], b[kept], s[kept]


def _raw_blocks(
    looks: NDArray[np.uint8],
    crop: tuple[tuple[float, float], tuple[float, float]] = _WHOLE,
    flip: bool = False,
    size: int = _BLOCK,
) -> Iterator[Floats]:
    """``(size, 63)`` unit vectors at a time: the low frequencies of the cropped looks."""
    (left, right), (top, bottom) = crop
    across = _cosines() @ _resampling(*((right, left) if flip else (left, right)))
    down = _cosines() @ _resampling(top, bottom)
    y, x = np.mgrid[:_FREQUENCIES, :_FREQUENCIES]
    weights = (1 + np.hypot(x, y)).ravel()[1:, None]  # the amplitudes of photographs fall with frequency like this
    project = (np.kron(down, across)[1:] * weights).T.astype(np.float32)
    for start in range(0, len(looks), size):
        yield _unit(looks[start : start + size, : LOOK_SIDE**2].astype(np.float32) @ project)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-6)))


def _cosines() -> NDArray[np.float64]:
    at = np.arange(LOOK_SIDE) + 0.5
    waves: NDArray[np.float64] = np.cos(np.pi * at * np.arange(_FREQUENCIES)[:, None] / LOOK_SIDE) * np.sqrt(2 / LOOK_SIDE)
    waves[0] /= np.sqrt(2)
    return waves


def _resampling(start: float, end: float) -> NDArray[np.float64]:
    """``(16, 16)``: linear interpolation that stretches the part from ``start`` to ``end`` (0..1) to the whole."""
    n = LOOK_SIDE
    at = np.clip((start + (np.arange(n) + 0.5) / n * (end - start)) * n - 0.5, 0, n - 1)
    low = np.minimum(at.astype(int), n - 2)
    weights = np.zeros((n, n))
    weights[np.arange(n), low] = 1 - (at - low)
    weights[np.arange(n), low + 1] = at - low
    return weights


def _whitening(looks: NDArray[np.uint8], tick: Ticker) -> Callable[[Floats], Floats]:
    """Removes what the pictures of this set have in common and weighs every direction by how little they vary along it."""
    sample = looks[:: -(-len(looks) // 20_000)]
    vectors = np.concatenate(list(_raw_blocks(sample))).astype(np.float64)
    tick.at(0)
    count, size = vectors.shape
    mean = vectors.mean(axis=0)
    spread = (vectors - mean).T @ (vectors - mean)
    prior = 500 / size  # unit vectors without a preferred direction; holds while the set is small
    values, axes = np.linalg.eigh((spread + prior * np.eye(size)) / (count + 500))
    matrix = (axes / np.sqrt(values)).astype(np.float32)
    shift = (mean * min(1.0, count / 50)).astype(np.float32)
    return lambda block: _unit((block - shift) @ matrix)


def _least_similarity(vectors: Floats) -> float:
    """`SIMILAR`, or more where pictures of this set are so alike that chance pairs would reach it.

    The share of pairs of random directions beyond a cosine ``s`` falls like ``(1 - s^2)^m``. The exponent comes from the
    commonest tenth and hundredth of the pairs, where duplicates hardly count, and is halved because pictures come in kinds.
    One chance pair in a thousand rows is let through.
    """
    count = len(vectors)
    sample = vectors[:: -(-count // 2000)]
    cosines = (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    if len(cosines) < 10_000:
        return SIMILAR
    common, rare = np.clip(np.quantile(cosines, [0.9, 0.99]), 0.05, 0.98)
    falls = 0.5 * np.log(10) / max(1e-3, np.log((1 - common**2) / (1 - rare**2)))
    allowed = max(1.0, count / 1000) / (count * (count - 1) / 2)
    bound = (1 - rare**2) * (allowed / 0.01) ** (1 / falls)
    return float(np.clip(np.sqrt(1 - min(1.0, bound)), SIMILAR, 0.99))


def _same_tints(looks: NDArray[np.uint8], a: NDArray[np.int64], b: NDArray[np.int64], flip: bool) -> NDArray[np.bool_]:
    mine, theirs = (looks[rows, LOOK_SIDE**2 :].reshape(-1, 2, TINT_SIDE, TINT_SIDE).astype(np.int16) for rows in (a, b))
    if flip:
        mine = mine[..., ::-1]
    return np.asarray(np.abs(mine - theirs).mean(axis=(1, 2, 3)) < _TINT)


class _Buckets:
    """Descriptors by their nearest centre; centres are rows of the set itself, so dense regions have more of them."""

    def __init__(self, vectors: Floats, tick: Ticker) -> None:
        self.tick = tick
        count = max(1, len(vectors) // _BUCKET)
        chosen = np.sort(np.random.default_rng(0).permutation(len(vectors))[:count])
        self.centres = vectors[chosen].T.copy() if count > _PROBES else vectors[:1].T.copy()
        home = np.empty(len(vectors), np.int64)
        for start in range(0, len(vectors), _SMALL_BLOCK):
            tick.at(start)
            home[start : start + _SMALL_BLOCK] = (vectors[start : start + _SMALL_BLOCK] @ self.centres).argmax(axis=1)
        self.order = np.argsort(home, kind="stable")
        self.vectors = vectors[self.order]
        self.starts = np.searchsorted(home[self.order], np.arange(self.centres.shape[1] + 1))

    def near(self, queries: Floats, least: float) -> Iterator[Found]:
        """Query numbers, row numbers and cosines of all pairs of at least a cosine, as far as the probed buckets hold them."""
        count = self.centres.shape[1]
        probes = min(_PROBES, count)
        visited = self._nearest(queries, probes)
        asked = np.argsort(visited.ravel(), kind="stable")
        starts = np.searchsorted(visited.ravel()[asked], np.arange(count + 1))
        for bucket in range(count):
            mine = asked[starts[bucket] : starts[bucket + 1]] // probes
            members = slice(self.starts[bucket], self.starts[bucket + 1])
            if members.start < members.stop:
                for start in range(0, len(mine), _SMALL_BLOCK):
                    part = mine[start : start + _SMALL_BLOCK]
                    yield self._compare(queries[part], part, members, least)

    def _nearest(self, queries: Floats, probes: int) -> NDArray[np.int64]:
        """``(Q, probes)``: the centres nearest to each query."""
        nearest = np.empty((len(queries), probes), np.int64)
        for start in range(0, len(queries), _SMALL_BLOCK):
            self.tick.at()
            cosines = queries[start : start + _SMALL_BLOCK] @ self.centres
            rows = np.arange(len(cosines))
            for probe in range(probes):
                best = nearest[start : start + _SMALL_BLOCK, probe] = cosines.argmax(axis=1)
                cosines[rows, best] = -2
        return nearest

    def _compare(self, queries: Floats, numbers: NDArray[np.int64], members: slice, least: float) -> Found:
        self.tick.at()
        cosines = queries @ self.vectors[members].T
        hits = cosines >= least
        if hits.shape[1] > _PARTNERS + 1 and hits.any():
            crowded = np.flatnonzero(hits.sum(axis=1) > _PARTNERS + 1)
            best = np.argpartition(-cosines[crowded], _PARTNERS, axis=1)[:, : _PARTNERS + 1]
            hits[crowded] = False
            hits[crowded[:, None], best] = True
        a, b = np.divmod(np.flatnonzero(hits), hits.shape[1])
        return numbers[a].astype(np.int64), self.order[members][b], cosines[a, b]


def _merged(found: list[Found]) -> Pairs:
    """Each pair once, with its highest similarity."""
    a, b, s = (np.concatenate(parts) for parts in zip(*found, strict=True))
    first, second = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((-s, second, first))
    first, second, s = first[order], second[order], np.minimum(s[order], 1)
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return Pairs(first=first[new], second=second[new], similarity=s[new].astype(np.float32))
