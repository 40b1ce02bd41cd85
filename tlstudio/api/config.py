"""The configuration of a run: every setting once, as a field of a frozen model.

A field is the key in ``config.json``, the dotted override in the terminal, the form field in the window and the argument
of the function that uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.problems import field_names, problems_of, unknown

DEFAULT_BACKBONE = "timm/tf_efficientnet_lite0"
AUTO_STRATEGY = "auto"
"""Of `FreezingConfig.strategy`: the program looks at the images and chooses."""
SAMPLE_DATASET = "datasets/digits"
SAMPLE_STRATEGY = "freezing/head-only"
"""For the sample, whose first model shall take less than a minute."""
SPLIT_FIELDS = ("split", "val_fraction", "test_fraction", "folds", "fold", "split_seed", "group_by", "duplicates_together")
"""The fields of `DataConfig` that say how images are split."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class DataConfig(_Section):
    """Which images, and how they are split."""

    path: str | None = Field(None, title="Images", description="A folder, an archive, or a file of labels (CSV, JSON, YAML).")
    dataset: str | None = Field(
        None, title="Kind", description="The data-set plugin that reads it; by default the one that recognises it best."
    )
    options: dict[str, Any] = Field(default_factory=dict, title="Options", description="Options of the data-set plugin.")
    image_size: int | None = Field(
        None, ge=16, le=2048, title="Image size", description="Input side length in pixels; by default the weights' own."
    )
    split: Literal["auto", "stratified", "kfold"] = Field(
        "auto", title="Split",
        description="Auto: the data's own validation images, else a share of each class. Stratified: a share of each class, "
        "whatever the data say. K-fold: each part of the images measures once.",
    )  # fmt: skip
    val_fraction: float = Field(
        0.2, ge=0.0, le=0.9, title="Validation share",
        description="Share of each class kept aside to measure, where validation images are drawn.",
    )  # fmt: skip
    test_fraction: float = Field(
        0.0, ge=0.0, le=0.9, title="Test share",
        description="Share of each class kept aside for the very end, where the split is stratified.",
    )  # fmt: skip
    folds: int = Field(5, ge=2, le=100, title="Folds", description="In how many parts k-fold divides the images.")
    fold: int = Field(0, ge=0, le=99, title="Fold", description="Which of the folds measures, counted from 0.")
    split_seed: int = Field(
        0, ge=0, lt=2**31, title="Split seed", description="Decides which images are drawn; not the seed of the run."
    )
    group_by: str = Field(
        "", max_length=500, title="Group by",
        description="A regular expression; images in whose paths it finds the same text (a patient, a slide) stay together.",
    )  # fmt: skip

    duplicates_together: bool = Field(
        True, title="Duplicates together",
        description="Near duplicates that a check of the images has found stay in one split.",
    )  # fmt: skip

    accept_damaged: bool = Field(
        False, title="Accept cut images", description="Take images whose file is cut off; what is missing of them is grey."
    )
    megapixels: int = Field(
        90, ge=1, le=2000, title="Largest image",
        description="Megapixels above which an image is refused; those above 90 are made smaller as they are read.",
    )  # fmt: skip

    @field_validator("group_by")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        if self.val_fraction + self.test_fraction > 0.95:
            raise ValueError("data.val_fraction and data.test_fraction leave nothing to train on")
        if self.split == "kfold" and self.fold >= self.folds:
            raise ValueError(f"data.fold must be below data.folds ({self.folds})")
        return self


class ModelConfig(_Section):
    """Which pretrained network."""

    backbone: str = Field(DEFAULT_BACKBONE, title="Backbone", description="The pretrained network to start from.")
    weights: str = Field(
        "auto", title="Weights",
        description="A name, a file, a run, 'none' for random initialisation, or 'auto' for the best at hand.",
    )  # fmt: skip


