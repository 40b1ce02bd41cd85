"""Two models on the same images: who takes part, what the test says, and that nothing is asked twice."""

from __future__ import annotations

import json
import math
import os
from fractions import Fraction

import numpy as np
import pytest
from conftest import make_photos
from hypothesis import given
from hypothesis import strategies as st
from training import run

from tlstudio.api import DataConfig, UserError
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude
from tlstudio.evaluation import kept
from tlstudio.evaluation.compare import LeftOut, compare_runs
from tlstudio.evaluation.paired import bootstrap_interval, mcnemar
from tlstudio.evaluation.report import evaluate_run
from tlstudio.runs.store import delete_run, require_run


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial(first, second):
    n, k = first + second, min(first, second)
    tail = sum(Fraction(math.comb(n, i), 2**n) for i in range(k + 1))
    assert mcnemar(first, second) == pytest.approx(float(min(Fraction(1), 2 * tail)), rel=1e-9)


def test_mcnemar_of_many_images():
    assert mcnemar(200_000, 200_000) == pytest.approx(1.0)
    normal = math.erfc((200_600 - 199_400 - 1) / math.sqrt(400_000) / math.sqrt(2))  # with continuity correction
    assert mcnemar(199_400, 200_600) == pytest.approx(normal, rel=1e-3)
    assert mcnemar(0, 100_000) == 0.0


def test_the_interval_is_that_of_images_drawn_in_pairs():
    rng = np.random.default_rng(5)
    first = rng.random(400) < 0.8
    second = np.where(rng.random(400) < 0.85, first, ~first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    difference = second.astype(float) - first
    means = [difference[rng.integers(0, 400, 400)].mean() for _ in range(4000)]
    low, high = bootstrap_interval(400, only_first, only_second)
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.006)
    assert bootstrap_interval(400, only_first, only_second) == (low, high)
    assert bootstrap_interval(50, 0, 0) == (0.0, 0.0)


@pytest.fixture
def hard(tmp_path):
    """Images of two classes that a small network gets partly wrong: the same pattern in nearly the same colours."""
    from PIL import Image

    folder = make_photos(tmp_path / "hard", {"a": 1, "b": 1})
    rng = np.random.default_rng(0)
    for name, level in (("a", 120), ("b", 136)):
        (folder / name / "000.png").unlink()
        for i in range(40):
            pixels = rng.normal(level, 20, (8, 8, 1)).repeat(6, 0).repeat(6, 1).repeat(3, 2)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{i:03}.png")
    return folder


@pytest.fixture
def trained(tiny_catalog, hard, tmp_path):
    """``trained(*settings)``: a run on the hard images, as the list shows it."""

    def train(*settings):
        start = (f"data.path={hard}", "data.image_size=32", "run.epochs=2", "freezing.strategy=full", "data.val_fraction=0.4")
        end = run(tiny_catalog, tmp_path, *start, *settings)[-1]
        assert end.event == "RunFinished", end
        return require_run(tmp_path, end.run)

    return train


def split_of(info):
    return {
        name: set(keys) for name, keys in json.loads((info.folder / "split.json").read_text()).items() if name != "excluded"
    }


