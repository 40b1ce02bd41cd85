"""The pretrained network is asked what it sees: photographs of what it knows, or something else."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tlstudio.api.config import DataConfig, TrainConfig, with_overrides
from tlstudio.api.dataset import TRAIN
from tlstudio.api.events import Note, RunFinished
from tlstudio.engine.control import Control
from tlstudio.engine.likeness import look_at
from tlstudio.engine.run import start_run

LITE0 = "timm/tf_efficientnet_lite0"


def look(catalog, tmp_path, *settings):
    config = with_overrides(TrainConfig(), [*settings])
    recipe = catalog.resolve(config, workspace=tmp_path)
    images = recipe.open_images()
    return look_at(recipe, images, np.full(len(images), TRAIN, np.int8))


@pytest.fixture
def installed(catalog):
    if catalog.backbones[LITE0].weights[0].locate() is None:
        pytest.skip("the bundled weights are not installed")


def test_ants_and_bees_are_what_the_network_knows(catalog, tmp_path, hymenoptera, installed):
    found = look(catalog, tmp_path, f"data.path={hymenoptera}")
    assert 0.5 < found.likeness < 0.95
    assert not found.far
    assert found.pretrained


def test_a_smaller_input_of_the_run_does_not_change_what_the_images_are(catalog, tmp_path, hymenoptera, installed):
    plain = look(catalog, tmp_path, f"data.path={hymenoptera}")
    assert look(catalog, tmp_path, f"data.path={hymenoptera}", "data.image_size=96") == plain


def test_coloured_stripes_and_circles_are_not(catalog, tmp_path, photos, installed):
    from conftest import make_photos

    folder = make_photos(tmp_path / "large", {"circles": 6, "stripes": 6}, size=(320, 240))
    found = look(catalog, tmp_path, f"data.path={folder}")
    assert found.signs == ""  # they have colour, and are large enough
    assert found.likeness < 0.5
    assert found.far
    assert (found.images, found.a_class) == (12, 6)


def test_tiny_images_are_far_without_asking_the_network(catalog, tmp_path, installed):
    found = look(catalog, tmp_path, "data.dataset=datasets/digits", "data.image_size=32")
    assert found.likeness is None
    assert "tiny" in found.signs
    assert found.far


def test_the_look_moves_no_generator(catalog, tmp_path, photos, installed):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    look(catalog, tmp_path, f"data.path={photos}")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_run_says_what_it_chose_and_keeps_the_choice(tiny_catalog, tmp_path, photos):
    config = with_overrides(
        TrainConfig(data=DataConfig(path=str(photos))),
        ["model.backbone=test/tiny", "model.weights=none", "run.epochs=1", "run.plan=reference"],
    )
    events = list(start_run(config, tiny_catalog, tmp_path / "workspace", Control()))
    assert isinstance(events[-1], RunFinished), events[-1]
    chosen = [event.text for event in events if isinstance(event, Note) and event.text.startswith("Chosen: ")]
    assert len(chosen) == 1
    assert "no trained weights" in chosen[0]
    folder = next((tmp_path / "workspace" / "runs").iterdir())
    kept = json.loads((folder / "config.json").read_text())
    assert kept["freezing"]["strategy"] == "freezing/full"
    assert kept["optim"]["learning_rate"] > 0
    assert kept["augment"]["preset"] == "strong"
