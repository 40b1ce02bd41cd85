"""What is called frozen stays bit-equal, whatever the strategy, the optimiser and the step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training import OPTIMIZERS

from tlstudio.api import FreezePlan, FreezingSpec, OptimConfig, Options, StageInfo
from tlstudio.engine.freeze import apply_plan, make_plan, stage_infos, states
from tlstudio.engine.optim import build_optimizer, set_learning_rates

factors = st.sampled_from([0.0, 0.0, 0.1, 1.0])


@given(
    lr=st.fixed_dictionaries({"stem": factors, "middle": factors, "last": factors}),
    within=st.sampled_from(["all", "norm", "bias"]),
    norm_stats=st.sampled_from(["fixed", "update"]),
    optimizer=st.sampled_from(OPTIMIZERS),
)
def test_frozen_tensors_are_bit_equal_after_any_step(tiny, lr, within, norm_stats, optimizer):
    torch.manual_seed(0)
    backbone = tiny.build(3)
    plan = FreezePlan(lr=lr, within=within, norm_stats=norm_stats)
    apply_plan(backbone, plan)
    optim = build_optimizer(backbone, OptimConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.1))
    before = {name: tensor.clone() for name, tensor in backbone.module.state_dict().items()}
    for _ in range(2):
        set_learning_rates(optim, plan, 0.1)
        loss = torch.nn.functional.cross_entropy(backbone.module(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0]))
        optim.zero_grad(set_to_none=True)
        loss.backward()
        optim.step()
    changed = {name for name, tensor in backbone.module.state_dict().items() if not torch.equal(tensor, before[name])}
    names = {"stem": ("conv1", "bn1"), "middle": ("conv2", "bn2"), "last": ("conv3",)}
    for stage, modules in names.items():
        touched = {name for name in changed if name.split(".")[0] in modules}
        if lr[stage] == 0.0:
            assert not touched, f"{stage} is frozen but changed: {touched}"
            continue
        if within == "bias":
            assert all(name.endswith("bias") or "running" in name or "tracked" in name for name in touched)
        if within == "norm":
            assert all(name.startswith("bn") for name in touched)
        if norm_stats == "fixed":
            assert not any("running" in name for name in touched)
    assert "fc.weight" in changed


@given(lr=st.fixed_dictionaries({"stem": factors, "middle": factors, "last": factors}))
def test_every_group_has_the_rate_that_the_plan_shows(tiny, lr):
    backbone = tiny.build(2)
    plan = FreezePlan(lr=lr)
    optim = build_optimizer(backbone, OptimConfig(learning_rate=0.5))
    set_learning_rates(optim, plan, 0.5)
    shown = {state.name: state.factor for state in states(plan, stage_infos(backbone))}
    assert {group["stage"]: group["lr"] for group in optim.param_groups} == {name: 0.5 * f for name, f in shown.items()}
    counted = sum(parameter.numel() for group in optim.param_groups for parameter in group["params"])
    assert counted == sum(parameter.numel() for parameter in backbone.module.parameters())


def test_weight_decay_spares_biases_and_norms(tiny):
    backbone = tiny.build(2)
    optim = build_optimizer(backbone, OptimConfig(learning_rate=0.5, weight_decay=0.3))
    decayed = {id(p) for group in optim.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in backbone.module.named_parameters() if id(parameter) in decayed}
    assert names == {"conv1.weight", "conv2.weight", "conv3.weight", "fc.weight"}


@pytest.mark.parametrize(("factor", "message"), [(-1.0, "out of range"), (float("nan"), "out of range")])
def test_a_strategy_with_impossible_factors_is_named(factor, message):
    spec = FreezingSpec(name="odd", title="", about="", plan=lambda _: FreezePlan(lr={"stem": factor}))
    with pytest.raises(ValueError, match=message):
        make_plan(spec, Options(), (StageInfo(name="stem", params=1),), epoch=0, epochs=1, pretrained=True)


def test_a_strategy_that_plans_for_unknown_stages_is_named():
    spec = FreezingSpec(name="odd", title="", about="", plan=lambda _: FreezePlan(lr={"nowhere": 1.0}))
    with pytest.raises(ValueError, match="nowhere"):
        make_plan(spec, Options(), (StageInfo(name="stem", params=1),), epoch=0, epochs=1, pretrained=True)
