"""One name per setting: JSON, dotted override and field are the same thing, and every fault is named at its field."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlstudio import api
from tlstudio.api import ConfigError, TrainConfig
from tlstudio.api.config import parse_config_json, with_overrides
from tlstudio.api.problems import field_names


@given(
    rate=st.none() | st.floats(1e-9, 10, exclude_min=True),
    epochs=st.integers(1, 10_000),
    path=st.none() | st.text(min_size=1, max_size=30),
    options=st.dictionaries(st.text(min_size=1, max_size=8), st.integers() | st.booleans() | st.text(max_size=8), max_size=3),
)
def test_a_configuration_survives_json(rate, epochs, path, options):
    config = TrainConfig.model_validate(
        {"optim": {"learning_rate": rate}, "run": {"epochs": epochs}, "data": {"path": path}, "freezing": {"options": options}}
    )
    assert parse_config_json(config.model_dump_json()) == config


def test_a_dotted_override_sets_the_field_of_the_same_name():
    config = with_overrides(
        TrainConfig(), ["optim.learning_rate=1e-3", "freezing.options.k=2", "model.weights=none", "data.image_size=null"]
    )
    assert config.optim.learning_rate == 1e-3
    assert config.freezing.options == {"k": 2}
    assert config.model.weights == "none"
    assert config.data.image_size is None


@pytest.mark.parametrize("run_id", ["88722857", "12345e67", "00000001", "true"])
def test_text_that_looks_like_a_number_stays_text_where_text_is_wanted(run_id):
    config = with_overrides(TrainConfig(), [f"model.weights={run_id}", f"run.name={run_id}", 'data.path="quoted"'])
    assert (config.model.weights, config.run.name, config.data.path) == (run_id, run_id, "quoted")
    assert with_overrides(config, ["data.path=null"]).data.path is None


def test_all_faults_are_named_at_once_each_at_its_field():
    with pytest.raises(ConfigError) as caught:
        with_overrides(
            TrainConfig(),
            [
                "optim.lerning_rate=1",
                "run.batch_size=0",
                "run.epochs=true-ish",
                "optim.learning_rate=NaN",
                "nonsense",
                "data.x.y=1",
            ],
        )
    problems = {problem.field: problem.message for problem in caught.value.problems}
    assert set(problems) == {"optim.lerning_rate", "run.batch_size", "run.epochs", "optim.learning_rate", "nonsense", "data.x"}
    assert "did you mean optim.learning_rate" in problems["optim.lerning_rate"]


@pytest.mark.parametrize("value", ["-1", "0", "1e9", '"fast"', "Infinity"])
def test_an_impossible_learning_rate_is_refused(value):
    with pytest.raises(ConfigError, match=r"optim\.learning_rate"):
        with_overrides(TrainConfig(), [f"optim.learning_rate={value}"])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"run": 3}', "[" * 100_000])
def test_text_that_is_no_configuration_is_refused_with_words(text):
    with pytest.raises(ConfigError):
        parse_config_json(text)


def test_every_field_has_a_title_and_a_description():
    for section in TrainConfig.model_fields.values():
        for name, info in section.annotation.model_fields.items():
            assert info.title, name
            assert info.description, name
    assert "optim.learning_rate" in field_names(TrainConfig)


def test_the_api_pulls_in_neither_torch_nor_qt():
    code = (
        "import sys, tlstudio.api, tlstudio.registry as r; r.load_catalog();"
        "print([m for m in ('torch', 'torchvision', 'timm', 'PySide6', 'pyqtgraph') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    assert all(hasattr(api, name) for name in api.__all__)
    assert not hasattr(api, "no_such_name")
