"""Splits: disjoint, stratified, whole groups, and the same tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlstudio.api import TRAIN, VAL, ImageSet
from tlstudio.api.config import DataConfig
from tlstudio.data.splits import SplitPlan, assign_parts, draws, known_parts, splits_of


def table(labels, *, groups=None, splits=None, keys=None):
    n = len(labels)
    return ImageSet(
        classes=tuple("abcde"), keys=keys or tuple(f"{i}.jpg" for i in range(n)), labels=np.array(labels, np.int32),
        groups=groups, splits=splits, read=int,
    )  # fmt: skip


def plan(**fields):
    return SplitPlan.of(DataConfig(**fields))


def assign_splits(images, *, val_fraction, seed=0, **fields):
    wanted = plan(val_fraction=val_fraction, split_seed=seed, **fields)
    return splits_of(assign_parts(images, wanted), wanted)


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


@given(labels=labels, folds=st.integers(2, 7), seed=st.integers(0, 100))
def test_in_k_folds_every_image_measures_exactly_once(labels, folds, seed):
    images = table(labels)
    measured = np.zeros(len(images), int)
    for fold in range(folds):
        wanted = plan(split="kfold", folds=folds, fold=fold, split_seed=seed)
        splits = splits_of(assign_parts(images, wanted), wanted)
        measured += splits == VAL
        assert set(splits) <= {TRAIN, VAL}
    np.testing.assert_array_equal(measured, images.labels >= 0)
    sizes = np.bincount(assign_parts(images, plan(split="kfold", folds=folds))[images.labels >= 0], minlength=folds)
    assert len(labels) < 5 * folds or sizes.max() - sizes[sizes > 0].min() <= 6


@given(labels=labels, more=labels, seed=st.integers(0, 100), folds=st.booleans())
def test_new_images_do_not_move_the_ones_that_were_there(labels, more, seed, folds):
    wanted = plan(split="kfold" if folds else "auto", split_seed=seed)
    before = table(labels)
    stored = dict(zip(before.keys, assign_parts(before, wanted).tolist(), strict=True))
    after = table([*more, *labels], keys=(*(f"new{i}.jpg" for i in range(len(more))), *before.keys))
    parts = assign_parts(after, wanted, known=known_parts(after, stored))
    assert {key: int(part) for key, part in zip(after.keys, parts, strict=True) if key in stored} == stored


@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=60), data=st.data())
def test_near_duplicates_and_groups_stay_together_in_chains_too(labels, data):
    n = len(labels)
    groups = tuple(data.draw(st.lists(st.sampled_from("pqrstuvwxyz"), min_size=n, max_size=n)))
    alike = np.array(data.draw(st.lists(st.integers(-1, 5), min_size=n, max_size=n)))
    images = table(labels, groups=groups)
    parts = assign_parts(images, plan(val_fraction=0.4), alike=alike)
    for i in range(n):
        for j in range(n):
            if groups[i] == groups[j] or (alike[i] >= 0 and alike[i] == alike[j]):
                assert parts[i] == parts[j]


def test_groups_of_very_different_sizes_still_give_each_part_its_share():
    sizes = [40, 30, 20, *[5] * 10, *[2] * 30]
    groups = tuple(f"slide{i}" for i, size in enumerate(sizes) for _ in range(size))
    images = table([i % 2 for i in range(len(groups))], groups=groups)
    splits = assign_splits(images, val_fraction=0.25, test_fraction=0.25, split="stratified")
    for part in (VAL, 2):
        assert abs((splits == part).mean() - 0.25) < 0.05


def test_an_expression_on_the_path_makes_the_groups():
    keys = tuple(f"ant/patient{i // 4}_{i}.jpg" for i in range(40))
    images = table([i % 2 for i in range(40)], keys=keys)
    splits = assign_splits(images, val_fraction=0.2, group_by=r"patient(\d+)_")
    patients = [key.split("_")[0] for key in keys]
    assert len({(patient, int(split)) for patient, split in zip(patients, splits, strict=True)}) == 10
    assert (splits == VAL).sum() == 8


def test_a_stratified_split_draws_anew_over_what_the_data_say():
    own = np.array([TRAIN] * 40 + [VAL] * 40, np.int8)
    images = table([i % 2 for i in range(80)], splits=own)
    splits = assign_splits(images, val_fraction=0.1, test_fraction=0.2, split="stratified")
    assert np.bincount(splits).tolist() == [56, 8, 16]


def test_all_folds_share_a_name_and_other_seeds_do_not():
    assert plan(split="kfold", fold=1).name == plan(split="kfold", fold=3).name
    assert plan(split_seed=1).name != plan(split_seed=2).name


def test_what_is_drawn_for_a_name_is_even_and_never_changes():
    names = [f"class/image_{i:05}.jpg" for i in range(20_000)]
    numbers = draws(0, names)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert np.histogram(numbers, bins=20, range=(0, 1))[0].std() < 40
    assert len(np.unique(numbers)) == len(names)
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers, draws(1, names))[0, 1]) < 0.02
    assert draws(3, ["ant/1.jpg", "", "é\udce9"]).tolist() == [draws(3, [name])[0] for name in ("ant/1.jpg", "", "é\udce9")]
    assert draws(0, ["ant/1.jpg"])[0] == pytest.approx(0.010197312625691901, abs=1e-12)
