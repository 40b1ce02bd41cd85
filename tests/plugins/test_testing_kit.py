"""The kit for plugin authors: it passes what is right and says in a sentence what is not."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tlstudio_timm
import tlstudio_torchvision
from tlstudio.api import (
    Backbone,
    BackboneSpec,
    DatasetSpec,
    FreezePlan,
    FreezingSpec,
    ImageError,
    ImageSet,
    Options,
    Preprocessing,
    WeightsSpec,
)
from tlstudio.testing import check_backbone, check_dataset, check_strategy
from tlstudio.testing.numbers import fill_parameters, fill_statistics


class TinyNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.deep = nn.Conv2d(4, 6, 3, stride=2)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, images):
        return self.fc(torch.relu(self.deep(torch.relu(self.norm(self.conv(images))))).mean((2, 3)))


class Pool(nn.Module):
    def forward(self, values):
        return values.mean((2, 3))


def parts_of(module, **changes):
    parts = {
        "module": module,
        "stages": {
            "stem": nn.Sequential(module.conv, module.norm, nn.ReLU()),
            "deep": nn.Sequential(module.deep, nn.ReLU()),
        },
        "head": nn.Sequential(Pool(), module.fc),
        "num_features": 6,
    }
    return Backbone(**{**parts, **changes})


def backbone_spec(build=lambda num_classes: parts_of(TinyNet(num_classes)), **changes):
    fields = {"name": "tiny", "title": "Tiny", "about": "For tests.", "family": "Tiny", "params": 1000, "build": build}
    return BackboneSpec(**{**fields, **changes})


class TestBackbone:
    def complaint(self, build=None, **changes):
        with pytest.raises(AssertionError) as caught:
            check_backbone(backbone_spec(build, **changes) if build else backbone_spec(**changes))
        return str(caught.value)

    def test_a_good_one_passes_and_leaves_the_random_numbers_alone(self):
        torch.manual_seed(3)
        before = torch.random.get_rng_state()
        check_backbone(backbone_spec())
        assert torch.equal(before, torch.random.get_rng_state())

    def test_a_stage_that_is_left_out(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            return parts_of(module, stages={"stem": parts_of(module).stages["stem"]})

        assert "deep.weight is in 0 of the stages and the head" in self.complaint(build)

    def test_a_parameter_in_two_stages(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            return parts_of(module, head=nn.Sequential(module.deep, Pool(), module.fc))

        assert "deep.weight is in 2 of the stages and the head" in self.complaint(build)

    def test_a_stage_with_parameters_of_its_own(self):
        def build(num_classes):
            return parts_of(TinyNet(num_classes), stages={"stem": nn.Conv2d(3, 6, 3)})

        assert "not the module's own" in self.complaint(build)

    def test_a_forgotten_step_of_the_forward_pass(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            return parts_of(module, stages={"stem": nn.Sequential(module.conv, module.norm), "deep": module.deep})

        assert "differ from module(x)" in self.complaint(build)

    def test_a_dropout_that_eval_does_not_reach(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            return parts_of(module, head=nn.Sequential(Pool(), nn.Dropout(0.5), module.fc))

        assert "dropout in a stage that the module does not own" in self.complaint(build)

    def test_a_stage_that_changes_its_input(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            stages = {"conv": module.conv, "norm": module.norm}
            return parts_of(module, stages={**stages, "deep": nn.Sequential(nn.ReLU(inplace=True), module.deep, nn.ReLU())})

        assert "stage deep changes its input in place" in self.complaint(build)

    def test_statistics_that_move_while_frozen(self):
        class StubbornNorm(nn.BatchNorm2d):
            def forward(self, values):
                self.num_batches_tracked += 1
                return super().forward(values)

        def build(num_classes):
            module = TinyNet(num_classes)
            module.norm = StubbornNorm(4)
            return parts_of(module)

        assert "changed 1.num_batches_tracked in stage stem" in self.complaint(build)

    def test_logits_that_do_not_look_at_the_images(self):
        class Blind(TinyNet):
            def forward(self, images):
                return super().forward(images * 0)

        assert "the same logits for different images" in self.complaint(lambda classes: parts_of(Blind(classes)))

    def test_logits_that_tell_nothing(self):
        def times(factor):
            class Spoiled(TinyNet):
                def forward(self, images):
                    return super().forward(images) * factor

            return lambda classes: parts_of(Spoiled(classes))

        assert "all zero" in self.complaint(times(0))
        assert "not finite" in self.complaint(times(float("nan")))

    def test_a_stage_that_does_nothing(self):
        class Idle(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Conv2d(6, 6, 1)

            def forward(self, values):
                return values + 1e-9 * self.layer(values)

        def build(num_classes):
            module = TinyNet(num_classes)
            module.deep = nn.Sequential(module.deep, Idle())
            stages = {
                "stem": parts_of(module).stages["stem"],
                "deep": module.deep[0],
                "idle": nn.Sequential(module.deep[1], nn.ReLU()),
            }
            return parts_of(module, stages=stages)

        assert "do not depend on the parameters of stage idle" in self.complaint(build)

    def test_a_stage_that_training_does_not_reach(self):
        class Cut(nn.Conv2d):
            def forward(self, values):
                return super().forward(values.detach() if self.training else values)

        def build(num_classes):
            module = TinyNet(num_classes)
            module.deep = Cut(4, 6, 3, stride=2)
            return parts_of(module)

        assert "with 0 frozen stages does not reach stage stem" in self.complaint(build)

    def test_training_that_gives_no_numbers(self):
        class Endless(TinyNet):
            def forward(self, images):
                return super().forward(images) / (0 if self.training else 1)

        assert "in train mode" in self.complaint(lambda classes: parts_of(Endless(classes)))

    def test_keys_that_depend_on_the_number_of_classes(self):
        def build(num_classes):
            module = TinyNet(num_classes)
            if num_classes > 2:
                module.register_parameter("extra", module.fc.bias)
            return parts_of(module)

        assert "other keys for 5 classes than for 2" in self.complaint(build)

    def test_a_wrong_number_of_features(self):
        assert "num_features is 7" in self.complaint(lambda classes: parts_of(TinyNet(classes), num_features=7))

    def test_a_head_of_the_wrong_size(self):
        assert "for 2 classes" in self.complaint(lambda classes: parts_of(TinyNet(classes + 1)))

    def test_a_bad_name(self):
        assert "lower case" in self.complaint(name="Tiny Net")

    def test_bad_weights(self, tmp_path):
        weights = WeightsSpec(
            name="one", title="One", source="here", sha256="xyz", preprocessing=Preprocessing(), locate=lambda: None
        )
        assert "hex digits" in self.complaint(weights=(weights,))
        missing = dataclasses.replace(weights, sha256="0" * 8, locate=lambda: tmp_path / "missing")
        assert "which is no file" in self.complaint(weights=(missing,))
        good = dataclasses.replace(weights, sha256="0" * 8)
        assert "one name" in self.complaint(weights=(good, good))


class Skipped(nn.Module):
    """Has a layer and passes it by."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, values):
        return values


