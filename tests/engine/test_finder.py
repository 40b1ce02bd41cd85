"""The search for a learning rate: what it suggests, and that it leaves no trace."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training import run

from tlstudio import paths
from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.engine.control import Control
from tlstudio.engine.finder import STEPS, find_rate, suggestion


def search(catalog, workspace, *overrides, control=None, on_event=None):
    config = with_overrides(TrainConfig(), ["model.backbone=test/tiny", "model.weights=none", *overrides])
    events = []
    for event in find_rate(config, catalog, workspace, control or Control()):
        events.append(event)
        if on_event is not None:
            on_event(event)
    return events


def tried(events):
    return [event for event in events if event.event == "RateTried"]


def files(*folders):
    return {path: path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "settings",
    [
        ("freezing.strategy=full", "optim.optimizer=sgd"),
        ("freezing.strategy=head-only",),
        ("freezing.strategy=full", "augment.preset=strong", "augment.mixup=0.3", "optim.ema_decay=0.9", "optim.accumulate=2"),
    ],
    ids=["full", "head-only", "all at once"],
)
def test_a_run_after_the_search_is_bit_equal_to_one_without(tiny_catalog, photos, tmp_path, monkeypatch, settings):
    wanted = (f"data.path={photos}", "run.epochs=3", "run.batch_size=8", *settings)

    def weights(home, *, searched):
        monkeypatch.setenv("TLSTUDIO_HOME", str(tmp_path / home))
        torch.manual_seed(17)
        if searched:
            state = torch.get_rng_state()
            settings_before = torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled()
            events = search(tiny_catalog, tmp_path / home / "w", *wanted)
            assert events[-1].event == "RateFound", events[-1]
            assert torch.equal(torch.get_rng_state(), state)
            assert settings_before == (
                torch.get_float32_matmul_precision(), torch.get_num_threads(), torch.is_grad_enabled()
            )  # fmt: skip
            assert not files(tmp_path / home / "w"), "no run, no split, nothing"
            kept = {path.relative_to(paths.cache()).parts[0] for path in files(paths.cache())}
            assert kept <= {"index"}, "no picture, no feature, no plan"
        events = run(tiny_catalog, tmp_path / home / "w", *wanted)
        epochs = [(event.train, event.val) for event in events if event.event == "EpochDone"]
        return load_file(events[-1].model), epochs

    (calm, first), (after, second) = weights("one", searched=False), weights("two", searched=True)
    assert first == second
    assert all(torch.equal(calm[name], after[name]) for name in calm)


def test_a_search_between_two_runs_leaves_what_the_first_has_kept(tiny_catalog, photos, tmp_path):
    wanted = (f"data.path={photos}", "run.epochs=1", "freezing.strategy=head-only")
    run(tiny_catalog, tmp_path, *wanted)
    kept = files(paths.cache(), tmp_path)
    assert kept
    assert search(tiny_catalog, tmp_path, *wanted)[-1].event == "RateFound"
    assert files(paths.cache(), tmp_path) == kept


def test_rates_rise_to_where_the_loss_runs_away_and_the_suggestion_lies_before(tiny_catalog, photos, tmp_path):
    events = search(tiny_catalog, tmp_path, f"data.path={photos}", "freezing.strategy=full", "run.batch_size=16",
                    "augment.preset=none")  # fmt: skip
    steps, found = tried(events), events[-1]
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert all(event.steps == STEPS for event in steps)
    ratios = np.diff(np.log([event.rate for event in steps]))
    np.testing.assert_allclose(ratios, ratios[0])
    assert steps[0].rate < found.rate <= found.lowest
    assert 1e-4 < found.rate < 0.3
    finished = run(tiny_catalog, tmp_path, f"data.path={photos}", "freezing.strategy=full", "run.batch_size=16", "run.epochs=6",
                   f"optim.learning_rate={found.rate}")[-1]  # fmt: skip
    assert finished.metrics["val_accuracy"] >= 0.9


def test_frozen_layers_are_run_once_for_each_image_that_is_needed(tiny_catalog, photos, tmp_path):
    events = search(tiny_catalog, tmp_path, f"data.path={photos}", "freezing.strategy=head-only", "run.batch_size=4")
    filled = [event for event in events if event.event == "Progress"]
    assert filled[-1].done == filled[-1].total == 38
    assert len(tried(events)) > 50


def test_large_sets_are_not_read_whole(tiny_catalog, photos, tmp_path, monkeypatch):
    from tlstudio.engine import sweep

    monkeypatch.setattr(sweep, "STEPS", 12)
    read = set()
    load = sweep.ImageSource.picture
    monkeypatch.setattr(sweep.ImageSource, "picture", lambda self, row: read.add(row) or load(self, row))
    assert search(tiny_catalog, tmp_path, f"data.path={photos}", "run.batch_size=2")[-1].event == "RateFound"
    assert len(read) <= 24


def test_it_stops_when_told_to_and_suggests_nothing(tiny_catalog, photos, tmp_path):
    control = Control()
    events = search(tiny_catalog, tmp_path, f"data.path={photos}", control=control,
                    on_event=lambda event: event.event == "RateTried" and event.step == 5 and control.stop())  # fmt: skip
    assert len(tried(events)) == 5
    assert (events[-1].rate, events[-1].lowest) == (None, None)


def test_what_is_wrong_becomes_an_event(tiny_catalog, photos, tmp_path):
    events = search(tiny_catalog, tmp_path, f"data.path={photos}", "model.backbone=none/such")
    assert [event.event for event in events] == ["RunFailed"]
    assert "model.backbone" in events[0].detail


def test_the_suggestion_is_where_the_loss_falls_fastest():
    tried = np.geomspace(1e-5, 10, 90).tolist()
    falls = [2.0 - 1.5 / (1.0 + math.exp(-4.0 * (math.log10(rate) + 2.5))) for rate in tried]
    rises = [loss + max(0.0, 3.0 * math.log10(rate)) for loss, rate in zip(falls, tried, strict=True)]
    rate, lowest = suggestion(tried, rises)
    assert math.log10(rate) == pytest.approx(-2.5, abs=0.2)
    assert 0.1 < lowest <= 2.0
    assert suggestion(tried, [1.0] * 90) == (None, None)
    assert suggestion(tried, np.linspace(1.0, 9.0, 90).tolist()) == (None, None)
    assert suggestion(tried[:5], falls[:5]) == (None, None)


def test_no_run_is_made(tiny_catalog, photos, tmp_path):
    search(tiny_catalog, tmp_path, f"data.path={photos}")
    assert not (tmp_path / "runs").exists()
    assert not list(Path(paths.cache()).rglob("*.json"))
