"""What has to change in the names of some published files before they fit the networks of today."""

from __future__ import annotations

import re
from collections.abc import Callable

from tlstudio.api import StateDict

Adapt = Callable[[StateDict], StateDict]

_OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def features_only(state: StateDict) -> StateDict:
    """A VGG state dict without its fully connected layers, for a file in which these hold no numbers."""
    return {key: tensor for key, tensor in state.items() if key.startswith("features.")}


def dense_layers(state: StateDict) -> StateDict:
    """DenseNet's layers under the names of today: the files say ``norm.1``, the networks ``norm1``."""
    return {_OLD_DENSE.sub(r"\1\2", key): tensor for key, tensor in state.items()}


def without_auxiliary(state: StateDict) -> StateDict:
    """GoogLeNet or Inception-v3 without auxiliary classifiers, which only training from scratch uses."""
    return {key: tensor for key, tensor in state.items() if not key.startswith(_AUXILIARY)}
