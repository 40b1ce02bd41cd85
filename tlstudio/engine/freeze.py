"""Applies a freeze plan to a network, and describes it for the stage strip. `plan_states` works without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tlstudio.api.dataset import Options
from tlstudio.api.events import StageState
from tlstudio.api.freezing import FreezePlan, FreezingSpec, PlanContext, StageInfo

if TYPE_CHECKING:
    from torch import nn

    from tlstudio.api.backbone import Backbone
    from tlstudio.registry.catalog import Recipe

HEAD = "head"
_WITHIN, _NORM_STATS = ("all", "norm", "bias", "adapter"), ("fixed", "update", "recalibrated")


def make_plan(
    strategy: FreezingSpec,
    options: Options,
    stages: tuple[StageInfo, ...],
    *,
    epoch: int,
    epochs: int,
    pretrained: bool,
    history: tuple[Mapping[str, float], ...] = (),
) -> FreezePlan:
    """Ask a strategy for its plan and check it.

    Raises:
        ValueError: the plan names an unknown stage, has a factor that is negative or not finite, or says of a part or of
            statistics what nobody knows.
    """
    body = tuple(stage for stage in stages if stage.name != HEAD)
    context = PlanContext(stages=body, epoch=epoch, epochs=epochs, options=options, pretrained=pretrained, history=history)
    plan = strategy.plan(context)
    unknown = set(plan.lr) - {stage.name for stage in body}
    if unknown:
        raise ValueError(f"the strategy {strategy.name} plans for stages that do not exist: {sorted(unknown)}")
    wrong = {name: factor for name, factor in plan.lr.items() if not 0.0 <= factor < float("inf")}
    if wrong:
        raise ValueError(f"the strategy {strategy.name} has learning-rate factors out of range: {wrong}")
    for name, value, known in (("within", plan.within, _WITHIN), ("norm_stats", plan.norm_stats, _NORM_STATS)):
        if value not in known:
            raise ValueError(f"the strategy {strategy.name} says {name}={value!r}; known are {', '.join(known)}")
    return plan


def plan_at(
    recipe: Recipe, stages: tuple[StageInfo, ...], epoch: int, history: Sequence[Mapping[str, float]] = ()
) -> FreezePlan:
    """The plan of one epoch of a run, from 0; raises as `make_plan`.

    Args:
        recipe: of the run.
        stages: of its network.
        epoch: from 0.
        history: what the epochs before have measured.
    """
    return make_plan(recipe.strategy, recipe.strategy_options, stages, epoch=epoch, epochs=recipe.config.run.epochs,
                     pretrained=recipe.weights.path is not None, history=tuple(history))  # fmt: skip


def plan_states(
    strategy: FreezingSpec, options: Options, stages: tuple[StageInfo, ...], *, epoch: int, epochs: int, pretrained: bool
) -> tuple[StageState, ...]:
    """The network as the stage strip draws it in one epoch, before any training; the head is the last entry."""
    plan = make_plan(strategy, options, stages, epoch=epoch, epochs=epochs, pretrained=pretrained)
    return states(plan, stages)


def plan_epochs(
    strategy: FreezingSpec,
    options: Options,
    stages: tuple[StageInfo, ...],
    *,
    epochs: Sequence[int],
    budget: int,
    pretrained: bool,
) -> tuple[tuple[StageState, ...], ...]:
    """`plan_states` for several epochs of a run of ``budget`` epochs; epochs with the same plan share one record."""
    before: FreezePlan | None = None
    result: list[tuple[StageState, ...]] = []
    for epoch in epochs:
        plan = make_plan(strategy, options, stages, epoch=epoch, epochs=budget, pretrained=pretrained)
        result.append(result[-1] if plan == before else states(plan, stages))
        before = plan
    return tuple(result)


def states(
    plan: FreezePlan, stages: tuple[StageInfo, ...], trainable: Mapping[str, int] | None = None
) -> tuple[StageState, ...]:
    """A plan over stages as records. ``trainable`` gives the count of a network at hand."""
    result = []
    for stage in stages:
        factor = 1.0 if stage.name == HEAD else plan.factor(stage.name)
        count = _count(stage, "all" if stage.name == HEAD else plan.within) if factor > 0.0 else 0
        if trainable is not None:
            count = trainable.get(stage.name, count)
        learns = factor > 0.0 and stage.name != HEAD
        result.append(
            StageState(
                name=stage.name,
                params=stage.params,
                factor=factor,
                trainable_params=count,
                within=plan.within if learns else "all",
                norm_stats=plan.norm_stats if learns else "update" if stage.name == HEAD else "fixed",
            )
        )
    return tuple(result)


def stage_infos(backbone: Backbone) -> tuple[StageInfo, ...]:
    """Stages and the head, with their parameter counts."""
    adapters = adapter_ids(backbone)

    def info(name: str, part: nn.Module) -> StageInfo:
        counts = [sum(p.numel() for p in _allowed(part, kind, adapters)) for kind in ("all", "norm", "bias", "adapter")]
        return StageInfo(name=name, params=counts[0], norm_params=counts[1], bias_params=counts[2], adapter_params=counts[3])

    return tuple(info(name, part) for name, part in {**backbone.stages, HEAD: backbone.head}.items())


def apply_plan(backbone: Backbone, plan: FreezePlan) -> dict[str, int]:
    """Set what learns: ``requires_grad``, and train or eval mode; returns trainable parameters by stage.

    Frozen stages run in eval mode, so that their batch-norm statistics cannot drift and their dropout is off.
    """
    backbone.module.train()
    trainable: dict[str, int] = {}
    adapters = adapter_ids(backbone)
    for name, stage in backbone.stages.items():
        learns = plan.factor(name) > 0.0
        stage.train(learns)
        trainable[name] = 0
        allowed = {id(parameter) for parameter in _allowed(stage, plan.within, adapters)} if learns else set()
        for parameter in stage.parameters():
            parameter.requires_grad_(id(parameter) in allowed)
            if parameter.requires_grad:
                trainable[name] += parameter.numel()
            else:
                parameter.grad = None
        if learns and plan.norm_stats == "fixed":
            for module in batch_norms(stage):
                module.eval()
    backbone.head.train()
    for parameter in backbone.head.parameters():
        parameter.requires_grad_(True)
    trainable[HEAD] = sum(parameter.numel() for parameter in backbone.head.parameters())
    return trainable


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer of any kind."""
    from torch import nn

    kinds = (nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, nn.RMSNorm)
    return is_batch_norm(module) or isinstance(module, kinds) or "norm" in type(module).__name__.lower()


