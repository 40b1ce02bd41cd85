"""Issues that one image shows by itself: damage, a wrong ending, too dark, blurred, of an odd shape, a placeholder.

Looks are judged against the set as well as in themselves: in a set of night pictures darkness is no finding, and in one of
8 x 8 pixels blur is none. The bounds were chosen on ants and bees, CIFAR-10, blood cells (BCCD), Fashion-MNIST and digits.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio.api.dataset import ImageSet
from tlstudio.data.issues import Issue, Severity, counted
from tlstudio.data.measure import MEASURED, UNREADABLE, Measures
from tlstudio.data.remarks import split_remark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    Scores = NDArray[np.floating[Any]]

_PLACEHOLDER_NAME = re.compile(
    r"(not|no)[ _-]?(found|image|photo|picture|available)|unavailable|placeholder|missing|broken[ _-]?image", re.IGNORECASE
)


def damage(measures: Measures) -> list[Issue]:
    """Images that cannot be read, by why: empty, truncated, or anything else."""
    rows = np.flatnonzero(measures.state == UNREADABLE)
    reasons = {row: measures.reasons.get(row, "") for row in rows.tolist()}
    by_kind: dict[str, list[int]] = {"unreadable": [], "truncated": [], "empty": []}
    for row, reason in reasons.items():
        kind = "truncated" if reason.startswith("truncated") else "empty" if reason == "empty file" else "unreadable"
        by_kind[kind].append(row)
    words = {
        "unreadable": ("Unreadable", "cannot be read", "Replace them, or leave them out: a run would skip them."),
        "truncated": (
            "Truncated",
            "end too early",
            "Copy them again from where they came; a part of each is lost.",
        ),
        "empty": ("Empty files", "have no content at all", "Copy them again from where they came, or delete them."),
    }
    found = []
    for kind, members in by_kind.items():
        title, what, advice = words[kind]
        why = Counter(reasons[row] for row in members)
        if kind == "unreadable":
            what += ": " + ", ".join(f"{reason} ({count})" for reason, count in why.most_common(3))
        sentence = f"{counted(len(members), 'image')} {what if len(members) > 1 else _singular(what)}."
        found.append(
            _issue(
                kind, title, sentence, advice, "error", members, np.ones(len(members)), {row: reasons[row] for row in members}
            )
        )
    return found


def remarks(measures: Measures) -> list[Issue]:
    """Files whose ending is wrong, and files of which a part is not used: more pages, more bits."""
    wrong, other = {}, {}
    for row, remark in sorted(measures.remarks.items()):
        ending, rest = split_remark(remark)
        if ending:
            wrong[row] = ending
        if rest:
            other[row] = rest
    return [
        _issue(
            "wrong-extension", "Wrong file endings",
            f"{counted(len(wrong), 'file')} {_is(wrong)} of another format than the ending says.",
            "They load by their content here; other programs may refuse them, so rename them.",
            "note", list(wrong), np.full(len(wrong), 0.5), wrong,
        ),
        _issue(
            "remark", "Used in part only", f"Of {counted(len(other), 'file')} only a part is used: {_most_common(other)}.",
            "Split pages and animations into files of their own if more of them should count.",
            "note", list(other), np.full(len(other), 0.3), other,
        ),
    ]  # fmt: skip


def looks(measures: Measures) -> list[Issue]:
    """Too dark, too bright, blurred, and nearly without content."""
    rows = np.flatnonzero(measures.state == MEASURED)
    if not len(rows):
        return []
    low, mean, high = (getattr(measures, name)[rows] for name in ("bright_low", "bright_mean", "bright_high"))
    entropy, sharpness = measures.entropy[rows], measures.sharpness[rows]
    empty = (high - low < 0.06) | ((entropy < 1) & (entropy < 0.3 * np.median(entropy)))
    dark = ~empty & (high < min(0.3, 0.5 * float(np.median(high))))
    bright = ~empty & (low > 0.6) & (mean > 0.85) & (mean > np.median(mean) + 0.15)
    bound = min(0.25, 0.6 * float(np.median(sharpness)))
    blurred = ~empty & ~dark & (sharpness < bound)
    n = {name: int(found.sum()) for name, found in (("d", dark), ("b", bright), ("l", blurred), ("e", empty))}
    return [
        _issue(
            "dark", "Dark", f"{counted(n['d'], 'image')} {_is(n['d'])} nearly black: even the brightest parts are dim.",
            "Look at them: if nothing can be seen, leave them out.", "warning", rows[dark], 1 - high[dark] / 0.5,
        ),
        _issue(
            "bright", "Overexposed",
            f"{counted(n['b'], 'image')} {_is(n['b'])} nearly white: even the darkest parts are light.",
            "Look at them: if nothing can be seen, leave them out.", "warning", rows[bright], low[bright],
        ),
        _issue(
            "blurred", "Blurred",
            f"{counted(n['l'], 'image')} {'has' if n['l'] == 1 else 'have'} no sharp edge at all: the sharpest is "
            f"{1 / max(bound, 0.01):.0f} pixels wide or more at 256 pixels.",
            "Look at them: if a person cannot tell the class, leave them out.",
            "warning", rows[blurred], 1 - sharpness[blurred] / (2 * max(bound, 1e-6)),
        ),
        _issue(
            "low-information", "Hardly any content",
            f"{counted(n['e'], 'image')} {_is(n['e'])} of one colour or nearly so.",
            "Leave them out, unless emptiness is what a class means.",
            "warning", rows[empty], 1 - entropy[empty] / 16,
        ),
    ]  # fmt: skip


def shapes(images: ImageSet, measures: Measures) -> list[Issue]:
    """Sides and sizes far from those of most images of the set."""
    rows = np.flatnonzero((measures.state == MEASURED) & (measures.width > 0) & (measures.height > 0))
    if len(rows) < 5:
        return []
    width, height = measures.width[rows].astype(float), measures.height[rows].astype(float)
    aspect, side = np.log(width / height), np.log(width * height) / 2
    odd_aspect, odd_size = _far(aspect, 2.5), _far(side, 3.0)
    a, s = rows[np.abs(odd_aspect) >= 1], rows[np.abs(odd_size) >= 1]
    middle = float(np.exp(np.median(side)))
    larger = int((odd_size >= 1).sum())
    what = "objects" if images.boxes is not None else "images"
    return [
        _issue(
            "odd-aspect", "Odd proportions",
            f"{counted(len(a), what[:-1])} {_is(len(a))} far longer or narrower than most {what}.",
            "Squeezed or cropped to a square they lose much: crop them, or leave them out.",
            "warning", a, 1 - 0.5 / np.abs(odd_aspect[np.abs(odd_aspect) >= 1]),
        ),
        _issue(
            "odd-size", "Odd sizes",
            f"Of {what} with sides of about {middle:.0f} pixels, {larger} {_is(larger)} more than three times as large and "
            f"{len(s) - larger} more than three times as small.",
            "Small ones may be thumbnails without detail; large ones load slowly.",
            "note", s, 1 - 0.5 / np.abs(odd_size[np.abs(odd_size) >= 1]),
        ),
    ]  # fmt: skip


def placeholders(images: ImageSet, measures: Measures) -> list[Issue]:
    """Drawn pictures among photos, such as "image not found": flat and of few grey levels, or a telling name and another sign.

    A name alone is no proof (a class may be called "missing"), nor is a drawing where many are drawings.
    """
    rows = np.flatnonzero(measures.state == MEASURED)
    if len(rows) < 5:
        return []
    flatness, entropy = measures.flatness[rows], measures.entropy[rows]
    photos = np.median(flatness) < 0.4 and np.median(entropy) > 5
    drawn = photos & (flatness > 0.85) & (entropy < 1.5)
    names = [(images.files or images.keys)[row].rpartition("/")[2] for row in rows.tolist()]
    telling = np.array([_PLACEHOLDER_NAME.search(name) is not None for name in names])
    if not (drawn | telling).any():
        return []
    endings = [os.path.splitext(name)[1].lower() for name in names]
    share = Counter(endings)
    rare = np.array([share[ending] <= 0.02 * len(rows) for ending in endings])
    unlike = (flatness > 0.5) & (flatness > 2 * np.median(flatness))
    score = 0.5 * drawn + 0.3 * (telling & (rare | unlike | drawn)) + 0.2 * (rare & (drawn | telling))
    found = score >= 0.5
    count = int(found.sum())
    return [
        _issue(
            "placeholder", "Placeholders",
            f"{counted(count, 'image')} {'looks' if count == 1 else 'look'} like a stand-in for a missing picture: "
            "drawn, among photos, or named like one.",
            "Look at them, and leave them out: they carry a label but show nothing of it.",
            "warning", rows[found], score[found],
        )
    ]  # fmt: skip


def _far(values: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Distance from the median of logarithms; 1 at ``factor``, or where the set itself is spread wide, at five deviations."""
    distance = values - np.median(values)
    usual = 1.4826 * float(np.median(np.abs(distance)))
    return np.asarray(distance / max(float(np.log(factor)), 5 * usual))


def _issue(
    kind: str,
    title: str,
    sentence: str,
    advice: str,
    severity: Severity,
    rows: Rows | list[int],
    scores: Scores,
    details: dict[int, str] | None = None,
) -> Issue:
    clipped = np.clip(scores, 0, 1).astype(np.float32)
    return Issue(
        kind=kind, title=title, sentence=sentence, advice=advice, severity=severity,
        rows=np.asarray(rows, np.int64), scores=clipped, details=details,
    )  # fmt: skip


def _most_common(texts: dict[int, str]) -> str:
    return ", ".join(f"{text} ({count})" for text, count in Counter(texts.values()).most_common(2))


def _is(number: int | dict[int, str]) -> str:
    return "is" if (number if isinstance(number, int) else len(number)) == 1 else "are"


def _singular(what: str) -> str:
    return what.replace("end too", "ends too", 1).replace("have no", "has no", 1)
