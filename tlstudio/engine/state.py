"""What a checkpoint keeps of a run that trains, and how a run goes on from it: at any optimiser step, to the last bit.

Order and variation of the images need nothing, since every draw is a function of the seed and of where it is used. All here
loads with ``weights_only=True``: tensors, numbers, strings, and containers of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from tlstudio.engine.freeze import batch_norms
from tlstudio.engine.task import Totals
from tlstudio.engine.training import Best, Training, library_state

State = Mapping[str, Any]


def training_state(run: Training) -> dict[str, Any]:
    """All that `restore_training` needs; to be taken at the end of an optimiser step. In several processes, all take it."""
    return {
        "model": run.backbone.module.state_dict(),
        "optimizer": _optimizer_state(run),
        "scaler": run.scaler.state_dict(),
        "step": run.step,
        "epoch": len(run.history),
        "batch": run.batch,
        "parts": run.parts,
        "totals": _sums(run),
        "history": [dict(metrics) for metrics in run.history],
        "patience": run.patience.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "best": {
            "epoch": run.best.epoch,
            "step": run.best.step,
            "metrics": dict(run.best.metrics),
            "weights": differing(run.best.weights, library_state(run.backbone, run.recipe.strategy)),
        },
        "start": differing(run.start, dict(run.backbone.module.named_parameters())),
    }


def most_bytes(run: Training, learning: Iterable[str]) -> int:
    """Bytes that `training_state` has at most.

    Args:
        learning: names of the stages that learn at some time, beside the head.
    """
    parts = [run.backbone.head, *(run.backbone.stages[name] for name in learning)]
    learned: int = sum(p.nbytes for part in parts for p in part.parameters())
    copies = 3 + (run.average is not None)  # the best weights, and two numbers for each that the optimiser remembers at most
    others = [*run.backbone.module.state_dict().values(), *run.start.values()]
    return copies * learned + int(sum(tensor.nbytes for tensor in others))


@torch.no_grad()
def restore_training(run: Training, state: State) -> None:
    """Put a new `Training` of the same recipe where the state was taken. The cut is restored by itself (`Cut.restore`)."""
    device = run.place.device
    run.backbone.module.load_state_dict(state["model"], strict=True)
    _restore_optimizer(run, state["optimizer"])
    run.scaler.load_state_dict(state["scaler"])
    run.step, run.batch, run.parts = int(state["step"]), int(state["batch"]), int(state["parts"])
    run.history = [dict(metrics) for metrics in state["history"]]
    run.patience.load_state_dict(state["patience"])
    if run.average is not None and state["average"] is not None:
        run.average.load_state_dict(state["average"])
    best = state["best"]
    live = library_state(run.backbone, run.recipe.strategy) if best["epoch"] >= 0 else {}
    library = {name: tensor.detach().cpu() for name, tensor in live.items()}
    run.best = Best(best["epoch"], best["step"], dict(best["metrics"]), completed(best["weights"], library))
    parameters = dict(run.backbone.module.named_parameters())
    run.start = {name: tensor.to(device) for name, tensor in completed(state["start"], parameters).items()}
    if state["totals"] is not None:
        run.totals = Totals(device)
        for total, saved in zip(run.totals.sums, state["totals"], strict=True):
            if run.world.first:  # it has what all processes have counted
                total.copy_(saved)


def differing(tensors: Mapping[str, Tensor], live: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors of which those are left out that equal the live ones of the same name: most of a network may be frozen."""
    same = [name for name, tensor in tensors.items() if name in live and _equal(tensor, live[name])]
    left = set(same)
    return {"same": same, "other": {name: tensor for name, tensor in tensors.items() if name not in left},
            "order": list(tensors)}  # fmt: skip


def completed(record: State, live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `differing` was given, as copies."""
    same = set(record["same"])
    return {name: (live[name] if name in same else record["other"][name]).detach().clone() for name in record["order"]}


@torch.no_grad()
def is_finite(run: Training) -> bool:
    """Whether every loss so far, every weight that learns and every statistic is a number; waits for the device."""
    network = run.backbone.module
    tensors: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    tensors += [buffer for norm in batch_norms(network) for buffer in norm.buffers()]
    return bool(run.finite) and all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other.detach().to(one.device))


def _sums(run: Training) -> list[Tensor] | None:
    if run.totals is None:
        return None
    sums = [total.clone() for total in run.totals.sums]
    run.world.add(*sums)
    return [total.cpu() for total in sums]


def _optimizer_state(run: Training) -> dict[str, dict[str, Any]]:
    """What the optimiser remembers of each parameter, by the parameter's name. Its groups follow from the configuration."""
    names = {id(parameter): name for name, parameter in run.backbone.module.named_parameters()}
    return {names[id(parameter)]: dict(values) for parameter, values in run.optimizer.state.items()}


def _restore_optimizer(run: Training, state: Mapping[str, State]) -> None:
    fused = {id(p) for group in run.groups if group.get("fused") for p in group["params"]}
    for name, parameter in run.backbone.module.named_parameters():
        if name not in state:
            continue
        own = run.optimizer.state[parameter]
        for key, value in state[name].items():
            counts = (
                isinstance(value, Tensor) and value.ndim == 0 and id(parameter) not in fused
            )  # such as the step: on the CPU
            own[key] = value.to(parameter.device) if isinstance(value, Tensor) and not counts else value
