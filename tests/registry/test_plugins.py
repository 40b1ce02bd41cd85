"""Whatever a plugin does wrong is a row with a reason; everything else still loads."""

from __future__ import annotations

import sys
import textwrap

import pytest

from tlstudio.api import ConfigError, DataConfig, DataError, TrainConfig, WeightsError
from tlstudio.api.config import with_overrides
from tlstudio.registry import load_catalog

GOOD = """
from tlstudio.api import FreezePlan, FreezingSpec, hookimpl

@hookimpl
def register_freezing_strategies():
    return [FreezingSpec(name="mine", title="Mine", about="A test.", plan=lambda context: FreezePlan())]
"""

FAULTS = {
    "raises_at_import": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "missing_dependency": ("import a_package_that_is_not_here", "ModuleNotFoundError"),
    "exits": ("import sys; sys.exit(3)", "SystemExit"),
    "raises_in_a_hook": (GOOD.replace("return [", "raise ValueError('empty'); return ["), "ValueError: empty"),
    "generator_that_raises": (GOOD.replace("return [", "yield 1; return ["), "FreezingSpec records, but one is a int"),
    "wrong_record": (GOOD.replace("return [", "return ['text'] + ["), "but one is a str"),
    "no_list": (GOOD.replace("return [", "return 3 or ["), "must return a list"),
    "twice": (GOOD.replace("return [", "return 2 * ["), "returns 'mine' twice"),
    "bad_name": (GOOD.replace('"mine"', '"My Strategy"'), "not a valid name"),
    "too_new": ("TLSTUDIO_API = 99\n" + GOOD, "Made for plugin API 99"),
    "unknown_hook": (GOOD.replace("register_freezing_strategies", "register_freezing_strategy"), "register_freezing_strategy"),
    "arguments": (GOOD.replace("strategies():", "strategies(catalog):"), "catalog"),
}


@pytest.fixture
def plugin_folder(tmp_path):
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path / "plugins"
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("plugin_under_test"):
            del sys.modules[name]


def write_plugin(folder, name, code, declaration=None):
    module = f"plugin_under_test_{name}"
    (folder / name / module).mkdir(parents=True)
    (folder / name / module / "__init__.py").write_text(textwrap.dedent(code))
    (folder / name / "pyproject.toml").write_text(
        declaration
        or f'[project]\nname = "{name}"\nversion = "2.0"\n[project.entry-points."tlstudio.plugins"]\n{name} = "{module}"\n'
    )


def record(catalog, name):
    return next(plugin for plugin in catalog.plugins if plugin.name == name)


def test_a_folder_that_is_dropped_in_is_loaded(plugin_folder):
    write_plugin(plugin_folder, "good", GOOD)
    catalog = load_catalog(user_folder=plugin_folder)
    assert "good/mine" in catalog.strategies
    found = record(catalog, "good")
    assert (found.status, found.origin, found.version, found.provides) == ("loaded", "user folder", "2.0", ("good/mine",))


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_is_a_row_with_its_reason_and_the_rest_loads(plugin_folder, name):
    code, reason = FAULTS[name]
    write_plugin(plugin_folder, name, code)
    write_plugin(plugin_folder, "zz_good", GOOD)
    catalog = load_catalog(user_folder=plugin_folder)
    found = record(catalog, name)
    assert found.status == "failed"
    assert reason in found.error + found.details
    assert "Traceback" in found.details
    assert not [key for key in catalog.strategies if key.startswith(f"{name}/")]
    assert "zz_good/mine" in catalog.strategies
    assert "timm/tf_efficientnet_lite0" in catalog.backbones


@pytest.mark.parametrize("text", ["not toml [", "project = 3", '[project.entry-points]\n"tlstudio.plugins" = 5'])
def test_a_broken_declaration_is_a_row_too(plugin_folder, text):
    write_plugin(plugin_folder, "odd", GOOD, declaration=text)
    catalog = load_catalog(user_folder=plugin_folder)
    assert record(catalog, "odd").status == "failed"