class FreezingConfig(_Section):
    """Which part of the network learns."""

    strategy: str = Field(
        AUTO_STRATEGY, title="What learns",
        description="Which part of the network is trained. Auto: by how many images there are, and how near they are to those "
        "that the weights were trained on.",
    )  # fmt: skip
    options: dict[str, Any] = Field(default_factory=dict, title="Options", description="Options of the strategy.")


class AugmentConfig(_Section):
    """Random variation of training images."""

    preset: Literal["auto", "none", "light", "strong"] = Field(
        "auto", title="Augmentation",
        description="Random variation of the training images. Light: flips and crops. Strong: colour as well. "
        "Auto: none while only the head learns, else light.",
    )  # fmt: skip
    vertical_flip: bool = Field(
        False,
        title="Flip upside down",
        description="Varied images may also be upside down: right for microscopy and aerial images.",
    )
    policy: Literal["none", "trivial", "rand"] = Field(
        "none", title="Policy",
        description="Operations at random on top of that. Trivial: one, of any strength (TrivialAugment, Müller and Hutter "
        "2021). Rand: two, of a given strength (RandAugment, Cubuk et al. 2020).",
    )  # fmt: skip
    magnitude: int = Field(9, ge=0, le=30, title="Strength", description="How strong the operations of RandAugment are.")
    erase: float = Field(
        0.0, ge=0.0, le=1.0, title="Erasing",
        description="How often a rectangle of a training image is painted over (random erasing, Zhong et al. 2020); 0 = never.",
    )  # fmt: skip
    mixup: float = Field(
        0.0, ge=0.0, le=10.0, title="Mixup",
        description="Mixes pairs of images, or of their features behind the frozen layers, by a share drawn from "
        "Beta(mixup, mixup); 0 = off (Zhang et al. 2018).",
    )  # fmt: skip
    cutmix: float = Field(
        0.0, ge=0.0, le=10.0, title="CutMix",
        description="Puts a rectangle of one image into another, of a share drawn from Beta(cutmix, cutmix); 0 = off (Yun et "
        "al. 2019). Beside mixup, each takes half of the steps. Behind frozen layers, mixup stands in for it.",
    )  # fmt: skip
    views: int = Field(
        4, ge=1, le=64, title="Cached views",
        description="How many varied versions of each image the frozen part computes once and keeps.",
    )  # fmt: skip


class OptimConfig(_Section):
    """How the weights are changed."""

    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "nadam", "radam", "adafactor", "muon"] = Field(
        "adamw", title="Optimiser",
        description="The update rule; AdamW needs the least care. Muon: for the weight matrices of learning stages (attention, "
        "dense layers), with AdamW for the rest.",
    )  # fmt: skip
    learning_rate: float | None = Field(
        None, gt=0.0, le=10.0, title="Learning rate",
        description="Step size for the head; stages take it times their factor. By default what suits the strategy.",
    )  # fmt: skip
    weight_decay: float = Field(
        1e-4, ge=0.0, le=1.0, title="Weight decay", description="Pulls weights towards zero; not biases and norms."
    )
    momentum: float = Field(0.9, ge=0.0, lt=1.0, title="Momentum", description="For SGD, RMSprop and Muon.")
    schedule: Literal["cosine", "linear", "step", "one_cycle", "plateau", "constant"] = Field(
        "cosine", title="Schedule",
        description="How the learning rate goes: down to zero along a cosine or a line; down in steps; up, then down (one "
        "cycle, Smith 2018); down when the validation loss no longer falls (plateau); or constant.",
    )  # fmt: skip
    step_epochs: int | None = Field(
        None, ge=1, le=10_000, title="Step length",
        description="Epochs between the steps of the step schedule; by default a third of the run.",
    )  # fmt: skip
    decay_factor: float = Field(
        0.1, gt=0.0, lt=1.0, title="Step factor",
        description="What the step and plateau schedules multiply the learning rate by.",
    )  # fmt: skip
    plateau_patience: int = Field(
        3, ge=0, le=10_000, title="Plateau patience",
        description="Epochs without a lower validation loss that the plateau schedule bears.",
    )  # fmt: skip
    warmup_steps: int = Field(
        0, ge=0, le=100_000, title="Warm-up",
        description="Steps in which the learning rate rises from zero; one cycle rises for so many, by default for 30 % of the "
        "run.",
    )  # fmt: skip
    label_smoothing: float = Field(
        0.0, ge=0.0, lt=1.0, title="Label smoothing", description="Keeps the model from being over-sure."
    )
    balance: Literal["none", "weights", "sampling"] = Field(
        "none", title="Class balance",
        description="For classes of unequal size. Weights: an image counts the more in the loss, the rarer its class. "
        "Sampling: an epoch draws equally many images of each class.",
    )  # fmt: skip
    clip_norm: float = Field(
        0.0, ge=0.0, le=1e6, title="Gradient clipping", description="The largest length of the gradient in a step; 0 = any."
    )
    accumulate: int = Field(
        1, ge=1, le=1024, title="Accumulation",
        description="Batches whose gradients make one step: the effective batch is so many times the batch size, in the memory "
        "of one. Batch norm still sees single batches.",
    )  # fmt: skip
    ema_decay: float = Field(
        0.0, ge=0.0, lt=1.0, title="Averaged weights",
        description="The model that is measured and saved is a running average of the weights (EMA), of which each step keeps "
        "this share, such as 0.999; 0 = off.",
    )  # fmt: skip


