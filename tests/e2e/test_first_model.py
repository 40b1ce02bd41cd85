"""What a new user gets: real photos, the bundled backbone, the defaults."""

from __future__ import annotations

import pytest

from tlstudio.api.config import SAMPLE_STRATEGY, TrainConfig, with_overrides
from tlstudio.engine.control import Control
from tlstudio.engine.run import start_run


def _train(catalog, workspace, *overrides):
    return list(start_run(with_overrides(TrainConfig(), overrides), catalog, workspace, Control()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ants_and_bees_with_the_head_alone(catalog, hymenoptera, tmp_path, seed):
    events = _train(catalog, tmp_path, f"data.path={hymenoptera}", "run.epochs=5", f"run.seed={seed}")
    assert events[-1].event == "RunFinished", events[-1]
    assert events[-1].metrics["val_accuracy"] >= 0.935
    prepared = next(event for event in events if event.event == "Prepared")
    assert prepared.weights == "imagenet1k"
    assert prepared.images["val"] == 153


@pytest.mark.slow
def test_the_sample_trains_with_the_defaults_and_is_told_to_be_far_from_photographs(catalog, tmp_path):
    events = _train(catalog, tmp_path, "data.dataset=datasets/digits", f"freezing.strategy={SAMPLE_STRATEGY}")
    assert events[-1].event == "RunFinished", events[-1]
    assert events[-1].metrics["val_accuracy"] >= 0.93
    advice = [event.text for event in events if event.event == "Note" and event.level == "advice"]
    assert any("far from the photographs" in text and "last stages" in text for text in advice)
