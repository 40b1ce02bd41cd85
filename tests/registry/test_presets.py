"""What the program chooses where the user leaves it open, and what it says of it."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from tlstudio.api.config import SAMPLE_DATASET, TrainConfig, with_overrides
from tlstudio.registry.presets import PRESETS, Situation, find_preset, preset_for, why


def situation(images=200, a_class=100, **more):
    return Situation(images=images, a_class=a_class, **{"pretrained": True, **more})


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (situation(likeness=0.74), "few-close"),
        (situation(likeness=0.05), "few-far"),
        (situation(signs="they have no colour"), "few-far"),
        (situation(5000, 500, likeness=0.9), "many-close"),
        (situation(5000, 500, likeness=0.2), "many-far"),
        (situation(5000, 5, likeness=0.9), "few-close"),  # a thousand classes of five images each
        (situation(5000, 500, pretrained=False), "scratch"),
        (situation(), "few-close"),  # weights that nobody can ask: what is hardest to spoil
    ],
)
def test_each_situation_has_its_preset(found, name):
    assert preset_for(found).name == name


def test_every_preset_is_a_valid_configuration_and_explains_itself_in_a_sentence(catalog, tmp_path):
    for preset in PRESETS:
        assert preset.about.endswith(".")
        assert ". " not in preset.about
        config = preset.applied(with_overrides(TrainConfig(), [f"data.dataset={SAMPLE_DATASET}", "model.weights=none"]))
        recipe = catalog.resolve(config, workspace=tmp_path)
        assert recipe.config.freezing.strategy == preset.settings["freezing.strategy"]


def test_what_the_user_has_set_stays():
    config = with_overrides(TrainConfig(), ["augment.preset=none"])
    applied = find_preset("scratch").applied(config)
    assert applied.augment.preset == "none"
    assert applied.freezing.strategy == "freezing/full"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (situation(244, 122, likeness=0.74), ("244 training images are few", "like the photographs", "74 %")),
        (situation(5000, 500, likeness=0.2), ("5,000 training images are many", "unlike", "20 %")),
        (situation(signs="they have no colour"), ("they have no colour",)),
        (situation(pretrained=False), ("no trained weights",)),
    ],
)
def test_the_reason_names_what_was_found(found, words):
    text = why(found)
    assert all(word in text for word in words)
    assert text.endswith(".")


def test_until_somebody_has_looked_the_recipe_says_that_it_is_not_decided(catalog, tmp_path):
    config = with_overrides(TrainConfig(), [f"data.dataset={SAMPLE_DATASET}"])
    recipe = catalog.resolve(config, workspace=tmp_path)
    assert recipe.undecided
    assert recipe.config.freezing.strategy == "auto"
    assert recipe.config.optim.learning_rate is None  # it goes with the strategy
    decided = catalog.resolve(config, workspace=tmp_path, situation=situation(5000, 500, likeness=0.2))
    assert not decided.undecided
    assert decided.config.freezing.strategy == find_preset("many-far").settings["freezing.strategy"]
    assert decided.config.optim.learning_rate == decided.strategy.learning_rate
    again = catalog.resolve(decided.config, workspace=tmp_path)  # as `tlstudio train config.json` does
    assert again.strategy == decided.strategy
    assert not again.undecided


def test_a_situation_can_be_sent_to_other_processes():
    kind = TypeAdapter(Situation)
    found = situation(likeness=0.25)
    assert kind.validate_json(kind.dump_json(found)) == found
