"""The planner takes the fastest way that is right, within its time, obeys what is forced, and remembers."""

from __future__ import annotations

import json

import pytest
import torch
from networks import lived_in
from torch import nn

from tlstudio.api.config import RunConfig
from tlstudio.api.freezing import FreezePlan
from tlstudio.engine import compute, planner
from tlstudio.engine.compute import ComputePlan, Prefix, Step
from tlstudio.engine.device import choose_place
from tlstudio.engine.freeze import apply_plan
from tlstudio.engine.planner import Job, plan_for
from tlstudio.engine.split import SplitModel

BF16 = torch.bfloat16


@pytest.fixture
def backbone(tiny):
    torch.manual_seed(0)
    backbone = tiny.build(3)
    lived_in(backbone.module)
    apply_plan(backbone, FreezePlan(lr={"stem": 0.0, "middle": 0.0, "last": 1.0}))
    return backbone


@pytest.fixture
def machine(monkeypatch):
    """A machine on which each way takes so many seconds for an image, whatever it really computes."""

    class Machine:
        def __init__(self):
            self.now = 0.0
            self.runs = []
            self.seconds = {"packed float32": 0.001, "float32 channels last": 0.001}
            self.otherwise = 0.002

        def clock(self):
            return self.now

        def spend(self, name, images):
            self.runs.append(name)
            self.now += images * self.seconds.get(name, self.otherwise)

    machine = Machine()
    built = planner.build_prefix

    def build(stages, x, way):
        network = built(stages, x, way)
        network.register_forward_pre_hook(lambda _, args: machine.spend(way.name, len(args[0])))
        return network

    def enter(step, x):
        machine.spend(step.name, len(x))
        return x.float() if step.dtype is None else x

    monkeypatch.setattr(planner, "build_prefix", build)
    monkeypatch.setattr(Step, "enter", enter)
    monkeypatch.setattr(planner, "is_packed", lambda network: True)
    monkeypatch.setattr(planner, "available", lambda: True)
    monkeypatch.setattr(planner, "native_bfloat16", lambda: False)
    monkeypatch.setattr(planner._Measure, "_estimate", lambda self, action: 0.002)
    return machine


def plan(machine, backbone, folder, *, images=100_000, frozen=2, **settings):
    run = RunConfig(device="cpu", **settings)
    job = Job(network="tiny", frozen=frozen, frozen_images=images, learned_images=images)
    x = torch.randn(32, 3, 32, 32)
    return plan_for(run, backbone, choose_place(run), job, x, folder=folder, clock=machine.clock)


def test_the_fastest_way_is_taken_and_told(machine, backbone, tmp_path):
    found = plan(machine, backbone, tmp_path)
    assert (found.prefix, found.step) == (Prefix(path="packed"), Step())
    assert found.measured["frozen packed float32"] == pytest.approx(1000)
    assert found.sentence(frozen=True) == (
        "Frozen layers compute in float32, with packed convolutions: 1000 images/s here, 2.0 times the plain way. "
        "What learns computes in float32: 1000 images/s here, 2.0 times the plain way."
    )
    assert "Frozen" not in found.sentence(frozen=False)
    machine.seconds = {"plain float32 channels first": 0.0001, "float32 channels first": 0.0001}
    found = plan(machine, backbone, tmp_path, plan="measure")
    assert (found.prefix, found.step) == (compute.REFERENCE_PREFIX, compute.REFERENCE_STEP)


@pytest.mark.parametrize(("gain", "dtype"), [(1.1, None), (1.3, BF16)])
def test_sixteen_bits_must_be_clearly_faster(machine, backbone, tmp_path, monkeypatch, gain, dtype):
    monkeypatch.setattr(planner, "native_bfloat16", lambda: True)
    for name in ("packed float32", "float32 channels last"):
        machine.seconds = {**machine.seconds, name.replace("float32", "bfloat16"): 0.001 / gain}
    found = plan(machine, backbone, tmp_path)
    assert found.prefix.dtype is dtype
    assert found.step.dtype is dtype


