"""One click on an issue: the right images are left out or moved, and nothing where only a person can decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tlstudio.api import TEST, TRAIN, VAL, ImageSet
from tlstudio.api.config import DataConfig
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude
from tlstudio.data.fixes import fix_for
from tlstudio.data.measure import Measures
from tlstudio.data.quality import Issue


def issue(kind, rows, groups=None):
    return Issue(
        kind=kind, title="", sentence="", advice="", severity="error", rows=np.array(rows, np.int64),
        scores=np.ones(len(rows), np.float32), groups=None if groups is None else np.array(groups, np.int64),
    )  # fmt: skip


@pytest.fixture
def curation(tmp_path):
    images = ImageSet(
        classes=("a", "b"), keys=tuple("abcdefgh"), labels=np.array([0, 1] * 4, np.int32),
        splits=np.array([TRAIN, VAL, TEST, VAL, TRAIN, TRAIN, VAL, TEST], np.int8), read=int,
    )  # fmt: skip
    return Curation(images, DataConfig(path="x"), tmp_path)


@pytest.fixture
def measures():
    empty = Measures.empty(8)
    return replace(empty, width=np.array([10, 20, 20, 5, 5, 5, 9, 9], np.int32), height=np.full(8, 10, np.int32))


def test_broken_images_are_left_out_once(curation, measures):
    fix = fix_for(issue("empty", [1, 4]), curation.table, measures)
    assert fix.title == "Leave out 2 images"
    table = curation.add(fix.edit)
    assert np.flatnonzero(table.excluded).tolist() == [1, 4]
    assert fix_for(issue("empty", [1, 4]), table, measures) is None


def test_of_duplicates_the_largest_stays_and_the_first_of_equals(curation, measures):
    found = issue("near-duplicate", [0, 1, 2, 3, 4, 5], [0, 0, 0, 3, 3, 3])
    table = curation.add(fix_for(found, curation.table, measures).edit)
    assert np.flatnonzero(table.excluded).tolist() == [0, 2, 4, 5]


def test_what_is_left_out_already_does_not_count_as_the_one_that_stays(curation, measures):
    table = curation.add(Exclude(keys=("b",)))
    table = curation.add(fix_for(issue("exact-duplicate", [0, 1, 2], [0, 0, 0]), table, measures).edit)
    assert np.flatnonzero(table.excluded).tolist() == [0, 1]


def test_leaks_are_mended_in_one_step_by_moving_groups_into_the_split_that_learns(curation, measures):
    before = curation.table.splits.copy()
    fix = fix_for(issue("leak", [0, 1, 2, 3, 6, 7], [0, 0, 0, 3, 3, 3]), curation.table, measures)
    assert "move 3 images" in fix.title
    table = curation.add(fix.edit)
    assert table.splits.tolist() == [TRAIN, TRAIN, TRAIN, VAL, TRAIN, TRAIN, VAL, VAL]
    curation.undo()
    np.testing.assert_array_equal(curation.table.splits, before)


def test_what_only_a_person_can_decide_has_no_button(curation, measures):
    assert fix_for(issue("label-conflict", [0, 1], [0, 0]), curation.table, measures) is None
    assert fix_for(issue("dark", [0, 1]), curation.table, measures) is None