class RunConfig(_Section):
    """How long, how large, where."""

    epochs: int = Field(30, ge=1, le=10_000, title="Epochs", description="Passes over the training images.")
    batch_size: int = Field(32, ge=1, le=4096, title="Batch size", description="Images in one step.")
    seed: int = Field(0, ge=0, lt=2**31, title="Seed", description="The same seed gives the same run.")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", title="Device", description="auto, cpu, cuda, cuda:1 or mps."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        title="Precision",
        description="Mixed precision on a GPU by default; on a CPU where it is measured to be faster.",
    )
    patience: int = Field(
        0, ge=0, le=10_000, title="Patience", description="Stop after so many epochs without a better one; 0 = never."
    )
    min_delta: float = Field(
        0.0, ge=0.0, le=1.0, title="Least gain",
        description="By how much the accuracy must rise for patience to begin anew, such as 0.001; 0 = any better epoch.",
    )  # fmt: skip
    checkpoint_minutes: float = Field(
        10.0, gt=0.0, le=1440.0, title="Checkpoint every",
        description="Minutes after which all that the run needs to go on is saved, also within an epoch.",
    )  # fmt: skip
    name: str = Field("", max_length=200, title="Name", description="A name for your own use.")
    observers: bool = Field(
        True, title="Observers", description="Let observer plugins, such as TensorBoard's, hear what the run tells."
    )
    plan: Literal["auto", "measure", "reference"] = Field(
        "auto", title="Computing",
        description="How the fastest way to compute is found. Auto: measured once for a machine and a network. Measure: anew. "
        "Reference: plain float32, nothing is measured.",
    )  # fmt: skip
    frozen_path: Literal["auto", "plain", "folded", "packed", "compiled"] = Field(
        "auto", title="Frozen layers",
        description="How frozen layers compute: as they are, with batch norm folded into convolutions, packed for the CPU, "
        "or compiled.",
    )  # fmt: skip
    channels_last: Literal["auto", "on", "off"] = Field(
        "auto", title="Channels last", description="Whether a pixel's channels lie side by side in memory."
    )
    depthwise: Literal["auto", "native", "split"] = Field(
        "auto", title="Depthwise layers",
        description="How the gradients of depthwise convolutions are computed in mixed precision: as torch does, or split into "
        "parts for which a CPU has quick code.",
    )  # fmt: skip
    cudnn_benchmark: Literal["auto", "on", "off"] = Field(
        "auto", title="Search of algorithms",
        description="Whether a GPU tries algorithms first, which takes up to a minute; auto: in long runs.",
    )  # fmt: skip
    tf32: bool = Field(
        True, title="TF32",
        description="Let a GPU that computes in float32 multiply with 10 bits of the fraction, several times faster.",
    )  # fmt: skip
    deterministic: bool = Field(
        False, title="Deterministic",
        description="Let a GPU compute the same bits every time, so that a resumed run is the run to the last bit: slower, and "
        "what has no such way ends the run. A CPU does so anyway.",
    )  # fmt: skip
    compile: bool = Field(
        False,
        title="Compile",
        description="Compile what learns by torch.compile: it takes a minute or more, and pays on a GPU.",
    )
    cache: Literal["auto", "memory", "disk", "off"] = Field(
        "auto", title="Cache of features",
        description="Where the output of frozen layers is kept: in memory where it fits, else on disk.",
    )  # fmt: skip
    cache_gigabytes: float = Field(
        20.0, ge=0.0, le=100_000.0, title="Disk for caches",
        description="How much of the disk decoded images, and features, may take each; what was not used for longest goes.",
    )  # fmt: skip


