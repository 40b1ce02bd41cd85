"""The checks of what a plugin registers. Those of data sets and freezing strategies are here and need no torch."""

from __future__ import annotations

import math
import pickle
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlstudio.api import (
    NO_SPLIT,
    TEST,
    TRAIN,
    VAL,
    DatasetSpec,
    FreezePlan,
    FreezingSpec,
    ImageError,
    ImageSet,
    Options,
    PlanContext,
    StageInfo,
)
from tlstudio.testing.networks import check_backbone
from tlstudio.testing.records import check_options, check_record, require

__all__ = ["check_backbone", "check_dataset", "check_strategy"]

_ROWS = 16
_MAX_STAGES = 6
_EPOCHS = 5


def check_dataset(spec: DatasetSpec, options: Options | Mapping[str, Any] | None = None) -> None:
    """Open a data set twice and look at some of its rows.

    It must give the same keys, classes, labels and splits each time, load RGB images, and pickle, so that worker processes
    can read it. Single images may be damaged as long as they raise `ImageError`.

    Args:
        spec: the record.
        options: an instance of its options, or their values by name; the defaults where it is left out.

    Raises:
        AssertionError: a sentence that says what is wrong.
    """
    check_record(spec.name, spec.title, spec.about)
    chosen = check_options(spec.name, spec.options, options)
    first, second = spec.open(chosen), spec.open(chosen)
    require(isinstance(first, ImageSet), f"{spec.name}: open should return an ImageSet, not {type(first).__name__}")
    _check_table(spec.name, first)
    _check_equal(spec.name, first, second, "a second opening")
    try:
        copy = pickle.loads(pickle.dumps(first))
    except Exception as error:
        raise AssertionError(
            f"{spec.name}: the ImageSet does not pickle ({error}); 'read' must be an object of a class at the top of a module"
        ) from error
    _check_equal(spec.name, first, copy, "a pickled copy")
    _check_rows(spec.name, first, copy)
    _check_recognise(spec, chosen)


def check_strategy(spec: FreezingSpec, options: Options | Mapping[str, Any] | None = None) -> None:
    """Ask a strategy for its plans: networks of one to six stages, every epoch of short and longer runs.

    It must be pure (the same question gets the same answer, in whatever order it is asked), name only stages that exist, and
    give finite factors of at least 0.

    Args:
        spec: the record.
        options: an instance of its options, or their values by name; the defaults where it is left out.

    Raises:
        AssertionError: a sentence that says what is wrong.
    """
    check_record(spec.name, spec.title, spec.about)
    chosen = check_options(spec.name, spec.options, options)
    rate = spec.learning_rate
    require(math.isfinite(rate) and rate > 0, f"{spec.name}: the learning rate {rate} should be finite and above 0")
    contexts = _contexts(chosen)
    plans = [_plan(spec, context) for context in contexts]
    for context, plan in zip(contexts, plans, strict=True):
        _check_plan(spec.name, context, plan)
    again = [_plan(spec, context) for context in reversed(contexts)]
    require(
        plans == again[::-1],
        f"{spec.name}: plan gave two answers to one question; it must be a pure function, without memory or chance",
    )


def _check_table(name: str, images: ImageSet) -> None:
    require(len(images) > 0, f"{name}: there are no images")
    require(len(set(images.classes)) == len(images.classes), f"{name}: two classes have one name")
    require(all(images.classes), f"{name}: a class has an empty name")
    require(images.labels.dtype == np.int32, f"{name}: labels should be int32, not {images.labels.dtype}")
    if images.splits is not None:
        require(images.splits.dtype == np.int8, f"{name}: splits should be int8, not {images.splits.dtype}")
        strange = set(images.splits.tolist()) - {TRAIN, VAL, TEST, NO_SPLIT}
        require(not strange, f"{name}: splits hold {sorted(strange)}; only TRAIN, VAL, TEST and NO_SPLIT are known")


def _check_equal(name: str, one: ImageSet, two: ImageSet, what: str) -> None:
    for column in ("classes", "keys", "groups"):
        require(getattr(one, column) == getattr(two, column), f"{name}: {what} has other {column}, or another order of them")
    require(np.array_equal(one.labels, two.labels), f"{name}: {what} has other labels")
    require((one.splits is None) == (two.splits is None), f"{name}: {what} has other splits")
    if one.splits is not None and two.splits is not None:
        require(np.array_equal(one.splits, two.splits), f"{name}: {what} has other splits")