@pytest.mark.parametrize(
    ("plugin", "name", "stage"),
    [
        (tlstudio_torchvision, "vit_b_32", "block3"),
        *((tlstudio_torchvision, "convnext_tiny", f"stage{number}") for number in range(1, 5)),
        (tlstudio_timm, "resnet10t", "layer1"),
        *((tlstudio_timm, "resnet18", f"layer{number}") for number in range(1, 5)),
    ],
)
def test_a_skipped_stage_is_noticed_whatever_fresh_networks_hide(plugin, name, stage):
    """Classifiers of zeros, layer scales of 1e-6, last norms of zeros. Of a stage of several layers the first is kept."""
    (spec,) = (spec for spec in plugin.register_backbones() if spec.name == name)

    def build(num_classes):
        backbone = spec.build(num_classes)
        whole = backbone.stages[stage]
        first = isinstance(whole, nn.Sequential) and len(whole) > 1
        skipped = nn.Sequential(whole[0], Skipped(whole[1:])) if first else Skipped(whole)
        return dataclasses.replace(backbone, stages={**backbone.stages, stage: skipped})

    with pytest.raises(AssertionError, match="differ from module"):
        check_backbone(dataclasses.replace(spec, build=build))


class TestNumbers:
    """Those that a fresh network gets before it is looked at."""

    def test_what_hides_a_layer_is_replaced_and_the_rest_kept(self):
        module = nn.Module()
        module.scale, module.gate = nn.Parameter(torch.full((64,), 1e-6)), nn.Parameter(torch.zeros(()))
        module.temperature, module.token = nn.Parameter(torch.full((64,), 4.0)), nn.Parameter(torch.zeros(1, 5, 64))
        module.head, module.weak, module.usual = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
        for layer, std in ((module.head, 0), (module.weak, 1e-3), (module.usual, 0.15)):
            nn.init.normal_(layer.weight, 0, std)
            nn.init.zeros_(layer.bias)
        before = {key: value.clone() for key, value in module.state_dict().items()}
        torch.manual_seed(0)
        fill_parameters(module)
        after = module.state_dict()
        assert [key for key in after if torch.equal(after[key], before[key])] == ["usual.weight"]
        for key in ("scale", "gate"):
            assert after[key].min() >= 0.5
            assert after[key].max() <= 1.5
        assert 2 <= after["temperature"].min() < after["temperature"].max() <= 6
        for key in ("token", "head.weight", "weak.weight"):
            assert after[key].std() == pytest.approx(1 / 8, rel=0.15)
        assert after["usual.bias"].std() == pytest.approx(0.1, rel=0.3)

    def test_deep_networks_keep_the_size_of_what_flows(self):
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(120)]
        module, images = nn.Sequential(*layers), torch.randn(2, 3, 8, 8)
        layers[0][0] = nn.Conv2d(3, 8, 3)
        fill_parameters(module)
        fill_statistics(module, images)
        assert not module.training
        values = module(images)
        assert 0.1 < values.std() < 10
        assert (values[0] - values[1]).abs().max() > 0.1


