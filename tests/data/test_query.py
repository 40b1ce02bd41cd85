"""One line of text finds images by all that is known of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tlstudio.api import ImageSet
from tlstudio.api.errors import UserError
from tlstudio.data.edits import Table
from tlstudio.data.measure import MEASURED, UNREADABLE, Measures
from tlstudio.data.quality import Issue, Issues
from tlstudio.data.query import Known, find, quoted, sort

KEYS = ("ant/img1.jpg", "ant/img10.jpg", "ant/img2.jpg", "bee/wing 1.jpg", "bee/x.jpg", "none/-5.jpg")


def issue(kind, rows, scores, severity="warning"):
    return Issue(
        kind=kind, title=kind, sentence="", advice="", severity=severity, rows=np.array(rows, np.int64),
        scores=np.array(scores, np.float32),
    )  # fmt: skip


@pytest.fixture
def known():
    images = ImageSet(
        classes=("ant", "honey bee"), keys=KEYS, labels=np.array([0, 0, 0, 1, 1, -1], np.int32),
        groups=("p1", "p1", "p2", "p2", "p3", "p3"), read=int,
    )  # fmt: skip
    measures = replace(
        Measures.empty(6),
        state=np.array([MEASURED] * 5 + [UNREADABLE], np.uint8),
        width=np.array([100, 200, 300, 400, 500, 0], np.int32),
        height=np.array([100, 10, 300, 400, 500, 0], np.int32),
        file_size=np.array([5_000, 4_000, 3_000, 2_000_000, 1_000, 0], np.int64),
        modified=np.array([6, 5, 4, 3, 2, 1], np.int64),
    )
    table = Table(
        images=images, splits=np.array([0, 0, 1, 1, 2, 0], np.int8), excluded=np.array([1, 0, 0, 0, 0, 0], bool),
        edited=np.array([1, 0, 0, 0, 1, 0], bool), tags={"ask Ann": np.array([2, 3])},
    )  # fmt: skip
    found = (issue("blurred", [1, 3], [0.2, 0.9]), issue("dark", [3, 4], [0.5, 0.6]), issue("note", [0], [0.1], "note"))
    return Known(table=table, measures=measures, issues=Issues(found=found, keys=KEYS))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("img1", [0, 1]),
        ("IMG1 -img10", [0]),
        ("'wing 1'", [3]),
        ("class:ant", [0, 1, 2]),
        ("class:'honey bee'", [3, 4]),
        ("class:none", [5]),
        ("-class:ant,none", [3, 4]),
        ("split:val", [2, 3]),
        ("split:val,test -x", [2, 3]),
        ("issue:blurred", [1, 3]),
        ("issue:blurred issue:dark", [3]),
        ("issue:blurred,dark", [1, 3, 4]),
        ("issue:any", [1, 3, 4]),
        ("is:good", [0, 2, 5]),
        ("is:edited -is:excluded", [4]),
        ("is:unlabelled", [5]),
        ("is:unreadable", [5]),
        ('tag:"ask Ann"', [2, 3]),
        ("tag:nobody", []),
        ("group:P2", [2, 3]),
        ("width>=300 height<500", [2, 3]),
        ("size>1MB", [3]),
        ("-5", [0, 1, 2, 3, 4]),
        ("'", [0, 1, 2, 3, 4, 5]),
        ("c:drive", []),
    ],
)
def test_a_line_of_text_finds(known, text, rows):
    assert np.flatnonzero(find(known, text)).tolist() == rows


@pytest.mark.parametrize("text", ["class:wasp", "split:valid", "issue:ugly", "is:happy"])
def test_what_does_not_exist_is_named_with_what_does(known, text):
    with pytest.raises(UserError, match=text.split(":")[1]) as raised:
        find(known, text)
    assert "Known:" in raised.value.hint


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("table", [0, 1, 2, 3, 4]),
        ("name", [0, 2, 1, 3, 4]),
        ("size", [4, 2, 1, 0, 3]),
        ("date", [4, 3, 2, 1, 0]),
        ("pixels", [1, 0, 2, 3, 4]),
        ("issue", [3, 4, 1, 0, 2]),
    ],
)
def test_images_are_sorted(known, by, order):
    rows = np.arange(5)
    assert sort(known, rows, by).tolist() == order
    assert sort(known, rows, "issue", issue="dark").tolist() == [4, 3, 0, 1, 2]
    assert sort(known, rows, "size", descending=True).tolist() == [3, 0, 1, 2, 4]


def test_before_anything_is_measured_a_query_still_works(known):
    bare = Known(table=known.table)
    assert not find(bare, "width>5").any()
    assert not find(bare, "issue:blurred").any()
    assert sort(bare, np.arange(5), "size").tolist() == [0, 1, 2, 3, 4]


def test_a_value_with_spaces_is_quoted_so_that_it_finds_itself(known):
    assert np.flatnonzero(find(known, f"class:{quoted('honey bee')}")).tolist() == [3, 4]
    assert quoted("ant") == "ant"
