"""The learning rate's way through a run: against torch's own schedulers, and without torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from tlstudio.api import OptimConfig
from tlstudio.engine.schedule import plateaus, schedule_factor

SCHEDULES = ("cosine", "linear", "step", "one_cycle", "plateau", "constant")
STEPS, EACH = 60, 5


def factors(**settings):
    return [schedule_factor(OptimConfig(**settings), step, STEPS, EACH) for step in range(STEPS)]


def of_torch(make, steps, each=1):
    """The rates of a scheduler of torch that is stepped every ``each`` steps, for a rate of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % each == 0:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("settings", "make", "each"),
    [
        ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS), 1),
        ({"schedule": "linear"}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS), 1),
        ({"schedule": "step", "step_epochs": 5, "decay_factor": 0.3}, lambda o: lr_scheduler.StepLR(o, 5, 0.3), EACH),
        ({"schedule": "step"}, lambda o: lr_scheduler.StepLR(o, 4, 0.1), EACH),
        ({"schedule": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1.0), 1),
        ({"schedule": "one_cycle"}, lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=STEPS), 1),
    ],
    ids=["cosine", "linear", "step", "thirds", "constant", "one_cycle"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_schedule_goes_as_torch_s_own(settings, make, each):
    np.testing.assert_allclose(factors(**settings), of_torch(make, STEPS, each), atol=1e-9)


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "one_cycle"])
def test_every_schedule_warms_up_along_a_line(schedule):
    values = factors(schedule=schedule, warmup_steps=4)
    np.testing.assert_allclose(values[:4], [0.2, 0.4, 0.6, 0.8])
    assert values[4] == 1.0
    assert values[4:] == sorted(values[4:], reverse=True)


def test_one_cycle_rises_for_the_steps_of_the_warm_up():
    values = factors(schedule="one_cycle", warmup_steps=9)
    assert np.argmax(values) == 9
    assert values[0] == pytest.approx(1 / 25)
    assert values[-1] < 1e-5


@given(losses=st.lists(st.sampled_from([1.0, 0.99999, 0.99, 0.9, 0.5, 2.0]), max_size=40), patience=st.integers(0, 4))
def test_the_plateau_schedule_follows_from_the_history_alone_as_torch_s_follows_from_its_state(losses, patience):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, eps=0.0)
    for loss in losses:
        scheduler.step(loss)
    config = OptimConfig(schedule="plateau", decay_factor=0.5, plateau_patience=patience)
    history = [{"loss": loss, "accuracy": 0.5} for loss in losses]
    assert schedule_factor(config, 700, 1000, 10, history) == optimizer.param_groups[0]["lr"]


def test_a_loss_that_is_not_a_number_counts_as_no_gain():
    assert plateaus([1.0, float("nan"), float("nan")], patience=1) == 1


@given(
    schedule=st.sampled_from(SCHEDULES), steps=st.integers(1, 300), each=st.integers(1, 40), warmup=st.integers(0, 400),
    step=st.integers(0, 299),
)  # fmt: skip
def test_a_factor_lies_between_nothing_and_the_whole_whatever_the_length_of_the_run(schedule, steps, each, warmup, step):
    config = OptimConfig(schedule=schedule, warmup_steps=warmup)
    assert 0.0 <= schedule_factor(config, min(step, steps - 1), steps, min(each, steps)) <= 1.0


def test_the_window_can_draw_a_schedule_without_torch():
    code = "import sys, tlstudio.engine.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