class Greys:
    """Grey squares; the row at ``damaged`` raises."""

    def __init__(self, mode="RGB", damaged=None):
        self.mode, self.damaged = mode, damaged

    def __call__(self, index):
        if index == self.damaged:
            raise ImageError("truncated")
        return Image.new(self.mode, (4, 4), index)


class PathOptions(Options):
    path: str = "somewhere"


def image_set(**changes):
    columns = {"classes": ("a", "b"), "keys": ("1", "2", "3"), "labels": np.array([0, 1, 0], np.int32), "read": Greys()}
    return ImageSet(**{**columns, **changes})


def dataset_spec(**changes):
    fields = {"name": "greys", "title": "Greys", "about": "For tests.", "options": Options}
    return DatasetSpec(**{**fields, "open": lambda _options: image_set(), **changes})


class TestDataset:
    def complaint(self, given=None, **changes):
        with pytest.raises(AssertionError) as caught:
            check_dataset(dataset_spec(**changes), given)
        return str(caught.value)

    def test_a_good_one_passes(self):
        check_dataset(dataset_spec())
        check_dataset(dataset_spec(options=PathOptions, recognise=lambda path: float(path.name == "x")), PathOptions(path="x"))

    def test_single_damaged_images_are_allowed(self):
        check_dataset(dataset_spec(open=lambda _options: image_set(read=Greys(damaged=1))))

    def test_what_does_not_pickle(self):
        assert "does not pickle" in self.complaint(open=lambda _options: image_set(read=lambda index: None))

    def test_keys_that_change(self):
        state = random.Random(0)

        def shuffled(_options):
            return image_set(keys=tuple(str(state.random()) for _ in range(3)))

        assert "second opening has other keys" in self.complaint(open=shuffled)

    def test_columns_of_the_wrong_type(self):
        assert "int32" in self.complaint(open=lambda _options: image_set(labels=np.array([0, 1, 0])))
        assert "int8" in self.complaint(open=lambda _options: image_set(splits=np.array([0, 1, 0])))
        strange = np.array([0, 5, 0], np.int8)
        assert "splits hold [5]" in self.complaint(open=lambda _options: image_set(splits=strange))

    def test_images_that_are_not_rgb(self):
        assert "RGB" in self.complaint(open=lambda _options: image_set(read=Greys(mode="L")))

    def test_no_images(self):
        empty = image_set(keys=(), labels=np.zeros(0, np.int32))
        assert "no images" in self.complaint(open=lambda _options: empty)

    def test_recognise_that_raises_or_exaggerates(self):
        assert "it must not" in self.complaint(recognise=lambda path: path.stat().st_size / 0)
        assert "within 0 and 1" in self.complaint(recognise=lambda path: 2.0)

    def test_recognise_that_does_not_know_its_own(self):
        said = self.complaint({"path": "x"}, options=PathOptions, recognise=lambda path: 0.0)
        assert "does not know its own data" in said

    def test_options_that_do_not_fit(self):
        assert "options cannot be made" in self.complaint({"surprise": 1})
        assert "no PathOptions" in self.complaint(Options(), options=PathOptions)


def strategy_spec(plan, **changes):
    fields = {"name": "mine", "title": "Mine", "about": "For tests.", "plan": plan}
    return FreezingSpec(**{**fields, **changes})


class TestStrategy:
    def complaint(self, plan, **changes):
        with pytest.raises(AssertionError) as caught:
            check_strategy(strategy_spec(plan, **changes))
        return str(caught.value)

    def test_a_good_one_passes(self):
        check_strategy(strategy_spec(lambda context: FreezePlan(lr={context.stages[-1].name: 0.5})))

    def test_chance_and_memory(self):
        state = random.Random(0)
        assert "pure" in self.complaint(lambda context: FreezePlan(lr={context.stages[0].name: state.random()}))

    def test_stages_that_are_not_there(self):
        assert "['layer4']" in self.complaint(lambda context: FreezePlan(lr={"layer4": 1.0}))

    @pytest.mark.parametrize("factor", [-1.0, float("nan"), float("inf")])
    def test_factors_out_of_range(self, factor):
        said = self.complaint(lambda context: FreezePlan(lr={context.stages[0].name: factor}))
        assert "finite and at least 0" in said

    def test_an_error_names_the_question(self):
        said = self.complaint(lambda context: FreezePlan(lr={context.stages[3].name: 1.0}))
        assert "IndexError" in said
        assert "epoch 0 of 1, 1 stages" in said

    def test_no_plan_at_all(self):
        assert "FreezePlan" in self.complaint(lambda context: None)

    def test_words_that_are_not_known(self):
        assert "within" in self.complaint(lambda context: FreezePlan(within="some"))
        assert "norm_stats" in self.complaint(lambda context: FreezePlan(norm_stats="some"))

    def test_a_learning_rate_of_zero(self):
        assert "learning rate" in self.complaint(lambda context: FreezePlan(), learning_rate=0.0)
