"""How weights change: optimisers, accumulation, clipping, averaged weights, unequal classes, patience."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_photos
from hypothesis import given
from hypothesis import strategies as st
from robust_runs import newest
from safetensors.torch import load_file
from torch import nn
from training import OPTIMIZERS, run

from tlstudio.api import Backbone, BackboneSpec, ConfigError, OptimConfig, Preprocessing
from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.engine import loop
from tlstudio.engine.average import WeightAverage
from tlstudio.engine.balance import balanced_epoch, class_weights
from tlstudio.engine.muon import MuonAndAdamW
from tlstudio.engine.optim import build_optimizer, in_groups, take_step
from tlstudio.engine.patience import Patience
from tlstudio.engine.task import Classification, Totals
from tlstudio.evaluation.report import evaluate_run
from tlstudio.registry.catalog import usual_rate


def build_plain(num_classes: int) -> Backbone:
    """Without batch norm and dropout, so that a batch may be divided; with a dense layer for Muon."""
    conv, dense, fc = nn.Conv2d(3, 8, 5, stride=4), nn.Linear(8, 12), nn.Linear(12, num_classes)
    stages = {
        "stem": nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "dense": nn.Sequential(dense, nn.ReLU()),
    }
    head = nn.Sequential(fc)
    return Backbone(module=nn.Sequential(*stages["stem"], *stages["dense"], fc), stages=stages, head=head, num_features=12)


@pytest.fixture
def plain_catalog(tiny_catalog):
    spec = BackboneSpec(
        name="plain", title="Plain", about="For tests.", family="Test", params=400, build=build_plain,
        preprocessing=Preprocessing(image_size=32, resize=36),
    )  # fmt: skip
    return replace(tiny_catalog, backbones={**tiny_catalog.backbones, "test/plain": spec})


def result(events):
    return load_file(events[-1].model)


def of(events, kind):
    return [event for event in events if event.event == kind]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_learns_at_its_usual_rate(tiny_catalog, photos, tmp_path, optimizer):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=25", "freezing.strategy=full", "run.batch_size=8",
                 f"optim.optimizer={optimizer}", "run.plan=reference", "augment.preset=none")  # fmt: skip
    losses = [event.train["loss"] for event in of(events, "EpochDone")]
    assert losses[-1] < 0.75 * losses[0]


def test_the_usual_rate_is_filled_in(tiny_catalog, tmp_path):
    strategy = tiny_catalog.strategies["freezing/head-only"]
    rates = {}
    for optimizer in OPTIMIZERS:
        config = with_overrides(
            TrainConfig(), [f"optim.optimizer={optimizer}", "data.dataset=digits", "freezing.strategy=head-only"]
        )
        rates[optimizer] = tiny_catalog.resolve(config, workspace=tmp_path).config.optim.learning_rate
        assert rates[optimizer] == usual_rate(strategy, optimizer)
    assert rates["sgd"] > rates["adamw"] == strategy.learning_rate > rates["rmsprop"]


def test_where_there_are_no_norms_to_learn_it_is_said(plain_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "model.backbone=test/plain", "freezing.strategy=norm-only", "run.epochs=1")
    events = run(plain_catalog, tmp_path, *settings)
    assert any("no normalisation layers: only the head learns" in event.text for event in of(events, "Note"))


def test_muon_takes_the_matrices_of_stages_and_adamw_the_rest():
    config = OptimConfig(optimizer="muon", learning_rate=0.01, weight_decay=0.1, momentum=0.9)
    backbone, single = build_plain(3), build_plain(3)
    single.module.load_state_dict(backbone.module.state_dict())
    optimizer = build_optimizer(backbone, config)
    assert isinstance(optimizer, MuonAndAdamW)
    dense = single.stages["dense"][0].weight
    rest = [p for p in single.module.parameters() if p is not dense]
    others = [
        torch.optim.Muon([dense], lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.1},
                           {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0}], lr=0.01),
    ]  # fmt: skip
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for count in range(4):
        x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(count))
        for network, steps in ((backbone.module, [optimizer]), (single.module, others)):
            network.zero_grad()
            network(x).square().sum().backward()
            for each in steps:
                each.step()
        if count == 1:  # what a checkpoint keeps is enough to go on
            again = build_optimizer(backbone, config)
            again.load_state_dict(optimizer.state_dict())
            optimizer = again
    for name, value in single.module.state_dict().items():
        torch.testing.assert_close(backbone.module.state_dict()[name], value, msg=name)


def test_muon_without_matrices_is_adamw_and_says_so(tiny_catalog, photos, tmp_path):
    wanted = (f"data.path={photos}", "run.epochs=2", "freezing.strategy=full", "run.plan=reference")
    muon, adamw = (run(tiny_catalog, tmp_path, *wanted, f"optim.optimizer={name}") for name in ("muon", "adamw"))
    assert any("no weight matrices for Muon" in event.text for event in of(muon, "Note"))
    first, second = result(muon), result(adamw)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("extra", [(), ("optim.balance=weights",), ("freezing.strategy=l2-sp",), ("optim.clip_norm=0.05",)])
def test_small_batches_together_equal_a_large_one(plain_catalog, tmp_path, extra):
    """Also at the end of an epoch, where fewer are left."""
    photos = make_photos(tmp_path / "photos", {"a": 30, "b": 17})
    wanted = (f"data.path={photos}", "run.epochs=3", "model.backbone=test/plain", "freezing.strategy=full",
              "optim.optimizer=sgd", "optim.learning_rate=0.05", "run.plan=reference", "augment.preset=none",
              *extra)  # fmt: skip
    large = run(plain_catalog, tmp_path, *wanted, "run.batch_size=16")
    small = run(plain_catalog, tmp_path, *wanted, "run.batch_size=4", "optim.accumulate=4")
    assert any("learns from 16 images" in event.text for event in of(small, "Note"))
    steps = [[event.step for event in of(events, "EpochDone")] for events in (large, small)]
    assert steps[0] == steps[1] == [3, 6, 9]
    for first, second in zip(of(large, "EpochDone"), of(small, "EpochDone"), strict=True):
        assert first.train["loss"] == pytest.approx(second.train["loss"], rel=1e-4)
        assert first.val["loss"] == pytest.approx(second.val["loss"], rel=1e-4)
    expected = result(large)
    for name, value in result(small).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6, msg=name)


def test_images_that_are_lost_in_the_middle_of_a_run_do_not_weaken_a_step(plain_catalog, tmp_path, monkeypatch):
    from tlstudio.engine.cut import Cut

    photos = make_photos(tmp_path / "photos", {"a": 16, "b": 16})
    batches = Cut.batches

    def fewer(self, parts, draw):
        for number, item in enumerate(batches(self, parts, draw)):
            if number != 1 or (draw is None and len(parts) == 1):
                yield item

    scales = []
    monkeypatch.setattr(Cut, "batches", fewer)
    monkeypatch.setattr(loop, "take_step", lambda *args, scale, clip: scales.append(scale))
    run(plain_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", "model.backbone=test/plain", "run.batch_size=4",
        "optim.accumulate=4", "freezing.strategy=full", "run.plan=reference")  # fmt: skip
    assert scales[0] == 1.0, "26 images, 7 batches, one of them lost: four of four images"
    assert scales[1] == 16 / 6


@given(count=st.integers(0, 20), size=st.integers(1, 7))
def test_groups_keep_the_order_and_close_once(count, size):
    found = list(in_groups(range(count), size))
    assert [item for _, _, item in found] == list(range(count))
    assert [number for number, _, _ in found] == [item % size for item in range(count)]
    assert [item for _, closes, item in found if closes] == [
        item for item in range(count) if item % size == size - 1 or item == count - 1
    ]


def test_a_gradient_is_no_longer_than_wanted():
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    for clip, length in ((0.5, 0.5), (0.0, 10.0), (100.0, 10.0)):
        before = [p.detach().clone() for p in layer.parameters()]
        for p, part in zip(layer.parameters(), (6.0, 8.0), strict=True):
            p.grad = torch.full_like(p, part / p.numel() ** 0.5)
        take_step(optimizer, scaler, scale=1.0, clip=clip)
        moved = torch.cat([(p.detach() - old).flatten() for p, old in zip(layer.parameters(), before, strict=True)])
        assert float(moved.norm()) == pytest.approx(length, rel=1e-4)


def test_the_average_is_a_sum_of_what_the_weights_were():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    average = WeightAverage(network, 0.5)
    average.follow()
    expected = network[2].weight.detach().clone()
    for count in range(12):
        with torch.no_grad():
            network[2].weight.add_(torch.randn(2, 2))
        network[1].running_mean.fill_(count)
        average.update()
        share = min(0.5, (1 + count) / (10 + count))
        expected = share * expected + (1 - share) * network[2].weight.detach()
        if count == 5:
            state = average.state_dict()
            average = WeightAverage(network, 0.5)
            average.follow()
            average.load_state_dict(state)
    live = {name: value.clone() for name, value in network.state_dict().items()}
    with average.applied():
        torch.testing.assert_close(network[2].weight.detach(), expected)
        assert 9.0 < float(network[1].running_mean[0]) < 11.0
        assert int(network[1].num_batches_tracked) == int(live["1.num_batches_tracked"])
        assert torch.equal(network[0].weight, live["0.weight"])
    assert all(torch.equal(value, live[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("extra", [(), ("freezing.options.norm_stats=recalibrated",), ("freezing.strategy=gradual",)])
def test_averaged_weights_are_measured_and_saved_and_training_goes_on_from_its_own(
    gradual_catalog, photos, tmp_path, monkeypatch, extra
):
    seen = []
    validate = loop._validate

    def watch(training):
        seen.append({name: value.clone() for name, value in training.backbone.module.state_dict().items()})
        return validate(training)

    monkeypatch.setattr(loop, "_validate", watch)
    wanted = [f"data.path={photos}", "run.epochs=4", "freezing.strategy=full", "optim.learning_rate=0.01", "run.batch_size=8",
              "run.plan=reference", *extra]  # fmt: skip
    plain = run(gradual_catalog, tmp_path, *wanted)
    raw = seen.copy()
    seen.clear()
    averaged = run(gradual_catalog, tmp_path, *wanted, "optim.ema_decay=0.8")
    assert averaged[-1].event == "RunFinished", averaged[-1]
    for first, second in zip(of(plain, "EpochDone"), of(averaged, "EpochDone"), strict=True):
        assert first.train == second.train, "the average looks on"
    assert not torch.equal(raw[-1]["fc.weight"], seen[-1]["fc.weight"])
    saved = result(averaged)
    assert all(torch.equal(saved[name], value) for name, value in seen[averaged[-1].best_epoch].items())
    report = evaluate_run(Path(averaged[0].folder), gradual_catalog, tmp_path)
    assert report.accuracy == pytest.approx(averaged[-1].metrics["val_accuracy"])
    assert report.loss == pytest.approx(averaged[-1].metrics["val_loss"], rel=1e-3)


def test_what_freezes_leaves_the_average(gradual_catalog, photos, tmp_path):
    """The frozen stages whose features are kept are those of the model that is saved."""
    events = run(gradual_catalog, tmp_path, f"data.path={photos}", "run.epochs=3", "freezing.strategy=thaw",
                 "optim.ema_decay=0.9", "run.plan=reference", "augment.preset=none")  # fmt: skip
    report = evaluate_run(Path(events[0].folder), gradual_catalog, tmp_path)
    assert report.loss == pytest.approx(events[-1].metrics["val_loss"], rel=1e-3)


def test_a_checkpoint_has_all_that_is_carried_from_step_to_step(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=full", "run.patience=5",
                 "optim.ema_decay=0.9", "optim.accumulate=2", "run.plan=reference")  # fmt: skip
    state, _ = newest(Path(events[0].folder))
    assert state["average"]["updates"] == state["step"]
    assert {"fc.weight", "bn1.running_mean"} <= state["average"]["values"].keys()
    patience = Patience(5)
    patience.load_state_dict(state["patience"])
    assert patience.state_dict() == state["patience"]


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=st.integers(0, 5))
def test_a_balanced_epoch_shows_classes_equally_often_and_in_time_every_image(sizes, seed):
    classes = np.repeat(np.arange(len(sizes)), sizes)[np.random.default_rng(seed).permutation(sum(sizes))].astype(np.int32)
    epochs = [balanced_epoch(classes, seed=seed, epoch=epoch) for epoch in range(6)]
    each = max(1, round(len(classes) / len(sizes)))
    for epoch in epochs:
        assert Counter(classes[epoch].tolist()) == dict.fromkeys(range(len(sizes)), each)
    shown = Counter(itertools.chain.from_iterable(epoch.tolist() for epoch in epochs))
    for kind in range(len(sizes)):
        counts = [shown[row] for row in np.flatnonzero(classes == kind)]
        assert max(counts) - min(counts) <= 1
    assert all(np.array_equal(epoch, balanced_epoch(classes, seed=seed, epoch=n)) for n, epoch in enumerate(epochs))


def test_class_weights_are_inverse_to_the_size_and_average_to_one():
    weights = class_weights(np.array([0, 0, 0, 2], np.int32), 3)
    np.testing.assert_allclose(weights, [4 / 6, 0.0, 2.0])
    assert (3 * weights[0] + weights[2]) / 4 == pytest.approx(1.0)


def test_the_weighted_loss_is_torch_s_but_for_its_divisor():
    torch.manual_seed(0)
    logits, target, weights = torch.randn(7, 3), torch.tensor([0, 0, 1, 2, 0, 1, 0]), torch.tensor([0.5, 1.0, 2.0])
    task = Classification(label_smoothing=0.1, weights=weights)
    theirs = nn.functional.cross_entropy(logits, target, weight=weights, label_smoothing=0.1)
    assert float(task.objective(logits, target)) == pytest.approx(float(theirs * weights[target].sum() / 7))
    assert float(task.loss(logits, target)) == pytest.approx(
        float(nn.functional.cross_entropy(logits, target, label_smoothing=0.1))
    )


@pytest.mark.parametrize("strategy", ["head-only", "full"])
@pytest.mark.parametrize("balance", ["weights", "sampling"])
def test_a_rare_class_is_recognised_where_classes_are_balanced(tiny_catalog, tmp_path, strategy, balance):
    photos = make_photos(tmp_path / "photos", {"many": 72, "few": 8}, seed=3)
    wanted = (f"data.path={photos}", "run.epochs=6", f"freezing.strategy={strategy}", "run.batch_size=8",
              "optim.learning_rate=0.002", "optim.optimizer=adamw", "run.plan=reference", "augment.preset=none")  # fmt: skip
    plain = run(tiny_catalog, tmp_path, *wanted)
    even = run(tiny_catalog, tmp_path, *wanted, f"optim.balance={balance}")
    last = [of(events, "EpochDone")[-1] for events in (plain, even)]
    assert last[1].val["balanced_accuracy"] >= last[0].val["balanced_accuracy"]
    assert any("Classes have from" in event.text for event in of(even, "Note"))
    if balance == "sampling":
        assert last[0].step == last[1].step


def test_balanced_accuracy_is_the_mean_over_classes():
    totals = Totals(torch.device("cpu"), classes=4)
    logits = torch.eye(4)[[0, 0, 0, 1, 1]]
    totals.add(torch.tensor(1.0), logits, torch.tensor([0, 0, 0, 1, 3]))
    metrics = totals.metrics()
    assert metrics["accuracy"] == pytest.approx(4 / 5)
    assert metrics["balanced_accuracy"] == pytest.approx((1 + 1 + 0) / 3)


def test_patience_takes_no_notice_of_a_small_gain():
    patience = Patience(2, 0.01)
    waits = []
    for accuracy, better in ((0.5, True), (0.505, True), (0.511, True), (0.512, True), (0.3, False)):
        patience.hear(accuracy, better=better, settled=True)
        waits.append(patience.waited)
    assert waits == [0, 1, 0, 1, 2]
    assert patience.over


def test_a_resumed_run_would_find_its_rate_on_the_plateau(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=8", "freezing.strategy=head-only",
                 "optim.schedule=plateau", "optim.plateau_patience=0", "optim.decay_factor=0.5", "optim.learning_rate=1.0",
                 "run.plan=reference")  # fmt: skip
    rates = {event.epoch: event.lr for event in of(events, "StepDone")}
    best, rate, expected = float("inf"), 1.0, {}
    for event in of(events, "EpochDone"):
        expected[event.epoch] = rate
        if event.val["loss"] < best * (1 - 1e-4):
            best = event.val["loss"]
        else:
            rate *= 0.5
    assert rates == {epoch: pytest.approx(expected[epoch]) for epoch in rates}


def test_what_cannot_be_together_is_told_at_once_each_at_its_field(tiny_catalog, tmp_path):
    config = with_overrides(TrainConfig(), [
        "data.dataset=datasets/digits", "run.batch_size=1", "augment.mixup=0.2", "augment.cutmix=1", "run.epochs=5",
        "optim.schedule=step", "optim.step_epochs=5", "run.min_delta=0.1", "model.backbone=none/such",
    ])  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        tiny_catalog.resolve(config, workspace=tmp_path)
    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["augment.mixup", "augment.cutmix", "optim.step_epochs", "run.min_delta", "model.backbone"]
    config = with_overrides(TrainConfig(), ["data.dataset=datasets/digits", "optim.schedule=plateau", "run.patience=2"])
    with pytest.raises(ConfigError) as caught:
        tiny_catalog.resolve(config, workspace=tmp_path)
    assert [problem.field for problem in caught.value.problems] == ["run.patience"]
