"""Every shipped strategy on real steps: what it freezes stays bit-equal, what learns learns at the rate that is shown."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from training import OPTIMIZERS, run

from tlstudio.api import Backbone, FreezePlan, OptimConfig
from tlstudio.engine import loop
from tlstudio.engine.freeze import apply_plan, make_plan, plan_states, stage_infos
from tlstudio.engine.optim import build_optimizer, follow_memory_order, set_learning_rates
from tlstudio.engine.predict import load_model
from tlstudio.registry import load_catalog

SPECS = {spec.name: spec for name, spec in load_catalog().strategies.items() if name.startswith("freezing/")}
WIDTH = 8


class OverPixels(nn.Module):
    """A layer that takes tokens ``(N, L, C)`` over the pixels of maps ``(N, C, H, W)``; attention gets them three times."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, maps):
        tokens = maps.flatten(2).transpose(1, 2)
        if isinstance(self.layer, nn.MultiheadAttention):
            tokens = tokens + self.layer(tokens, tokens, tokens, need_weights=False)[0]
        else:
            tokens = self.layer(tokens)
        return tokens.transpose(1, 2).unflatten(2, maps.shape[2:])


KINDS = {
    "batch norm": lambda inputs: [nn.Conv2d(inputs, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()],
    "group norm": lambda inputs: [nn.Conv2d(inputs, WIDTH, 1), nn.GroupNorm(2, WIDTH), nn.ReLU()],
    "bare": lambda inputs: [nn.Conv2d(inputs, WIDTH, 3, padding=1, bias=False), nn.ReLU()],
    "biased": lambda inputs: [nn.Conv2d(inputs, WIDTH, 3, padding=1), nn.ReLU()],
    "grouped": lambda inputs: [nn.Conv2d(inputs, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=2), nn.ReLU()],
    "dense": lambda inputs: [OverPixels(nn.Linear(inputs, 4 * WIDTH)), nn.GELU(), OverPixels(nn.Linear(4 * WIDTH, WIDTH))],
    "attention": lambda inputs: [
        nn.Conv2d(inputs, WIDTH, 1), OverPixels(nn.MultiheadAttention(WIDTH, 2, batch_first=True)),
    ],
    "no parameters": lambda _: [nn.AvgPool2d(3, 1, 1), nn.Dropout(0.1)],
}  # fmt: skip
networks = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=5)


def build(kinds, classes=3):
    """A network with such stages, for images of 3 channels and any size."""
    stages, channels = OrderedDict(), 3
    for at, kind in enumerate(kinds):
        stages[f"s{at}"] = nn.Sequential(*KINDS[kind](channels))
        channels = channels if kind == "no parameters" else WIDTH
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Linear(channels, classes))
    module = nn.Sequential(OrderedDict([*stages.items(), ("head", head)]))
    return Backbone(module=module, stages=stages, head=head, num_features=channels)


def options_of(spec, norm_stats):
    return spec.options(**({"norm_stats": norm_stats} if "norm_stats" in spec.options.model_fields else {}))


def prepared(spec, options, kinds):
    backbone = build(kinds)
    return backbone if spec.prepare is None else spec.prepare(backbone, options)


def is_norm_tensor(kind, name):
    return "norm" in kind and name.startswith("1.")


def may_change(plan, stage, kind, name):
    """Whether a tensor of a stage may change under a plan; ``name`` is the one within the stage."""
    if plan.factor(stage) == 0.0:
        return False
    if "running" in name or "tracked" in name:
        return plan.norm_stats != "fixed"
    within = {
        "all": True,
        "norm": is_norm_tensor(kind, name),
        "bias": name.endswith("bias"),
        "adapter": name.endswith((".down", ".up")),
    }
    return within[plan.within]


def step(backbone, optimizer, spec, options, start):
    loss = nn.functional.cross_entropy(backbone.module(torch.randn(4, 3, 6, 6)), torch.tensor([0, 1, 2, 0]))
    if spec.penalty is not None:
        loss = loss + spec.penalty(backbone, start, options)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=10)
