"""All that a plugin author needs: records, hooks, events, errors. Importing it pulls in neither torch nor Qt.

A name's module is imported when the name is first asked for: the window paints before pydantic and numpy are there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tlstudio.api.backbone import Backbone, BackboneSpec, Preprocessing, RefusedBackbone, StateDict, WeightsSpec
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
    from tlstudio.api.events import (
        CheckpointSaved,
        EpochDone,
        EpochStarted,
        Event,
        Note,
        Prepared,
        Progress,
        RunFailed,
        RunFinished,
        RunPaused,
        RunResumed,
        RunStarted,
        StepDone,
        parse_event,
    )
    from tlstudio.api.freezing import FreezePlan, FreezingSpec, PlanContext, StageInfo
    from tlstudio.api.hookspecs import API_VERSION, ENTRY_POINT_GROUP, hookimpl
    from tlstudio.api.images import IMAGE_SUFFIXES, decode, is_ignored_name, is_image_name
    from tlstudio.api.observers import Observer, ObserverSpec
    from tlstudio.api.progress import CancelledError, report

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
    "CancelledError",
    "CheckpointSaved",
    "ConfigError",
    "DataConfig",
    "DataError",
    "DatasetSpec",
    "EpochDone",
    "EpochStarted",
    "Event",
    "ExitCode",
    "FreezePlan",
    "FreezingConfig",
    "FreezingSpec",
    "ImageError",
    "ImageSet",
    "ModelConfig",
    "Note",
    "Observer",
    "ObserverSpec",
    "OptimConfig",
    "Options",
    "PlanContext",
    "Prepared",
    "Preprocessing",
    "Problem",
    "Progress",
    "RefusedBackbone",
    "RunConfig",
    "RunFailed",
    "RunFinished",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "StageInfo",
    "StateDict",
    "StepDone",
    "TrainConfig",
    "UserError",
    "WeightsError",
    "WeightsSpec",
    "decode",
    "hookimpl",
    "is_ignored_name",
    "is_image_name",
    "parse_event",
    "report",
]

_MODULES = (
    "errors",
    "images",
    "hookspecs",
    "progress",
    "backbone",
    "dataset",
    "freezing",
    "observers",
    "config",
    "events",
)  # the light ones first


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"{__name__}.{module}")
            if hasattr(found, name):
                return globals().setdefault(name, getattr(found, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
