"""What a run keeps changes how long it takes, and nothing else."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from conftest import make_photos
from hypothesis import given
from hypothesis import strategies as st
from training import run

from tlstudio import paths
from tlstudio.api import ImageSet
from tlstudio.engine.features import choose_cache


def losses(events):
    assert events[-1].event == "RunFinished", events[-1]
    return [(event.train["loss"], event.val["loss"]) for event in events if event.event == "EpochDone"]


def cached(events):
    return [event.cached for event in events if event.event == "EpochStarted"]


def computed(events):
    return sum(event.event == "Progress" and event.task == "Running the frozen layers" and event.done > 0 for event in events)


@pytest.mark.parametrize("strategy", ["head-only", "last-stages", "gradual"])
@pytest.mark.parametrize("preset", ["none", "light"])
@pytest.mark.parametrize("mixup", [0, 0.4])
def test_memory_disk_and_no_cache_give_the_same_losses(gradual_catalog, photos, tmp_path, strategy, preset, mixup):
    settings = (f"data.path={photos}", "run.epochs=4", f"freezing.strategy={strategy}", f"augment.preset={preset}",
                "augment.views=4", f"augment.mixup={mixup}", "optim.learning_rate=0.01")  # fmt: skip
    plain, memory, disk, again = (
        run(gradual_catalog, tmp_path, *settings, f"run.cache={cache}") for cache in ("off", "memory", "disk", "disk")
    )
    assert not any(cached(plain))
    assert cached(memory)[0]
    assert cached(disk) == cached(memory)
    for events in (memory, disk, again):
        np.testing.assert_allclose(losses(events), losses(plain), rtol=1e-3, atol=1e-5)


def test_the_next_run_takes_the_features_from_the_disk_and_changed_images_are_computed_anew(tiny_catalog, tmp_path):
    folder = make_photos(tmp_path / "data", {"a": 20, "b": 20})
    settings = (f"data.path={folder}", "run.epochs=1", "run.seed=3")
    first, second = run(tiny_catalog, tmp_path, *settings), run(tiny_catalog, tmp_path, *settings)
    assert losses(first) == losses(second)
    known = [event for event in second if event.event == "Progress" and event.task == "Running the frozen layers"]
    assert [event.done for event in known] == [known[0].total]
    for path in folder.rglob("*.png"):
        os.utime(path, (1, 1))
    third = run(tiny_catalog, tmp_path, *settings)
    assert computed(third) >= 2
    other_weights = run(tiny_catalog, tmp_path, *settings[:2], "run.seed=4")
    assert computed(other_weights) >= 2, "another seed gives other random weights: nothing of theirs is known"


def test_images_are_decoded_once_whatever_is_trained_on_them(tiny_catalog, tmp_path, monkeypatch):
    folder = make_photos(tmp_path / "data", {"a": 12, "b": 12})
    decoded = []
    load = ImageSet.load
    monkeypatch.setattr(ImageSet, "load", lambda self, index, **how: decoded.append(index) or load(self, index, **how))
    run(tiny_catalog, tmp_path, f"data.path={folder}", "run.epochs=2")
    assert sorted(decoded) == list(range(24))
    run(tiny_catalog, tmp_path, f"data.path={folder}", "run.epochs=2", "freezing.strategy=full", "augment.preset=strong")
    assert len(decoded) == 24


def test_features_damaged_on_disk_are_computed_anew(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "run.epochs=2", "run.cache=disk")
    first = run(tiny_catalog, tmp_path, *settings)
    for path in (paths.cache() / "features").rglob("data.bin"):
        path.write_bytes(bytes(path.stat().st_size))
    assert losses(run(tiny_catalog, tmp_path, *settings)) == losses(first)


def test_a_stage_that_learned_is_never_taken_from_the_disk_as_it_was_before(gradual_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "run.epochs=4", "freezing.strategy=thaw", "optim.learning_rate=0.05")
    plain = run(gradual_catalog, tmp_path, *settings, "run.cache=off")
    for _ in range(2):
        np.testing.assert_allclose(losses(run(gradual_catalog, tmp_path, *settings)), losses(plain), rtol=1e-3, atol=1e-5)


@given(
    sizes=st.lists(st.integers(1, 10**6), min_size=1, max_size=8), train=st.integers(0, 1000), val=st.integers(0, 1000),
    views=st.integers(1, 16), memory=st.integers(0, 10**9), disk=st.integers(0, 10**9),
)  # fmt: skip
def test_what_is_kept_fits(sizes, train, val, views, memory, disk):
    choice = choose_cache(sizes, train=train, val=val, views=views, memory=memory, disk=disk)
    if choice is None:
        assert sizes[-1] * (train * views + val) > max(memory, disk)
        return
    assert choice.size == sizes[choice.cut - 1] * (train * choice.views + val)
    assert choice.size <= (memory if choice.where == "memory" else disk)
    assert min(2, views) <= choice.views <= views
    assert choice.cut == len(sizes) or sizes[choice.cut - 1] <= sizes[-1]


def test_a_smaller_tensor_further_up_is_kept_where_the_last_is_too_large():
    choice = choose_cache([50, 10, 40], train=10, val=0, views=1, memory=100, disk=0)
    assert (choice.cut, choice.views, choice.where) == (2, 1, "memory")
    assert choose_cache([50, 10, 40], train=10, val=0, views=8, memory=500, disk=0).views == 5
    assert choose_cache([50, 10, 40], train=10, val=0, views=1, memory=99, disk=0) is None
    assert torch.is_grad_enabled()
