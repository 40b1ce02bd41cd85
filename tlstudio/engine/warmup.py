"""Pays torch's first-use costs before a run: imports, kernels and thread pools that only the first step would load."""

from __future__ import annotations

import contextlib

import torch

import tlstudio.engine.session  # noqa: F401 - what a run needs on top of torch
from tlstudio.api.backbone import BackboneSpec
from tlstudio.engine.eager import eager


def warm_up(spec: BackboneSpec | None = None) -> None:
    """Take one tiny optimiser step, and build a network (on no memory) so that its library is imported."""
    layer = torch.nn.Linear(4, 2)
    optimizer = eager(torch.optim.AdamW)(layer.parameters())
    loss = torch.nn.functional.cross_entropy(layer(torch.ones(2, 4)), torch.zeros(2, dtype=torch.int64))
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    if spec is not None:
        with contextlib.suppress(Exception), torch.device("meta"):
            spec.build(2)
