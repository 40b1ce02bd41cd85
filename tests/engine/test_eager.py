"""Torch's optimisers compute the same without its compiler, and do not import it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tlstudio.engine.eager import eager

KINDS = [
    (torch.optim.AdamW, {"fused": True}),
    (torch.optim.AdamW, {}),
    (torch.optim.Adam, {}),
    (torch.optim.SGD, {"momentum": 0.9}),
    (torch.optim.RMSprop, {"momentum": 0.9}),
    (torch.optim.NAdam, {}),
    (torch.optim.RAdam, {}),
    (torch.optim.Adafactor, {}),
]

_USE = """
import sys, torch
from tlstudio.api import OptimConfig
from tlstudio.engine.average import WeightAverage
from tlstudio.engine.eager import eager
from tlstudio.engine.muon import MuonAndAdamW
from tlstudio.engine.optim import take_step
layer = torch.nn.Linear(4, 2)
made = [eager(kind)(layer.parameters(), lr=0.1) for kind in (
    torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, torch.optim.NAdam, torch.optim.RAdam,
    torch.optim.Adafactor)]
groups = [{"params": [p], "matrix": p.ndim == 2} for p in layer.parameters()]
average = WeightAverage(layer, 0.9)
average.follow()
for optimizer in [*made, eager(MuonAndAdamW)(groups, OptimConfig())]:
    optimizer.zero_grad()
    layer(torch.ones(3, 4)).sum().backward()
    take_step(optimizer, torch.amp.GradScaler("cpu", enabled=False), scale=0.5, clip=1.0)
    average.update()
    optimizer.load_state_dict(optimizer.state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def trained(kind, options, *, again=False):
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 3)
    groups = [{"params": [layer.weight], "weight_decay": 0.1}, {"params": [layer.bias]}]
    optimizer = kind(groups, lr=0.1, **options)
    for step in range(6):
        if again and step == 3:
            state = optimizer.state_dict()
            optimizer = kind(groups, lr=0.1, **options)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        layer(torch.ones(2, 5)).square().sum().backward()
        optimizer.step()
    return torch.cat([layer.weight.detach().flatten(), layer.bias.detach()]), optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("again", [False, True], ids=["at once", "resumed"])
def test_the_values_are_those_of_torch(kind, options, again):
    expected, _ = trained(kind, options)
    got, optimizer = trained(eager(kind), options, again=again)
    assert torch.equal(got, expected)
    assert isinstance(optimizer, kind)


def test_a_step_leaves_gradients_as_they_were_switched():
    layer = torch.nn.Linear(2, 2)
    optimizer = eager(torch.optim.SGD)(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert torch.is_grad_enabled()
    assert all(parameter.requires_grad for parameter in layer.parameters())


def test_the_compiler_is_not_imported():
    done = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