class TrainConfig(_Section):
    """Everything that decides a run; `tlstudio train config.json` repeats it."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    freezing: FreezingConfig = FreezingConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig()
    run: RunConfig = RunConfig()


def parse_config(data: Mapping[str, Any]) -> TrainConfig:
    """A configuration from nested mappings.

    Raises:
        ConfigError: with every problem, each at its dotted field.
    """
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(problems_of(error, known=field_names(TrainConfig))) from None


def parse_config_json(text: str | bytes) -> TrainConfig:
    """A configuration from JSON text; raises as `parse_config`, also where the text is no JSON object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError((Problem(field="(file)", message=f"not valid JSON: {error}"),)) from None
    if not isinstance(data, dict):
        raise ConfigError((Problem(field="(file)", message="expected a JSON object"),))
    return parse_config(data)


def with_overrides(config: TrainConfig, overrides: Iterable[str]) -> TrainConfig:
    """The configuration with dotted overrides such as ``optim.learning_rate=1e-3``.

    A value is read as JSON where it is JSON (numbers, ``true``, ``null``, quoted strings), else taken as text. A field of text
    takes numbers as text: a run's id may consist of digits.

    Raises:
        ConfigError: with every problem, each at its dotted field.
    """
    data = config.model_dump(mode="python")
    problems: list[Problem] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            problems.append(Problem(field=override, message="expected key=value, such as run.epochs=5"))
            continue
        parts = key.strip().split(".")
        node: Any = data
        for part in parts[:-1]:
            node = node.setdefault(part, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict) or not all(parts):
            problems.append(Problem(field=key, message=unknown(key, field_names(TrainConfig))))
            continue
        node[parts[-1]] = _value(text, _takes_text(parts))
    try:
        result = TrainConfig.model_validate(data)
    except ValidationError as error:
        problems.extend(problems_of(error, known=field_names(TrainConfig)))
    if problems:
        raise ConfigError(tuple(problems))
    return result


def read_config(path: Path) -> TrainConfig:
    """A configuration from a ``config.json``; raises `ConfigError` as `parse_config_json`, `OSError` if unreadable."""
    return parse_config_json(path.read_bytes())


def _value(text: str, takes_text: bool) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if takes_text and not isinstance(value, str | None) else value


def _takes_text(parts: list[str]) -> bool:
    """Whether the field with this dotted name holds text."""
    section = TrainConfig.model_fields.get(parts[0])
    if section is None or len(parts) != 2 or not isinstance(section.annotation, type):
        return False
    field = section.annotation.model_fields.get(parts[1])
    return field is not None and (field.annotation is str or str in get_args(field.annotation))
