"""Splits: disjoint, stratified, whole groups, and the same tomorrow."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlstudio.api import TRAIN, VAL, ImageSet
from tlstudio.data.splits import assign_splits


def table(labels, *, groups=None, splits=None, keys=None):
    n = len(labels)
    return ImageSet(
        classes=tuple("abcde"), keys=keys or tuple(f"{i}.jpg" for i in range(n)), labels=np.array(labels, np.int32),
        groups=groups, splits=splits, read=int,
    )  # fmt: skip


labels = st.lists(st.integers(-1, 4), min_size=1, max_size=80)


@given(labels=labels, fraction=st.floats(0.05, 0.9), seed=st.integers(0, 2**31 - 1))
def test_every_class_keeps_a_training_image_and_gives_its_share(labels, fraction, seed):
    images = table(labels)
    splits = assign_splits(images, val_fraction=fraction, seed=seed)
    assert set(splits) <= {TRAIN, VAL}
    for label in set(labels) - {-1}:
        mine = splits[images.labels == label]
        assert (mine == TRAIN).any()
        assert abs((mine == VAL).sum() - fraction * len(mine)) <= 1.0
    assert (splits[images.labels == -1] == TRAIN).all()
    np.testing.assert_array_equal(splits, assign_splits(images, val_fraction=fraction, seed=seed))


@given(labels=labels, seed=st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(labels, seed):
    images = table(labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    turned = table([labels[i] for i in order], keys=tuple(images.keys[i] for i in order))
    first = dict(zip(images.keys, assign_splits(images, val_fraction=0.3, seed=1), strict=True))
    second = dict(zip(turned.keys, assign_splits(turned, val_fraction=0.3, seed=1), strict=True))
    assert first == second


@given(groups=st.lists(st.sampled_from("pqrstuvw"), min_size=5, max_size=60), seed=st.integers(0, 100))
def test_a_group_is_never_divided(groups, seed):
    images = table([i % 3 for i in range(len(groups))], groups=tuple(groups))
    splits = assign_splits(images, val_fraction=0.4, seed=seed)
    for group in set(groups):
        assert len({int(splits[i]) for i, name in enumerate(groups) if name == group}) == 1


def test_what_the_data_say_stays():
    given_splits = np.array([TRAIN, VAL, TRAIN, 2], np.int8)
    splits = assign_splits(table([0, 0, 1, 1], splits=given_splits), val_fraction=0.5, seed=0)
    np.testing.assert_array_equal(splits, given_splits)


def test_a_test_split_alone_still_leaves_validation_to_be_drawn():
    given_splits = np.array([TRAIN] * 10 + [2] * 5, np.int8)
    splits = assign_splits(table([0] * 15, splits=given_splits), val_fraction=0.2, seed=0)
    assert (splits == VAL).sum() == 2
    assert (splits[10:] == 2).all()
