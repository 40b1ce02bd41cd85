"""Which settings have an effect beside the others: momentum has none with Adam. Knows names and values, no widgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Value = Callable[[str], Any]

_RULES: Mapping[str, Callable[[Value], bool]] = {
    "optim.momentum": lambda value: value("optim.optimizer") in ("sgd", "rmsprop", "muon"),
    "optim.step_epochs": lambda value: value("optim.schedule") == "step",
    "optim.decay_factor": lambda value: value("optim.schedule") in ("step", "plateau"),
    "optim.plateau_patience": lambda value: value("optim.schedule") == "plateau",
    "augment.magnitude": lambda value: value("augment.policy") == "rand",
    "run.min_delta": lambda value: value("run.patience") != 0,
}


def without_effect(value: Value) -> tuple[str, ...]:
    """The settings that make no difference while the others are as they are.

    Args:
        value: what is entered in a field.
    """
    return tuple(name for name, matters in _RULES.items() if not matters(value))


def depending() -> tuple[str, ...]:
    """The settings that have an effect only beside some values of others."""
    return tuple(_RULES)