def is_batch_norm(module: nn.Module) -> bool:
    """Whether a module keeps running statistics of batches."""
    from torch.nn.modules.batchnorm import _NormBase

    return isinstance(module, _NormBase)


def batch_norms(part: nn.Module) -> list[nn.Module]:
    """The layers of a part that keep running statistics of batches."""
    return [module for module in part.modules() if is_batch_norm(module)]


def _allowed(stage: nn.Module, within: str, adapters: frozenset[int]) -> Iterator[nn.Parameter]:
    for module in stage.modules():
        for name, parameter in module.named_parameters(recurse=False):
            match within:
                case "norm":
                    allowed = is_norm(module)
                case "bias":
                    allowed = name.endswith("bias")
                case "adapter":
                    allowed = id(parameter) in adapters
                case _:
                    allowed = True
            if allowed:
                yield parameter


def adapter_ids(backbone: Backbone) -> frozenset[int]:
    """By `id`, the parameters that a strategy has added."""
    names = frozenset(backbone.adapters)
    return frozenset(id(parameter) for name, parameter in backbone.module.named_parameters() if name in names)


def _count(stage: StageInfo, within: str) -> int:
    counts = {"norm": stage.norm_params, "bias": stage.bias_params, "adapter": stage.adapter_params}
    return counts.get(within, stage.params)
