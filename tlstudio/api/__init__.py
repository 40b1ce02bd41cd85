"""All that a plugin author needs: records, hooks, events, errors. Importing it pulls in neither torch nor Qt."""

from tlstudio.api.backbone import Backbone, BackboneSpec, Preprocessing, StateDict, WeightsSpec
from tlstudio.api.config import (
    AugmentConfig,
    DataConfig,
    FreezingConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
)
from tlstudio.api.dataset import (
    NO_SPLIT,
    SPLIT_NAMES,
    TEST,
    TRAIN,
    UNLABELLED,
    VAL,
    DatasetSpec,
    ImageSet,
    Options,
)
from tlstudio.api.errors import (
    ConfigError,
    DataError,
    ExitCode,
    ImageError,
    Problem,
    UserError,
    WeightsError,
)
from tlstudio.api.events import Event, parse_event
from tlstudio.api.freezing import FreezePlan, FreezingSpec, PlanContext, StageInfo
from tlstudio.api.hookspecs import API_VERSION, ENTRY_POINT_GROUP, hookimpl
from tlstudio.api.images import IMAGE_SUFFIXES, decode, is_ignored_name, is_image_name

__all__ = [
    "API_VERSION",
    "ENTRY_POINT_GROUP",
    "IMAGE_SUFFIXES",
    "NO_SPLIT",
    "SPLIT_NAMES",
    "TEST",
    "TRAIN",
    "UNLABELLED",
    "VAL",
    "AugmentConfig",
    "Backbone",
    "BackboneSpec",
    "ConfigError",
    "DataConfig",
    "DataError",
    "DatasetSpec",
    "Event",
    "ExitCode",
    "FreezePlan",
    "FreezingConfig",
    "FreezingSpec",
    "ImageError",
    "ImageSet",
    "ModelConfig",
    "OptimConfig",
    "Options",
    "PlanContext",
    "Preprocessing",
    "Problem",
    "RunConfig",
    "StageInfo",
    "StateDict",
    "TrainConfig",
    "UserError",
    "WeightsError",
    "WeightsSpec",
    "decode",
    "hookimpl",
    "is_ignored_name",
    "is_image_name",
    "parse_event",
]