@given(
    kinds=networks,
    epochs=st.integers(1, 6),
    pretrained=st.booleans(),
    norm_stats=st.sampled_from(["fixed", "update", "recalibrated"]),
    optimizer=st.sampled_from(OPTIMIZERS),
)
def test_what_is_frozen_stays_bit_equal_and_what_learns_is_what_is_shown(
    name, kinds, epochs, pretrained, norm_stats, optimizer
):
    torch.manual_seed(0)
    spec = SPECS[name]
    options = options_of(spec, norm_stats)
    backbone = prepared(spec, options, kinds)
    infos = stage_infos(backbone)
    optim = build_optimizer(backbone, OptimConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.1))
    start = {key: parameter.detach().clone() for key, parameter in backbone.module.named_parameters()}
    for epoch in range(epochs):
        plan = make_plan(spec, options, infos, epoch=epoch, epochs=epochs, pretrained=pretrained)
        shown = plan_states(spec, options, infos, epoch=epoch, epochs=epochs, pretrained=pretrained)
        assert apply_plan(backbone, plan) == {state.name: state.trainable_params for state in shown}
        set_learning_rates(optim, plan, 0.01)
        for state in shown:
            groups = [group for group in optim.param_groups if group["stage"] == state.name]
            assert all(group["lr"] == 0.01 * state.factor for group in groups)
            learning = sum(p.numel() for group in groups for p in group["params"] if p.requires_grad)
            assert learning == state.trainable_params
        before = {key: tensor.clone() for key, tensor in backbone.module.state_dict().items()}
        for _ in range(2):
            step(backbone, optim, spec, options, start)
        for key, tensor in backbone.module.state_dict().items():
            stage, _, rest = key.partition(".")
            if stage != "head" and not may_change(plan, stage, kinds[int(stage[1:])], rest):
                assert torch.equal(tensor, before[key]), f"{key} is frozen in epoch {epoch} but changed"


@example(kinds=["grouped", "dense", "attention"], rank=4, seed=0)
@given(kinds=networks, rank=st.integers(1, 4), seed=st.integers(0, 99))
def test_merged_adapters_give_the_plain_network_with_the_same_output(kinds, rank, seed):
    torch.manual_seed(seed)
    spec = SPECS["lora"]
    backbone = build(kinds)
    images = torch.randn(4, 3, 6, 6)
    backbone.module.eval()
    untouched = backbone.module(images)
    backbone = spec.prepare(backbone, spec.options(rank=rank))
    torch.testing.assert_close(backbone.module(images), untouched)  # nothing changes before it has learned
    with torch.no_grad():
        for key, parameter in backbone.module.named_parameters():
            if key in backbone.adapters:
                parameter.normal_(std=0.05)
    reached = {key.partition(".")[0] for key in backbone.adapters}
    assert reached >= {f"s{at}" for at, kind in enumerate(kinds) if kind in {"grouped", "dense", "attention"}}
    plain = build(kinds).module.eval()
    plain.load_state_dict(spec.merged(backbone), strict=True)
    torch.testing.assert_close(plain(images), backbone.module(images), rtol=1e-5, atol=1e-5)