def test_a_kept_plan_is_used_and_one_for_other_settings_is_not(machine, backbone, tmp_path):
    first = plan(machine, backbone, tmp_path)
    machine.runs.clear()
    machine.seconds = {}
    assert plan(machine, backbone, tmp_path) == first
    assert machine.runs == []
    plan(machine, backbone, tmp_path, channels_last="on")
    assert machine.runs


def test_a_part_that_was_not_measured_is_measured_when_it_pays(machine, backbone, tmp_path):
    run = RunConfig(device="cpu")
    x = torch.randn(32, 3, 32, 32)
    for frozen_images in (100, 100_000):
        job = Job(network="tiny", frozen=2, frozen_images=frozen_images, learned_images=100_000)
        found = plan_for(run, backbone, choose_place(run), job, x, folder=tmp_path, clock=machine.clock)
        assert any(name.startswith("frozen") for name in found.measured) == (frozen_images > 100)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"null", b'{"version": 1}', b"\xff\xfe", b'{"version": 1, "prefix": 1, "step": 2, "measured": []}'],
)
def test_a_damaged_file_is_ignored_and_replaced(machine, backbone, tmp_path, damage):
    first = plan(machine, backbone, tmp_path)
    (file,) = tmp_path.glob("*.json")
    whole = json.loads(file.read_bytes())
    file.write_bytes(damage)
    assert plan(machine, backbone, tmp_path) == first
    assert json.loads(file.read_bytes()) == whole


def test_small_jobs_are_not_measured(machine, backbone, tmp_path):
    found = plan(machine, backbone, tmp_path, images=400)
    assert (found.prefix, found.step, found.measured) == (Prefix(path="packed"), Step(), {})
    assert machine.now == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0.002, 0.02, 0.2, 2.0])
def test_measuring_ends_after_two_seconds(machine, backbone, tmp_path, monkeypatch, seconds):
    machine.seconds, machine.otherwise = {}, seconds
    monkeypatch.setattr(planner._Measure, "_estimate", lambda self, action: seconds)
    plan(machine, backbone, tmp_path, images=10_000_000)
    assert machine.now <= 2.0 + 1e-6


def test_a_slow_way_leaves_no_time_for_others(machine, backbone, tmp_path):
    machine.seconds = {"packed float32": 0.05}
    found = plan(machine, backbone, tmp_path)
    assert "plain float32 channels first" not in machine.runs
    assert found.prefix.path == "packed"


def test_the_reference_is_plain_and_not_measured(machine, backbone, tmp_path):
    found = plan(machine, backbone, tmp_path, plan="reference")
    assert found == ComputePlan.reference()
    assert machine.runs == []


@pytest.mark.parametrize("mode", ["auto", "reference"])
@pytest.mark.parametrize(
    ("settings", "path", "dtype", "last"),
    [
        ({"frozen_path": "plain"}, "plain", None, None),
        ({"frozen_path": "folded"}, "folded", None, None),
        ({"frozen_path": "compiled"}, "compiled", None, None),
        ({"frozen_path": "packed", "channels_last": "on"}, "packed", None, True),
        ({"frozen_path": "folded", "channels_last": "off"}, "folded", None, False),
        ({"frozen_path": "folded", "precision": "bfloat16"}, "folded", BF16, None),
        ({"frozen_path": "folded", "precision": "float32"}, "folded", None, None),
    ],
    ids=str,
)
def test_settings_force_everything(machine, backbone, tmp_path, monkeypatch, mode, settings, path, dtype, last):
    monkeypatch.setattr(planner, "native_bfloat16", lambda: True)
    found = plan(machine, backbone, tmp_path, plan=mode, images=0, **settings)
    assert found.prefix.path == path
    assert (found.prefix.dtype, found.step.dtype) == (dtype, dtype)
    if last is not None:
        assert (found.prefix.channels_last, found.step.channels_last) == (last, last)


