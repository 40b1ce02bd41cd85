"""What a run tells while it works. Frozen records without tensors; one JSON object a line in ``events.jsonl``.

A live plot and the plot of an old run read the same events through the same code.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings", defer_build=True)  # a window starts without events

    run: str = ""
    """The run's id."""
    time: float = Field(default_factory=time.time)
    """Seconds since 1970."""


class RunStarted(_Event):
    """First event: what is about to run, and where its files lie."""

    event: Literal["RunStarted"] = "RunStarted"
    folder: str
    config: dict[str, Any]
    epochs: int


class StageState(BaseModel):
    """A stage of the network as the stage strip draws it; ``factor`` is the learning-rate factor, 0 = frozen."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    params: int
    factor: float = 0.0
    trainable_params: int = 0
    within: Literal["all", "norm", "bias", "adapter"] = "all"
    """What inside a learning stage learns, as in `FreezePlan`."""
    norm_stats: Literal["fixed", "update", "recalibrated"] = "update"
    """What becomes of the batch-norm statistics of a learning stage, as in `FreezePlan`; those of a frozen one stay."""


class Prepared(_Event):
    """The data are opened and split, the model is built."""

    event: Literal["Prepared"] = "Prepared"
    classes: tuple[str, ...]
    images: dict[str, int]
    """Number of images by split."""
    excluded: dict[str, str] = {}
    """Unreadable images: key -> reason."""
    stages: tuple[StageState, ...]
    device: str
    weights: str
    """The weights the model starts from; "none" for random initialisation."""
    steps_per_epoch: int


class Progress(_Event):
    """Work before or between epochs that takes a while, such as reading images."""

    event: Literal["Progress"] = "Progress"
    task: str
    done: int
    total: int


class EpochStarted(_Event):
    """An epoch begins with this freeze plan; epochs count from 0."""

    event: Literal["EpochStarted"] = "EpochStarted"
    epoch: int
    stages: tuple[StageState, ...]
    cached: bool = False
    """Whether the frozen part is read from the cache instead of being computed."""


class StepDone(_Event):
    """An optimiser step; at most 20 a second are sent. ``step`` counts from 1 over the whole run."""

    event: Literal["StepDone"] = "StepDone"
    epoch: int
    step: int
    steps: int
    """Steps of the whole run."""
    loss: float
    lr: float
    images_per_s: float


class EpochDone(_Event):
    """An epoch ended. ``train`` and ``val`` hold metrics by name (``loss``, ``accuracy``); accuracy is a fraction."""

    event: Literal["EpochDone"] = "EpochDone"
    epoch: int
    step: int
    train: dict[str, float]
    val: dict[str, float]
    seconds: float
    best: bool
    """Whether this is the best epoch so far."""


class Note(_Event):
    """A plain sentence for the user: a choice that was made, a warning, an advice."""

    event: Literal["Note"] = "Note"
    level: Literal["info", "advice", "warning"] = "info"
    text: str


class CheckpointSaved(_Event):
    """A checkpoint is safely on disk."""

    event: Literal["CheckpointSaved"] = "CheckpointSaved"
    epoch: int
    step: int
    path: str


class RunResumed(_Event):
    """A run goes on from a checkpoint. Its events up to there are in its folder and are not sent again."""

    event: Literal["RunResumed"] = "RunResumed"
    folder: str = ""
    epochs: int = 0
    """Of the whole run, as it is now."""
    epoch: int
    """The epoch that goes on, from 0."""
    step: int
    """Optimiser steps that are done."""
    exact: bool
    """Whether it gives what it would have given without the break, to the last bit."""
    why: str = ""
    """Why it may not."""


class RunPaused(_Event):
    """The run is held: it cannot be saved, or the drive with its images is gone. It goes on by itself once it can, which is
    looked at every minute at least, and when the user says to go on."""

    event: Literal["RunPaused"] = "RunPaused"
    reason: str
    hint: str = ""


class RunFinished(_Event):
    """Last event of a run that kept its result. ``metrics`` are those of the saved model (the best epoch)."""

    event: Literal["RunFinished"] = "RunFinished"
    outcome: Literal["completed", "stopped", "cancelled"]
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    model: str
    """Path of the saved model; empty when the run was cancelled."""


class RunFailed(_Event):
    """Last event of a run that could not go on."""

    event: Literal["RunFailed"] = "RunFailed"
    error: str
    detail: str = ""
    hint: str = ""
    exit_code: int = 1


class RateTried(_Event):
    """One step of a search for a learning rate: the loss of the batch before it, at this rate."""

    event: Literal["RateTried"] = "RateTried"
    step: int
    """From 1."""
    steps: int
    """At most; the search ends earlier where the loss runs away."""
    rate: float
    loss: float
    smoothed: float
    """The running average of the losses so far, which is what the suggestion is read from."""


class RateFound(_Event):
    """Last event of a search for a learning rate that came to its end."""

    event: Literal["RateFound"] = "RateFound"
    rate: float | None
    """The suggestion; ``None`` where no rate makes the loss fall, or the search was stopped."""
    lowest: float | None
    """The rate at which the smoothed loss was lowest: the upper limit of what is sensible."""


Event = (
    RunStarted | Prepared | Progress | EpochStarted | StepDone | EpochDone | Note | CheckpointSaved | RunResumed | RunPaused
    | RunFinished | RunFailed | RateTried | RateFound
)  # fmt: skip


@functools.cache
def _adapter() -> TypeAdapter[Event]:
    return TypeAdapter(Annotated[Event, Field(discriminator="event")])


def parse_event(line: str | bytes) -> Event:
    """One line of ``events.jsonl`` as an event.

    Raises:
        pydantic.ValidationError: the line is no event.
    """
    return _adapter().validate_json(line)


def parse_event_dict(data: Mapping[str, Any]) -> Event:
    """The same from a mapping that is already parsed."""
    return _adapter().validate_python(data)
