"""A strategy that says for each stage by its name how fast it learns, and from which epoch on: what one draws in the window."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, model_validator

from tlstudio.api import Backbone, ConfigError, FreezePlan, FreezingSpec, Options, PlanContext, Problem, StageInfo, StateDict
from tlstudio_freezing import adapters
from tlstudio_freezing.options import NormStats

Factor = Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)]


class Phase(Options):
    """From one epoch on, other factors for some stages; the other stages stay as they are."""

    from_epoch: int | None = Field(None, ge=1, le=10_000, title="From epoch", description="The first epoch, counted from 1.")
    from_share: float | None = Field(
        None, ge=0.0, le=1.0, allow_inf_nan=False, title="From share", description="The first epoch as a share of the epochs."
    )
    stages: dict[str, Factor] = Field(
        default_factory=dict, title="Stages", description="Factors by the names of stages; 0 freezes."
    )

    @model_validator(mode="after")
    def _begins_once(self) -> Phase:
        if (self.from_epoch is None) == (self.from_share is None):
            raise ValueError("give either from_epoch or from_share")
        return self

    def start(self, epochs: int) -> int:
        """The first epoch, counted from 0, of a run of so many."""
        return self.from_epoch - 1 if self.from_epoch is not None else round((self.from_share or 0.0) * epochs)


class CustomOptions(Options):
    """Options of ``custom``."""

    stages: dict[str, Factor] = Field(
        default_factory=dict, title="Stages",
        description="Stages that learn, by name, and at which share of the head's learning rate; the others are frozen.",
    )  # fmt: skip
    phases: list[Phase] = Field(
        default_factory=list, title="Phases",
        description="Changes in the course of a run: each has from_epoch (counted from 1) or from_share (of the epochs), and "
        "stages with their new factors.",
    )  # fmt: skip
    within: Literal["all", "norm", "bias", "adapter"] = Field(
        "all", title="What inside",
        description="What inside a learning stage learns: everything, normalisation layers, biases, or adapters beside the "
        "weights (LoRA).",
    )  # fmt: skip
    norm_stats: NormStats = "update"
    rank: int = Field(8, ge=1, le=256, title="Rank", description="Of adapters, where these learn.")
    alpha: float = Field(
        16.0, gt=0.0, le=1024.0, allow_inf_nan=False, title="Alpha", description="Of adapters: they count alpha / rank times."
    )


def custom(context: PlanContext) -> FreezePlan:
    """Stages learn at the factors that are given, changed by each phase that has begun.

    A stage that has nothing of what may learn is frozen.

    Raises:
        ConfigError: a stage is named that the network does not have.
    """
    options = context.options
    assert isinstance(options, CustomOptions)
    _require_known(context, options)
    factors = dict(options.stages)
    begun = [(phase.start(context.epochs), phase.stages) for phase in options.phases]
    for first, changes in sorted(begun, key=lambda item: item[0]):
        if first <= context.epoch:
            factors |= changes
    lr = {
        stage.name: factors[stage.name]
        for stage in context.stages
        if factors.get(stage.name, 0.0) > 0.0 and _has(stage, options.within)
    }
    return FreezePlan(lr=lr, within=options.within, norm_stats=options.norm_stats)


def prepare(backbone: Backbone, options: Options) -> Backbone:
    """Add adapters where these are to learn."""
    assert isinstance(options, CustomOptions)
    if options.within != "adapter":
        return backbone
    return adapters.prepare(backbone, adapters.LoraOptions(rank=options.rank, alpha=options.alpha))


def merged(backbone: Backbone) -> StateDict:
    """The plain network, with adapters or without."""
    return adapters.merged(backbone)


def _has(stage: StageInfo, within: str) -> bool:
    counts = {"norm": stage.norm_params, "bias": stage.bias_params, "adapter": stage.adapter_params}
    return counts.get(within, 1) > 0


def _require_known(context: PlanContext, options: CustomOptions) -> None:
    names = [stage.name for stage in context.stages]
    given: list[tuple[str, Mapping[str, float]]] = [("stages", options.stages)]
    given += [(f"phases.{at}.stages", phase.stages) for at, phase in enumerate(options.phases)]
    problems = [
        Problem(field=f"freezing.options.{field}", message=_unknown(name, names))
        for field, stages in given
        for name in stages
        if name not in names
    ]
    if problems:
        raise ConfigError(tuple(problems))


def _unknown(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"the network has no stage {name!r}; " + (f"did you mean {near[0]}?" if near else f"it has {', '.join(names)}")


SPECS = (
    FreezingSpec(
        name="custom",
        title="Custom: drawn in the strip, or stage by stage",
        about="For those who know what they want: each stage's factor by its name, and from which epoch on it learns.",
        plan=custom,
        options=CustomOptions,
        learning_rate=1e-3,
        prepare=prepare,
        merged=merged,
    ),
)
