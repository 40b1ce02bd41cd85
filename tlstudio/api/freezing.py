"""Freezing strategies: pure functions from what is known to a plan, epoch by epoch. No torch, no hidden state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tlstudio.api.dataset import Options

if TYPE_CHECKING:
    from torch import Tensor

    from tlstudio.api.backbone import Backbone, StateDict


@dataclass(frozen=True, kw_only=True)
class StageInfo:
    """A stage as a strategy sees it: its name, its number of parameters, and how many of these are of one kind.

    Args:
        name: unique within the backbone.
        params: all of them.
        norm_params: in normalisation layers.
        bias_params: biases, those of normalisation layers too.
        adapter_params: added by the strategy's own ``prepare``.
    """

    name: str
    params: int
    norm_params: int = 0
    bias_params: int = 0
    adapter_params: int = 0


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """What a strategy may look at.

    Args:
        stages: in forward order, without the head.
        epoch: counted from 0.
        epochs: the budget.
        options: the strategy's own, already validated.
        pretrained: whether the backbone starts from trained weights.
        history: validation metrics of the epochs before this one, oldest first; empty where someone looks ahead, as the window
            does before a run.
    """

    stages: tuple[StageInfo, ...]
    epoch: int
    epochs: int
    options: Options
    pretrained: bool = True
    history: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class FreezePlan:
    """What may learn in one epoch. The head always learns, at factor 1.

    Args:
        lr: stage -> factor on the learning rate; 0 or absent means frozen. Frozen stages run in ``eval`` mode: after any step
            their parameters and buffers are bit-equal.
        within: what inside a learning stage may change: everything, only normalisation layers, only biases, or only what the
            strategy's ``prepare`` has added.
        norm_stats: whether batch-norm running statistics of learning stages move with every batch (``update``), stay
            (``fixed``), or are taken anew from training images after each epoch (``recalibrated``; Wu and Johnson 2021,
            Rethinking "batch" in BatchNorm).
    """

    lr: Mapping[str, float] = field(default_factory=dict)
    within: Literal["all", "norm", "bias", "adapter"] = "all"
    norm_stats: Literal["fixed", "update", "recalibrated"] = "update"

    @property
    def learns_stages(self) -> bool:
        """Whether anything but the head learns."""
        return any(factor > 0.0 for factor in self.lr.values())

    def factor(self, stage: str) -> float:
        """Learning-rate factor of a stage; 0 = frozen."""
        return float(self.lr.get(stage, 0.0))

    def frozen_prefix(self, stages: tuple[str, ...]) -> int:
        """How many leading stages are frozen: their output for an image never changes, so it can be cached."""
        for index, stage in enumerate(stages):
            if self.factor(stage) != 0.0:
                return index
        return len(stages)


@dataclass(frozen=True, kw_only=True)
class FreezingSpec:
    """What a plugin registers for a freezing strategy.

    Args:
        name: unique within the plugin, lower case; users see ``plugin/name``.
        title: in plain words, the field's term in brackets, such as "Train only the head (linear probe)".
        about: one plain sentence: when to use it.
        plan: ``plan(context) -> FreezePlan``, a pure function.
        options: a subclass of `Options`.
        learning_rate: what suits the head by default with AdamW; used where the user sets none.
        source: paper and year of the method, may be empty.
        prepare: ``prepare(backbone, options) -> Backbone``, called once after the weights are loaded; may add parameters
            (adapters), which the returned backbone names as its ``adapters``.
        merged: ``merged(backbone) -> state dict`` of the network as its library builds it; needed where ``prepare`` adds to
            or renames what the library's network has.
        penalty: ``penalty(backbone, start, options) -> scalar tensor`` added to the loss of every step; ``start`` holds what
            the parameters were at the start by their names in ``backbone.module``; those that came from no weights are not in
            it.
    """

    name: str
    title: str
    about: str
    plan: Callable[[PlanContext], FreezePlan]
    options: type[Options] = Options
    learning_rate: float = 1e-3
    source: str = ""
    prepare: Callable[[Backbone, Options], Backbone] | None = None
    merged: Callable[[Backbone], StateDict] | None = None
    penalty: Callable[[Backbone, Mapping[str, Tensor], Options], Tensor] | None = None
