"""Networks put into eval mode for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextlib.contextmanager
def in_eval_mode(*networks: nn.Module) -> Iterator[None]:
    """Every layer of these networks in eval mode; afterwards those that were in train mode are so again."""
    training = {module for network in networks for module in network.modules() if module.training}
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
