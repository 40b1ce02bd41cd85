"""Muon for weight matrices and AdamW for everything else, as one optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from tlstudio.api.config import OptimConfig
from tlstudio.engine.eager import eager


def is_matrix(module: nn.Module, parameter: nn.Parameter) -> bool:
    """Whether Muon may change a parameter of a stage: a weight that multiplies, not a table of positions or tokens."""
    return parameter.ndim == 2 and not isinstance(module, nn.Embedding)


class MuonAndAdamW(torch.optim.Optimizer):
    """Groups with a true ``matrix`` learn by Muon (Jordan et al. 2024), the others by AdamW.

    Muon's steps are scaled so that rates and weight decay of AdamW suit it (Liu et al. 2025, Muon is scalable for LLM
    training, section 2.2). torch's Muon takes matrices only; a convolution's kernel learns by AdamW.

    Args:
        params: groups, at least one with matrices and one without.
        config: its momentum is Muon's.
    """

    def __init__(self, params: list[dict[str, Any]], config: OptimConfig) -> None:
        matrices, others = ([group for group in params if group["matrix"] is wanted] for wanted in (True, False))
        self._muon = eager(torch.optim.Muon)(matrices, momentum=config.momentum, adjust_lr_fn="match_rms_adamw")
        self._adamw = eager(torch.optim.AdamW)(others)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {})

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Let every parameter that has a gradient learn."""
        for part, matrix in ((self._muon, True), (self._adamw, False)):
            part.state = self.state
            part.param_groups = [group for group in self.param_groups if group["matrix"] is matrix]
            part.step()  # type: ignore[no-untyped-call]
