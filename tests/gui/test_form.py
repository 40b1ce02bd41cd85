"""The form is made from the configuration model: every field, its bounds, its default, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.api.config import DataConfig, TrainConfig, parse_config
from tlstudio.api.dataset import Options
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.problems import field_names
from tlstudio.gui.pages.train_matters import without_effect
from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.gui.widgets.editors import Bounds, JsonBox, NumberBox, SwitchBox, TextBox, number_text
from tlstudio.gui.widgets.fold import Fold
from tlstudio.gui.widgets.form import Form, OptionsEditor, Section, fields_of

OTHER = {
    "data": {
        "path": "/data/a b", "dataset": "datasets/folder", "options": {}, "image_size": 160, "val_fraction": 0.35,
        "split": "kfold", "test_fraction": 0.1, "folds": 7, "fold": 3, "split_seed": 4, "group_by": "p[0-9]+",
        "duplicates_together": False, "accept_damaged": True, "megapixels": 300,
    },
    "model": {"backbone": "torchvision/resnet18", "weights": "none"},
    "freezing": {"strategy": "freezing/last-stages", "options": {"k": 3, "stage_factor": 0.02}},
    "augment": {
        "preset": "strong", "vertical_flip": True, "policy": "rand", "magnitude": 4, "erase": 0.3, "mixup": 0.2, "cutmix": 1.0,
        "views": 7,
    },
    "optim": {
        "optimizer": "sgd", "learning_rate": 3e-5, "weight_decay": 0.05, "momentum": 0.8, "schedule": "plateau",
        "step_epochs": 6, "decay_factor": 0.3, "plateau_patience": 2, "warmup_steps": 12, "label_smoothing": 0.1,
        "balance": "sampling", "clip_norm": 2.5, "accumulate": 4, "ema_decay": 0.99,
    },
    "run": {
        "observers": False,
        "epochs": 4, "batch_size": 8, "seed": 17, "device": "cpu", "precision": "float32", "patience": 3, "min_delta": 0.01,
        "checkpoint_minutes": 2.5, "name": "Über 1", "plan": "reference", "frozen_path": "plain", "channels_last": "off",
        "depthwise": "native", "cudnn_benchmark": "on", "tf32": False, "deterministic": True,
        "compile": True, "cache": "disk", "cache_gigabytes": 2.5,
    },
}  # fmt: skip


def test_every_setting_has_a_field_and_the_defaults_come_back(qtbot):
    form = Form(TrainConfig)
    qtbot.addWidget(form)
    assert tuple(form.rows) == field_names(TrainConfig) == tuple(fields_of(TrainConfig))
    assert form.problems() == ()
    assert parse_config(form.values()) == TrainConfig()
    assert all(row.editor.accessibleName() and row.editor.toolTip() for row in form.rows.values())


def test_every_setting_can_be_changed_and_comes_back(form):
    config = parse_config(OTHER)
    assert all(
        getattr(getattr(config, s), f) != getattr(getattr(TrainConfig(), s), f)
        for s, f in (name.split(".") for name in field_names(TrainConfig))
        if name_is_not_options(f)
    )
    form.set_config(config)
    assert form.config() == config
    form.set_config(TrainConfig())
    assert form.config() == TrainConfig()


def name_is_not_options(field):
    return field != "options"


def test_the_kind_of_editor_follows_the_type(qtbot):
    class Sample(BaseModel):
        whole: int = Field(3, ge=1, le=9)
        rate: float | None = Field(None, gt=0, le=1)
        flag: bool = False
        text: str = ""
        path: Path | None = None
        choice: Literal["a", "b"] = "a"
        numbers: tuple[int, ...] = (1, 2)
        noted: Annotated[float, Field(ge=0, lt=2, title="Noted")] = 1.0

    form = Form(Sample)
    qtbot.addWidget(form)
    kinds = {name: type(row.editor) for name, row in form.rows.items()}
    assert kinds == {
        "whole": NumberBox, "rate": NumberBox, "flag": SwitchBox, "text": TextBox, "path": TextBox, "choice": ChoiceBox,
        "numbers": JsonBox, "noted": NumberBox,
    }  # fmt: skip
    assert Sample.model_validate(form.values()) == Sample()
    form.rows["numbers"].editor.set_value([4, 5])
    assert Sample.model_validate(form.values()).numbers == (4, 5)


def test_a_changed_value_is_marked_and_can_be_reset(qtbot):
    form = Form(TrainConfig)
    qtbot.addWidget(form)
    form.show()
    row = form.rows["run.epochs"]
    assert not row.is_changed
    assert row.reset.isHidden()
    with qtbot.waitSignal(form.changed):
        row.editor.set_value(7)
    assert row.is_changed
    assert row.label.text().startswith("•")
    assert not row.reset.isHidden()
    row.reset.click()
    assert row.editor.value() == 30
    assert not row.label.text().startswith("•")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("run.epochs", 0, "From 1 to 10000."),
        ("run.epochs", "many", "A whole number is needed."),
        ("run.epochs", "", "A whole number is needed."),
        ("optim.learning_rate", 0.0, "More than 0, at most 10."),
        ("optim.learning_rate", "fast", "A number is needed."),
        ("optim.momentum", 1.0, "From 0 to below 1."),
        ("data.image_size", 8, "From 16 to 2048."),
        ("run.device", "gpu", "match"),
    ],
)
def test_a_wrong_value_is_marked_where_it_stands(form, name, value, words):
    row = form.form.rows[name]
    row.editor.set_value(value)
    with pytest.raises(ConfigError) as error:
        form.config()
    assert [problem.field for problem in error.value.problems] == [name]
    assert words in row.error.text()
    assert not row.error.isHidden()
    row.set_default()
    assert row.error.isHidden()
    form.config()


def test_all_that_is_wrong_is_told_at_once_and_more_opens_for_it(form):
    form.form.rows["run.batch_size"].editor.set_value(0)
    form.form.rows["optim.weight_decay"].editor.set_value(7.0)
    form.form.rows["freezing.strategy"].editor.set_value("freezing/last-stages")
    form.form.rows["freezing.options"].editor.form.rows["k"].editor.set_value(0)
    with pytest.raises(ConfigError) as error:
        form.config()
    assert {problem.field for problem in error.value.problems} == {
        "run.batch_size", "optim.weight_decay", "freezing.options.k",
    }  # fmt: skip
    assert not form.form.rows["optim.weight_decay"].label.isHidden()
    assert form._more.isChecked()


def test_problems_found_later_are_shown_at_their_fields(form):
    form.show_problems([Problem(field="model.weights", message="not on this machine"), Problem(field="x.y", message="?")])
    assert form.form.rows["model.weights"].error.text() == "not on this machine"


def test_the_strategys_own_options_appear_and_only_changed_ones_are_given(form):
    strategy, options = form.form.rows["freezing.strategy"].editor, form.form.rows["freezing.options"].editor
    assert options.form is None
    strategy.set_value("freezing/last-stages")
    assert set(options.form.rows) == {"k", "stage_factor", "norm_stats"}
    assert form.config().freezing.options == {}
    options.form.rows["k"].editor.set_value(4)
    assert form.config().freezing.options == {"k": 4}
    strategy.set_value("freezing/head-only")
    assert form.config().freezing.options == {}


def test_options_that_nobody_knows_are_kept(qtbot):
    editor = OptionsEditor()
    qtbot.addWidget(editor)
    editor.set_value({"depth": 3})
    assert editor.value() == {"depth": 3}

    class Known(Options):
        depth: int = 1
        path: Path | None = None

    editor.set_model(Known)
    editor.set_value({"depth": 3, "else": 1})
    assert set(editor.form.rows) == {"depth"}
    assert editor.value() == {"depth": 3, "else": 1}


def test_automatic_values_say_what_they_come_to(form):
    rate = form.form.rows["optim.learning_rate"].editor
    assert rate.lineEdit().placeholderText() == "auto"  # it goes with what learns, and nobody has looked at images yet
    form.form.rows["freezing.strategy"].editor.set_value("freezing/head-only")
    assert rate.lineEdit().placeholderText() == "auto (0.01)"
    form.form.rows["freezing.strategy"].editor.set_value("freezing/full")
    assert rate.lineEdit().placeholderText() == "auto (0.001)"
    assert form.form.rows["data.image_size"].editor.lineEdit().placeholderText() == "auto (224)"


def test_weights_follow_the_backbone(form):
    backbone, weights = form.form.rows["model.backbone"].editor, form.form.rows["model.weights"].editor
    assert {"auto", "imagenet1k", "none"} <= {choice.value for choice in weights.choices}
    weights.set_value("imagenet1k")
    assert form.pretrained()
    backbone.set_value("torchvision/resnet18")
    assert weights.value() == "auto"
    assert not form.pretrained(), "none of its sets is on this machine"
    assert "random" in weights.currentText()
    missing = [choice for choice in weights.choices if "IMAGENET1K" in str(choice.value)]
    assert missing
    assert not any(choice.enabled for choice in missing)
    weights.set_value("/models/mine.pth")
    backbone.set_value("torchvision/resnet50")
    assert weights.value() == "/models/mine.pth"


def test_weights_that_are_missing_say_how_to_get_them_and_imported_ones_are_there(form, catalog, tmp_path):
    """Those that are imported while the window is open show when the list is opened."""
    import torch

    from tlstudio.engine.weights import check_weights
    from tlstudio.registry.importing import Importer
    from tlstudio.registry.store import WeightsStore

    backbone, weights = form.form.rows["model.backbone"].editor, form.form.rows["model.weights"].editor
    backbone.set_value("torchvision/resnet18")
    [missing] = [choice for choice in weights.choices if choice.value == "IMAGENET1K_V1"]
    assert "not on this machine" in missing.title
    assert not missing.enabled
    for words in ("weights fetch torchvision/resnet18:IMAGENET1K_V1", "weights import", "https://download.pytorch.org"):
        assert words in missing.about
    torch.save(catalog.backbones["torchvision/resnet18"].build(2).module.state_dict(), tmp_path / "moths.pth")
    importer = Importer(backbones=catalog.backbones, store=WeightsStore(), check=check_weights)
    importer.own(tmp_path / "moths.pth", "torchvision/resnet18")
    weights.showPopup()
    weights.hidePopup()
    [moths] = [choice for choice in weights.choices if choice.value == "moths"]
    assert moths.enabled
    weights.set_value("moths")
    assert form.config().model.weights == "moths"
    backbone.set_value("torchvision/resnet50")
    assert weights.value() == "auto"


def test_data_set_from_outside_keeps_the_other_settings(form):
    form.form.rows["run.epochs"].editor.set_value(5)
    form.set_data(DataConfig(path="/data/photos"), "2 classes, 10 images")
    assert form.config().data.path == "/data/photos"
    assert form.config().run.epochs == 5


def test_essentials_are_few_and_more_unfolds_the_rest(form, qtbot):
    form.show()
    rows = form.form.rows
    seen = [name for name, row in rows.items() if row.label.isVisible()]
    assert 5 <= len(seen) <= 8, seen
    form._more.click()
    titles = [fold.heading.text() for fold in form.findChildren(Fold)]
    assert all(fold.isVisible() for fold in form.findChildren(Fold))
    assert titles == ["Images", "Augmentation", "Optimiser", "Schedule", "Loss and steps", "Run", "Speed"]
    for fold in form.findChildren(Fold):
        fold.heading.click()
    hidden = {name for name, row in rows.items() if not row.editor.isVisible()}
    assert hidden - {"data.options"} == {"freezing.options", *without_effect(form.value)}


def test_fields_without_an_effect_hide_and_come_back(form):
    rows = form.form.rows
    form.show()
    form._more.click()
    form.form.unfold_all()
    for name, (field, value) in {
        "optim.momentum": ("optim.optimizer", "sgd"),
        "optim.step_epochs": ("optim.schedule", "step"),
        "optim.plateau_patience": ("optim.schedule", "plateau"),
        "augment.magnitude": ("augment.policy", "rand"),
        "run.min_delta": ("run.patience", 3),
    }.items():
        assert not rows[name].editor.isVisible(), name
        rows[field].editor.set_value(value)
        assert rows[name].editor.isVisible(), name
        assert rows[name].label.isVisible()


def test_a_changed_value_without_an_effect_stays_in_sight_and_pale(form):
    momentum, optimizer = form.form.rows["optim.momentum"], form.form.rows["optim.optimizer"].editor
    form.show()
    form._more.click()
    form.form.unfold_all()
    optimizer.set_value("sgd")
    momentum.editor.set_value(0.8)
    optimizer.set_value("adamw")
    assert momentum.label.isVisible()
    assert momentum.label.property("role") == "muted"
    assert "no effect" in momentum.label.toolTip()
    momentum.reset.click()
    assert not momentum.label.isVisible(), "back at its default, it says nothing"


def test_headings_count_what_is_changed_and_open_where_something_is_wrong(form):
    form.show()
    form.form.rows["optim.weight_decay"].editor.set_value(0.05)
    form._more.click()
    folds = {fold.heading.text(): fold for fold in form.findChildren(Fold)}
    assert folds["Optimiser (1 changed)"].is_open
    assert not folds["Run"].is_open
    form.show_problems([Problem(field="run.seed", message="?")])
    assert folds["Run"].is_open
    assert form.form.rows["run.seed"].error.isVisible()


@given(st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_shown_reads_back_as_itself(value):
    assert float(number_text(value)) == value


def test_steps_of_a_learning_rate_go_one_two_five(qtbot):
    box = NumberBox(whole=False, optional=True, bounds=Bounds(low=0, high=10, open_low=True), logarithmic=True)
    qtbot.addWidget(box)
    box.set_automatic(1e-3)
    texts = []
    for _ in range(4):
        box.stepBy(1)
        texts.append(box.lineEdit().text())
    assert texts == ["0.002", "0.005", "0.01", "0.02"]
    for _ in range(5):
        box.stepBy(-1)
    assert box.value() == pytest.approx(5e-4)
    box.set_value(10.0)
    box.stepBy(1)
    assert box.value() == 10.0


def test_scrolling_over_the_form_changes_nothing(qtbot):
    box = ChoiceBox([Choice(value=1, title="one"), Choice(value=2, title="two")])
    number = NumberBox(whole=True, optional=False, bounds=Bounds(low=0, high=9))
    for widget in (box, number):
        qtbot.addWidget(widget)
        widget.show()
    number.set_value(3)
    for widget in (box, number):
        event = QWheelEvent(
            QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, event)
    assert box.value() == 1
    assert number.value() == 3


def test_sections_can_leave_fields_out(qtbot):
    form = Form(TrainConfig, sections=[Section(fields=("run.epochs",))])
    qtbot.addWidget(form)
    assert form.values() == {"run": {"epochs": 30}}