def test_a_user_s_plugin_wins_over_a_shipped_one_of_the_same_name(plugin_folder):
    write_plugin(plugin_folder, "freezing", GOOD)
    catalog = load_catalog(user_folder=plugin_folder)
    assert list(catalog.strategies) == ["freezing/mine"]
    rows = [(plugin.origin, plugin.status) for plugin in catalog.plugins if plugin.name == "freezing"]
    assert rows == [("user folder", "loaded"), ("shipped", "shadowed")]


def test_plugins_can_be_left_off(plugin_folder):
    write_plugin(plugin_folder, "good", GOOD)
    assert record(load_catalog(user_folder=plugin_folder, all_off=True), "good").status == "off"
    one = load_catalog(user_folder=plugin_folder, off=["timm"])
    assert record(one, "timm").status == "off"
    assert "good/mine" in one.strategies


def resolve(catalog, tmp_path, *overrides):
    return catalog.resolve(with_overrides(TrainConfig(), overrides), workspace=tmp_path)


def test_a_bare_name_is_enough_where_it_is_unique_and_the_recipe_is_complete(catalog, tmp_path):
    recipe = resolve(catalog, tmp_path, "data.dataset=digits", "model.backbone=resnet18", "freezing.strategy=last-stages")
    assert recipe.config.model.backbone == "torchvision/resnet18"
    assert recipe.config.freezing.strategy == "freezing/last-stages"
    assert recipe.config.optim.learning_rate == recipe.strategy.learning_rate
    sgd = resolve(catalog, tmp_path, "data.dataset=digits", "optim.optimizer=sgd", "freezing.strategy=full")
    assert sgd.config.optim.learning_rate == 10 * sgd.strategy.learning_rate


def test_all_unknown_names_and_options_are_named_at_once(catalog, tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve(
            catalog, tmp_path, "data.dataset=digit", "model.backbone=resnet19", "freezing.strategy=last-stages",
            "freezing.options.j=1",
        )  # fmt: skip
    problems = {problem.field: problem.message for problem in caught.value.problems}
    assert set(problems) == {"data.dataset", "model.backbone", "freezing.options.j"}
    assert "datasets/digits" in problems["data.dataset"]


def test_weights_that_are_not_here_say_where_they_come_from(catalog, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(WeightsError) as caught:
        resolve(catalog, tmp_path, "data.dataset=digits", "model.backbone=resnet18", "model.weights=IMAGENET1K_V1")
    assert "resnet18" in caught.value.hint
    with pytest.raises(WeightsError, match="neither known weights"):
        resolve(catalog, tmp_path, "data.dataset=digits", "model.weights=nothing-like-it")


def test_the_right_kind_of_data_is_found_by_itself(catalog, photos, tmp_path):
    (tmp_path / "list.csv").write_text("path,label\nphotos/circles/000.png,c\nphotos/stripes/000.png,s\n")
    assert catalog.recognise(photos) == "datasets/folder"
    assert catalog.recognise(tmp_path / "list.csv") == "datasets/csv"
    with pytest.raises(DataError, match="There is nothing at"):
        catalog.recognise(tmp_path / "nowhere")


def test_an_archive_of_a_folder_opens_like_the_folder(catalog, photos, tmp_path):
    import shutil

    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", photos.parent, photos.name)
    images = catalog.open_images(DataConfig(path=archive))
    assert images.classes == ("circles", "stripes")
    assert len(images) == 48


def test_a_size_that_a_network_cannot_take_is_a_problem_at_its_field(catalog, tmp_path):
    with pytest.raises(ConfigError) as caught:
        resolve(catalog, tmp_path, "data.dataset=digits", "model.backbone=vit_b_16", "data.image_size=96")
    assert [(problem.field, problem.message) for problem in caught.value.problems] == [
        ("data.image_size", "ViT-B/16 takes images of 224 pixels only")
    ]
