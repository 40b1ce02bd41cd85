"""A running average of the weights while they learn (EMA): smoother than the last step's, and often the better model.

Polyak and Juditsky 1992; with a decay, as Tarvainen and Valpola 2017 use it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tlstudio.engine.freeze import batch_norms

_LATE = 10.0


class WeightAverage:
    """The average of what learns; what is frozen takes no part.

    Batch-norm statistics that move are averaged as well. In the first steps the average forgets faster, or it would long be
    that of the beginning: its decay is no more than (1 + n) / (10 + n) at step n, as TensorFlow has it.

    Args:
        network: whose weights are averaged.
        decay: what a step keeps of the average.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._updates = 0
        self._learning: dict[str, Tensor] = {}
        self._values: dict[str, Tensor] = {}

    def follow(self) -> None:
        """Average what learns now: what is new begins with its value, what no longer learns is forgotten."""
        moving = {id(buffer) for norm in batch_norms(self._network) if norm.training for buffer in norm.buffers()}
        self._learning = {name: p for name, p in self._network.named_parameters() if p.requires_grad}
        for name, buffer in self._network.named_buffers():
            if id(buffer) in moving and buffer.is_floating_point():
                self._learning[name] = buffer
        kept = self._values
        self._values = {name: kept[name] if name in kept else live.detach().clone() for name, live in self._learning.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are after a step."""
        decay = min(self._decay, (1.0 + self._updates) / (_LATE + self._updates))
        self._updates += 1
        torch._foreach_lerp_(list(self._values.values()), list(self._learning.values()), 1.0 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the average as its weights; statistics that are taken anew inside stay with the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on: tensors by name, and a number."""
        return {"updates": self._updates, "values": dict(self._values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; what has begun to learn since begins with its value, as in `follow`."""
        self._updates = int(state["updates"])
        device = next(self._network.parameters()).device
        self._values = {name: value.to(device, copy=True) for name, value in state["values"].items()}
        self.follow()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._learning.items():
            other = self._values[name]
            kept = tensor.clone()
            tensor.copy_(other)
            other.copy_(kept)
