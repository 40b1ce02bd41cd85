"""From a field of a pydantic model to the editor for it: type, bounds, choices and words come from the model alone."""

from __future__ import annotations

import math
import types
from pathlib import PurePath
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from PySide6.QtCore import QCoreApplication

from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.gui.widgets.editors import Bounds, Editor, JsonBox, NumberBox, SwitchBox, TextBox, number_text

_NAMES = {
    "adamw": "AdamW",
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "nadam": "NAdam",
    "radam": "RAdam",
    "trivial": "TrivialAugment",
    "rand": "RandAugment",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}
UNITS = {
    "data.image_size": "px",
    "data.megapixels": "MP",
    "optim.warmup_steps": "steps",
    "optim.step_epochs": "epochs",
    "optim.plateau_patience": "epochs",
    "optim.accumulate": "batches",
    "run.patience": "epochs",
    "run.checkpoint_minutes": "min",
    "run.batch_size": "images",
    "run.cache_gigabytes": "GB",
    "augment.views": "views",
}
"""What a number of the settings counts, by the setting's name."""
_FRACTION_STEP = 0.05


def make_editor(info: FieldInfo, *, unit: str = "") -> Editor:
    """An editor that suits the field's type."""
    kind, optional = _kind(info)
    if get_origin(kind) is Literal:
        return ChoiceBox([Choice(value=value, title=_choice_title(value)) for value in get_args(kind)])
    if kind is bool:
        return SwitchBox()
    if kind in (int, float):
        bounds = bounds_of(info)
        fraction = bounds.high <= 1.0 and (not info.default or info.default >= _FRACTION_STEP)
        return NumberBox(
            whole=kind is int,
            optional=optional,
            bounds=bounds,
            logarithmic=kind is float and not fraction,
            unit=unit,
            step=_FRACTION_STEP if kind is float else 1.0,
        )
    if kind is str or (isinstance(kind, type) and issubclass(kind, PurePath)):
        return TextBox(optional=optional)
    return JsonBox(optional=optional)


def bounds_of(info: FieldInfo) -> Bounds:
    """The range a number must lie in, from the field's constraints."""
    low, high, open_low, open_high = -math.inf, math.inf, False, False
    for rule in info.metadata:
        for name in ("ge", "gt", "le", "lt"):
            limit = getattr(rule, name, None)
            if limit is None:
                continue
            if name[0] == "g":
                low, open_low = float(limit), name == "gt"
            else:
                high, open_high = float(limit), name == "lt"
    return Bounds(low=low, high=high, open_low=open_low, open_high=open_high)


def problem_with(info: FieldInfo, value: Any) -> str:
    """What is wrong with a number, in plain words; empty where nothing is or where it is no matter of numbers."""
    kind, optional = _kind(info)
    if kind not in (int, float) or (value is None and optional):
        return ""
    if not isinstance(value, int | float):
        return _tr("A whole number is needed.") if kind is int else _tr("A number is needed.")
    bounds = bounds_of(info)
    if math.isfinite(value) and bounds.contain(value):
        return ""
    if bounds.high == math.inf:
        return _tr("At least {low}.").format(low=number_text(bounds.low))
    low, high = number_text(bounds.low), number_text(bounds.high)
    if bounds.open_low:
        return _tr("More than {low}, at most {high}.").format(low=low, high=high)
    if bounds.open_high:
        return _tr("From {low} to below {high}.").format(low=low, high=high)
    return _tr("From {low} to {high}.").format(low=low, high=high)


def title_of(name: str, info: FieldInfo) -> str:
    """The label of a field in the user's language; a field without a title is called by its name."""
    text = info.title or name.rpartition(".")[2].replace("_", " ").capitalize()
    return QCoreApplication.translate("TrainConfig", text)


def help_of(name: str, info: FieldInfo) -> str:
    """The tooltip of a field: what it does, its range and its name in files and in the terminal."""
    text = QCoreApplication.translate("TrainConfig", info.description or "")
    return f"{text}\n{name}" if text else name


def default_of(info: FieldInfo) -> Any:
    """The field's default; ``None`` for a field that must be given."""
    return None if info.is_required() else info.get_default(call_default_factory=True)


def _kind(info: FieldInfo) -> tuple[Any, bool]:
    """The type without ``None``, and whether ``None`` is allowed."""
    annotation = info.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) == 1:
            return parts[0], True
        return annotation, type(None) in get_args(annotation)
    return annotation, False


def _choice_title(value: Any) -> str:
    text = str(value)
    return _NAMES.get(text) or QCoreApplication.translate("TrainConfig", text.replace("_", " ").capitalize())


def _tr(text: str) -> str:
    return QCoreApplication.translate("Form", text)