def test_depthwise_and_compiling_are_forced(machine, catalog, tmp_path):
    backbone = catalog.backbones["timm/tf_efficientnet_lite0"].build(2)
    for depthwise, split in (("split", True), ("native", False)):
        found = plan(machine, backbone, tmp_path, images=0, frozen=0, depthwise=depthwise, compile=True)
        assert (found.step.split_depthwise, found.compiled) == (split, True)


def test_measuring_changes_nothing_in_the_network(machine, backbone, tmp_path):
    before = {key: value.clone() for key, value in backbone.module.state_dict().items()}
    modes = [module.training for module in backbone.module.modules()]
    state = torch.get_rng_state()
    x = torch.randn(32, 3, 32, 32)
    torch.set_rng_state(state)
    run = RunConfig(device="cpu")
    job = Job(network="tiny", frozen=1, frozen_images=10**6, learned_images=10**6)
    plan_for(run, backbone, choose_place(run), job, x, folder=tmp_path, clock=machine.clock)
    assert machine.runs
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in backbone.module.modules()] == modes
    assert all(torch.equal(before[key], value) for key, value in backbone.module.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.module.parameters())


@pytest.mark.parametrize("frozen", [0, 2, 3])
@pytest.mark.parametrize("step", [Step(), Step(channels_last=False), Step(dtype=BF16), Step(split_depthwise=True)], ids=str)
@pytest.mark.parametrize("path", ["plain", "folded", "packed"])
def test_every_plan_gives_the_logits_of_the_network(backbone, frozen, step, path):
    backbone.module.eval()
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        expected = backbone.module(x)
    dtype = step.dtype
    model = SplitModel(backbone, frozen, choose_place(RunConfig(device="cpu")),
                       ComputePlan(prefix=Prefix(path=path, dtype=dtype), step=step))  # fmt: skip
    got = model.suffix(model.prefix(x))
    assert got.requires_grad
    tolerance = 1e-4 if dtype is None else 0.05
    assert torch.linalg.vector_norm(got.float() - expected) <= tolerance * torch.linalg.vector_norm(expected)


def test_a_way_that_learns_wrongly_is_left_aside(backbone, monkeypatch):
    conv = nn.Conv2d(12, 12, 3, padding=1, groups=12)
    stage = nn.Sequential(conv, backbone.stages["last"])
    stages = {**backbone.stages, "last": stage}
    backbone = type(backbone)(module=nn.Sequential(*stages.values(), backbone.head), stages=stages,
                              head=backbone.head, num_features=16)  # fmt: skip
    plan = ComputePlan(prefix=Prefix(path="folded"), step=Step(split_depthwise=True))
    place = choose_place(RunConfig(device="cpu"))
    model = SplitModel(backbone, 2, place, plan)
    model.verify(torch.randn(2, 3, 32, 32))
    assert model.plan == plan

    from tlstudio.engine import depthwise

    monkeypatch.setattr(depthwise, "_of_weight", lambda gradient, x, weight, *_: torch.zeros_like(weight))
    model = SplitModel(backbone, 2, place, plan)
    model.verify(torch.randn(2, 3, 32, 32))
    assert model.plan.step == Step()


def test_wrong_sixteen_bits_give_way_to_exact_values_of_the_same_kind(backbone, monkeypatch):
    monkeypatch.setattr(compute, "same", lambda got, expected: False)
    x = torch.randn(2, 3, 32, 32)
    stages = nn.Sequential(*backbone.stages.values())
    fast = compute.build_prefix(stages, x, Prefix(path="packed", dtype=BF16))
    with torch.no_grad(), torch.autocast("cpu", dtype=BF16):
        got = fast(x)
    with torch.no_grad():
        torch.testing.assert_close(got, stages.eval()(x).to(BF16))