def test_the_table_is_that_of_both_reports(tiny_catalog, trained, tmp_path):
    first, second = trained("run.seed=1"), trained("run.seed=2", "optim.learning_rate=0.02")
    found = compare_runs(first, second, tiny_catalog, tmp_path)
    reports = [evaluate_run(info.folder, tiny_catalog, tmp_path) for info in (first, second)]
    assert np.array_equal(reports[0].indices, reports[1].indices)
    right = [report.predicted == report.labels for report in reports]
    assert (found.both, found.only_first, found.only_second, found.neither) == (
        (right[0] & right[1]).sum(), (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum(), (~right[0] & ~right[1]).sum(),
    )  # fmt: skip
    assert found.only_first + found.only_second > 0
    assert (found.split, found.images, found.left_out) == ("val", 32, LeftOut())
    assert found.accuracies == (reports[0].accuracy, reports[1].accuracy)
    assert found.low <= found.difference <= found.high
    assert len(found.disagreements) == found.only_first + found.only_second
    turned = compare_runs(second, first, tiny_catalog, tmp_path)
    assert (turned.only_first, turned.p) == (found.only_second, found.p)
    assert turned.difference == -found.difference


def test_what_a_model_said_is_kept_until_the_image_or_the_model_changes(tiny_catalog, trained, tmp_path, hard, monkeypatch):
    first, second = trained("run.seed=1"), trained("run.seed=2")
    found = compare_runs(first, second, tiny_catalog, tmp_path)
    asked = []
    load = kept.load_model
    monkeypatch.setattr(kept, "load_model", lambda folder, catalog: asked.append(folder.name) or load(folder, catalog))
    assert compare_runs(first, second, tiny_catalog, tmp_path) == found
    assert not asked
    image = hard / sorted(split_of(first)["val"])[0]
    os.utime(image, (1, 1))
    assert compare_runs(first, second, tiny_catalog, tmp_path) == found
    assert asked == [first.folder.name, second.folder.name]
    for text in ("{", '{"format": 1, "model": "of another", "images": {"x": ["", 0]}}'):
        (first.folder / kept.FILE).write_text(text)
        assert compare_runs(first, second, tiny_catalog, tmp_path) == found
    assert asked[2:] == [first.folder.name] * 2


def test_images_that_a_run_has_learned_from_are_left_out_and_counted(tiny_catalog, trained, tmp_path, hard):
    first, second = trained("data.split=stratified"), trained("data.split=stratified", "data.split_seed=1")
    splits = split_of(first), split_of(second)
    either = splits[0]["val"] | splits[1]["val"]
    fair = splits[0]["val"] & splits[1]["val"]
    assert 0 < len(fair) < len(either)
    found = compare_runs(first, second, tiny_catalog, tmp_path)
    assert found.images == len(fair)
    assert found.left_out == LeftOut(trained_on=len(either) - len(fair))
    assert {item.key for item in found.disagreements} <= fair
    data = DataConfig(path=str(hard))
    curation = Curation(tiny_catalog.open_images(data), data, tmp_path)
    curation.add(Exclude(keys=(min(fair),)))
    assert compare_runs(first, second, tiny_catalog, tmp_path).left_out.unusable == 1


def test_what_a_run_s_parent_has_learned_from_counts_as_well(tiny_catalog, trained, tmp_path):
    first = trained("data.split=stratified")
    parent = trained("data.split=stratified", "data.split_seed=1")
    child = trained("data.split=stratified", f"model.weights={parent.id}")
    assert child.parent == parent.id
    fair = split_of(first)["val"] - split_of(parent)["train"]
    found = compare_runs(first, child, tiny_catalog, tmp_path)
    assert (found.images, found.left_out.trained_on, found.unknown_parents) == (len(fair), 32 - len(fair), ())
    delete_run(tmp_path, parent)
    found = compare_runs(first, child, tiny_catalog, tmp_path)
    assert (found.images, found.unknown_parents) == (32, (parent.id,))


def test_there_may_be_nothing_to_compare_them_on(tiny_catalog, trained, tmp_path, photos):
    folds = [trained("data.split=kfold", "data.folds=2", f"data.fold={fold}") for fold in (0, 1)]
    with pytest.raises(UserError, match="no image on which") as caught:
        compare_runs(*folds, tiny_catalog, tmp_path)
    assert "80 validation images of the two, 80 were learned from" in caught.value.detail
    with pytest.raises(UserError, match="Neither run has test images"):
        compare_runs(*folds, tiny_catalog, tmp_path, split="test")
    other = trained(f"data.path={photos}")
    with pytest.raises(UserError, match="different images"):
        compare_runs(folds[0], other, tiny_catalog, tmp_path)


def test_test_images_come_first_where_both_have_some(tiny_catalog, trained, tmp_path):
    settings = ("data.split=stratified", "data.test_fraction=0.2")
    first, second = trained(*settings), trained(*settings, "run.seed=1")
    assert compare_runs(first, second, tiny_catalog, tmp_path).split == "test"
    assert compare_runs(first, second, tiny_catalog, tmp_path, split="val").split == "val"