def _check_rows(name: str, images: ImageSet, copy: ImageSet) -> None:
    loaded = 0
    for index in np.unique(np.linspace(0, len(images) - 1, _ROWS).astype(int)).tolist():
        key = images.keys[index]
        try:
            image = images.load(index)
        except ImageError:
            continue
        except Exception as error:
            raise AssertionError(f"{name}: loading {key!r} raised {type(error).__name__}: {error}") from error
        loaded += 1
        require(getattr(image, "mode", None) == "RGB", f"{name}: {key!r} should load as an RGB image of Pillow")
        require(min(image.size) > 0, f"{name}: {key!r} has no pixels")
        require(image.tobytes() == copy.load(index).tobytes(), f"{name}: {key!r} loads differently from a pickled copy")
    require(loaded, f"{name}: none of the images looked at could be loaded")


def _check_recognise(spec: DatasetSpec, options: Options) -> None:
    if spec.recognise is None:
        return
    with tempfile.TemporaryDirectory() as empty:
        paths = [Path(empty), Path(empty, "missing"), Path(__file__)]
        own = getattr(options, "path", None)
        if own is not None:
            paths.append(Path(own))
        for path in paths:
            try:
                sure = spec.recognise(path)
            except Exception as error:
                raise AssertionError(f"{spec.name}: recognise raised {type(error).__name__} for {path}; it must not") from error
            require(0.0 <= sure <= 1.0, f"{spec.name}: recognise gave {sure} for {path}; it should be within 0 and 1")
        require(own is None or sure > 0.0, f"{spec.name}: recognise does not know its own data at {own}")


def _contexts(options: Options) -> list[PlanContext]:
    """Every epoch of runs of 1 to 5 epochs, for networks of 1 to 6 stages, with and without a history.

    Some stages have no parameters, some neither biases nor normalisation layers.
    """
    contexts = []
    for count in range(1, _MAX_STAGES + 1):
        stages = tuple(_stage(index) for index in range(count))
        for epochs in range(1, _EPOCHS + 1):
            for epoch in range(epochs):
                history = tuple({"loss": 1.0 / (past + 1), "accuracy": past / _EPOCHS} for past in range(epoch))
                contexts += [
                    PlanContext(stages=stages, epoch=epoch, epochs=epochs, options=options, pretrained=pretrained, history=past)
                    for pretrained in (True, False)
                    for past in (history, ())
                ]
    return contexts


def _stage(index: int) -> StageInfo:
    kinds = {"norm_params": 8, "bias_params": 6, "adapter_params": 4}
    empty = index % 4 == 3
    return StageInfo(name=f"stage{index}", params=0 if empty else 100, **({} if empty or index % 4 == 2 else kinds))


def _plan(spec: FreezingSpec, context: PlanContext) -> FreezePlan:
    try:
        plan = spec.plan(context)
    except Exception as error:
        raise AssertionError(
            f"{spec.name}: plan raised {type(error).__name__}: {error}; asked for {_asked(context)}"
        ) from error
    require(isinstance(plan, FreezePlan), f"{spec.name}: plan should return a FreezePlan, not {type(plan).__name__}")
    return plan


def _check_plan(name: str, context: PlanContext, plan: FreezePlan) -> None:
    asked = _asked(context)
    unknown: Sequence[str] = sorted(set(plan.lr) - {stage.name for stage in context.stages})
    require(not unknown, f"{name}: the plan names stages that are not there: {unknown}; asked for {asked}")
    for stage, factor in plan.lr.items():
        require(
            math.isfinite(factor) and factor >= 0.0,
            f"{name}: the factor of {stage} is {factor}; it should be finite and at least 0; asked for {asked}",
        )
    require(plan.within in ("all", "norm", "bias", "adapter"), f"{name}: 'within' is {plan.within!r}; asked for {asked}")
    known = plan.norm_stats in ("fixed", "update", "recalibrated")
    require(known, f"{name}: 'norm_stats' is {plan.norm_stats!r}; asked for {asked}")


def _asked(context: PlanContext) -> str:
    return f"epoch {context.epoch} of {context.epochs}, {len(context.stages)} stages, pretrained={context.pretrained}"