def test_adapters_reach_attention():
    torch.manual_seed(0)
    spec = SPECS["lora"]
    attention = nn.MultiheadAttention(32, 4, batch_first=True)
    head = nn.Linear(32, 2)
    backbone = Backbone(module=nn.ModuleList([attention, head]), stages={"a": attention}, head=head, num_features=32)
    backbone = spec.prepare(backbone, spec.options(rank=2))
    assert {key.rpartition("parametrizations.")[2] for key in backbone.adapters} == {
        "in_proj_weight.0.down", "in_proj_weight.0.up", "weight.0.down", "weight.0.up",
    }  # fmt: skip
    tokens = torch.randn(3, 5, 32)
    attention.eval()
    untouched = attention(tokens, tokens, tokens)[0]
    weights = {
        "0.in_proj_weight": attention.parametrizations.in_proj_weight,
        "0.out_proj.weight": attention.out_proj.parametrizations.weight,
    }
    expected = {}
    with torch.no_grad():
        for name, parts in weights.items():
            parts[0].down.normal_(std=0.3)
            parts[0].up.normal_(std=0.3)
            expected[name] = parts.original + spec.options().alpha / 2 * parts[0].up @ parts[0].down
    state = spec.merged(backbone)
    assert set(state) == {
        *(f"0.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")), "1.weight", "1.bias",
    }  # fmt: skip
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-5)
    plain = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    plain.load_state_dict(
        {name.removeprefix("0."): value for name, value in state.items() if name.startswith("0.")}, strict=True
    )
    for gradients in (True, False):  # without, torch takes another way through the plain layer
        with torch.set_grad_enabled(gradients):
            learned = attention(tokens, tokens, tokens)[0]
            torch.testing.assert_close(plain(tokens, tokens, tokens)[0], learned, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(learned, untouched, rtol=1e-2, atol=1e-2)


def test_l2_sp_pulls_what_learns_to_its_start_and_new_weights_to_zero():
    spec = SPECS["l2-sp"]
    options = spec.options(alpha=0.5, beta=0.2)
    backbone = build(["biased", "batch norm"])
    start = {k: p.detach().clone() for k, p in backbone.module.named_parameters() if not k.startswith("head")}
    apply_plan(backbone, FreezePlan(lr={"s1": 1.0}))
    with torch.no_grad():
        for parameter in backbone.module.parameters():
            parameter.add_(1.0)
    learning = [p for k, p in backbone.module.named_parameters() if k.startswith("s1")]
    head = backbone.head[2].weight
    expected = 0.25 * sum(p.numel() for p in learning) + 0.1 * float(head.detach().square().sum())
    loss = spec.penalty(backbone, start, options)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(torch.allclose(p.grad, torch.full_like(p, 0.5)) for p in learning)
    assert torch.allclose(head.grad, 0.2 * head)
    assert all(p.grad is None for p in backbone.stages["s0"].parameters())
    assert backbone.head[2].bias.grad is None


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_another_memory_order_in_mid_run_changes_no_value(optimizer):
    def train(*, moved):
        torch.manual_seed(0)
        backbone = build(["biased", "biased"])
        optim = build_optimizer(backbone, OptimConfig(optimizer=optimizer, learning_rate=0.01))
        for count in range(4):
            if moved and count == 2:
                backbone.module.to(memory_format=torch.channels_last)
                follow_memory_order(optim)
            for group in optim.param_groups:
                group["lr"] = 0.01
            step(backbone, optim, SPECS["full"], None, {})
        return backbone.module.state_dict()

    still, moved = train(moved=False), train(moved=True)
    for key, tensor in still.items():
        torch.testing.assert_close(moved[key], tensor, rtol=1e-4, atol=1e-5)


@pytest.fixture
def watched(monkeypatch):
    """What the loop did in each epoch: its plan, the tensors before it, those before validation, and the preset."""
    epochs = []
    steps, validate = loop._steps, loop._validate

    def state(training):
        return {key: tensor.clone() for key, tensor in training.backbone.module.state_dict().items()}

    def watch_steps(training, plan, epoch, totals, keeper):
        epochs.append({"plan": plan, "before": state(training), "preset": training.source.preset})
        yield from steps(training, plan, epoch, totals, keeper)
        epochs[-1]["learned"] = state(training)
        epochs[-1]["rates"] = {group["stage"]: group["lr"] for group in training.optimizer.param_groups}

    def watch_validate(training):
        epochs[-1]["after"] = state(training)
        epochs[-1]["training"] = training
        return validate(training)

    monkeypatch.setattr(loop, "_steps", watch_steps)
    monkeypatch.setattr(loop, "_validate", watch_validate)
    return epochs


TINY = {"stem": ("conv1", "bn1"), "middle": ("conv2", "bn2"), "last": ("conv3",)}


@pytest.mark.parametrize("name", SPECS)
def test_a_run_follows_the_strategy_epoch_by_epoch(tiny_catalog, photos, tmp_path, watched, name):
    """In the whole engine, cache and all: the history tells what happened, and the result is a plain network."""
    stats = [] if name == "head-only" else ["freezing.options.norm_stats=recalibrated"]
    wanted = (f"data.path={photos}", "run.epochs=5", f"freezing.strategy={name}", *stats, "optim.optimizer=sgd",
              "optim.schedule=constant", "optim.learning_rate=0.01", "run.plan=reference")  # fmt: skip
    events = run(tiny_catalog, tmp_path, *wanted)
    assert events[-1].event == "RunFinished", events[-1]
    started = [event for event in events if event.event == "EpochStarted"]
    assert len(watched) == len(started) == 5
    for epoch, event in zip(watched, started, strict=True):
        plan = epoch["plan"]
        assert {stage.name: stage.factor for stage in event.stages if stage.factor} == {**plan.lr, "head": 1.0}
        learning = {stage.name for stage in event.stages if stage.trainable_params}
        assert set(epoch["rates"]) == learning
        assert all(epoch["rates"][stage] == pytest.approx(0.01 * {**plan.lr, "head": 1.0}[stage]) for stage in learning)
        for stage, modules in TINY.items():
            changed = {
                key for key, tensor in epoch["after"].items()
                if key.split(".")[0] in modules and not torch.equal(tensor, epoch["before"][key])
            }  # fmt: skip
            assert bool(changed) == (plan.factor(stage) > 0.0), (stage, changed)
            allowed = {key for key in changed if may_change(plan, stage, "batch norm", key.partition(".")[2])}
            if plan.within != "norm":
                assert changed == allowed
    folder = Path(events[0].folder)
    build_tiny = tiny_catalog.backbones["test/tiny"].build
    build_tiny(2).module.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    model = load_model(folder, tiny_catalog)
    images = torch.randn(3, 3, 32, 32)
    if events[-1].best_epoch == 4:
        trained = watched[-1]["training"].backbone.module.eval()
        torch.testing.assert_close(model.network.suffix(model.network.prefix(images)), trained(images), rtol=1e-4, atol=1e-4)


def test_recalibrated_statistics_are_those_of_the_training_images(tiny_catalog, photos, tmp_path, watched):
    """Once an epoch, by the weights as they are then, in learning stages alone, and back to training afterwards."""
    run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=last-stages", "run.batch_size=64",
        "freezing.options.norm_stats=recalibrated", "augment.preset=none", "optim.learning_rate=0.01",
        "run.plan=reference")  # fmt: skip
    training = watched[-1]["training"]
    net = training.backbone.module
    for epoch in watched:
        assert torch.equal(epoch["after"]["bn1.running_mean"], epoch["before"]["bn1.running_mean"])
        assert not torch.equal(epoch["after"]["bn2.running_mean"], epoch["learned"]["bn2.running_mean"])
        for key, tensor in epoch["after"].items():
            if not key.startswith("bn2."):
                assert torch.equal(tensor, epoch["learned"][key]), key
    ((x, _),) = training.cut.batches([training.train_rows], None)  # one batch holds all of them
    with torch.no_grad():
        entering = net.conv2(x)
    torch.testing.assert_close(watched[-1]["after"]["bn2.running_mean"], entering.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(watched[-1]["after"]["bn2.running_var"], entering.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert net.bn2.momentum == 0.1
    assert net.bn2.training
    assert not net.bn1.training


def test_images_are_varied_only_while_stages_learn(tiny_catalog, photos, tmp_path, watched):
    run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=4", "freezing.strategy=lp-ft", "run.plan=reference")
    assert [epoch["preset"] for epoch in watched] == ["none", "none", "light", "light"]


def test_patience_begins_when_all_learns_that_will_learn(tiny_catalog, photos, tmp_path, watched, monkeypatch):
    monkeypatch.setattr(loop, "_is_better", lambda metrics, best: not best)  # only the first epoch is ever the best
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=12", "freezing.strategy=lp-ft", "run.patience=2",
                 "freezing.options.probe_share=0.5", "run.plan=reference")  # fmt: skip
    assert [epoch["plan"].learns_stages for epoch in watched] == [False] * 6 + [True] * 2
    assert any(event.event == "Note" and "Stopped early" in event.text for event in events)


def test_a_stage_that_learns_again_starts_afresh(gradual_catalog, photos, tmp_path, watched):
    """The optimiser remembers nothing of a stage that was frozen in between."""
    sizes = []
    real = loop.adopt

    def spy(training, plan):
        result = real(training, plan)
        sizes.append(len(training.optimizer.state))
        return result

    loop.adopt, kept = spy, loop.adopt
    try:
        run(gradual_catalog, tmp_path, f"data.path={photos}", "run.epochs=4", "freezing.strategy=freezing/thaw",
            "run.plan=reference")  # fmt: skip
    finally:
        loop.adopt = kept
    assert sizes == [0, 2, 2, 2]  # the head's weight and bias; the stem's, learned in epochs 1 and 3, are gone at once
