"""Torch's optimisers without torch's compiler, which their first use would import: 1.5 s and more, for nothing."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

import torch

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)
_METHODS = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def eager(kind: type[_Kind]) -> type[_Kind]:
    """A class that computes what ``kind``, an optimiser of torch, does.

    Torch wraps these methods so that its compiler leaves them alone, and imports the compiler in order to tell it. The wrapped
    functions are used here as they are; where a version of torch wraps none, they are simply torch's.
    """
    own: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS}
    own["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {"__module__": __name__, "__doc__": kind.__doc__, **own})
