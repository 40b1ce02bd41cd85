"""Plans that are kept in files: one for each machine, network and setting, so that the next run computes in the same way."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from tlstudio import safe_io
from tlstudio.api.config import RunConfig
from tlstudio.engine.compute import ComputePlan, Prefix, Step, dtype_name
from tlstudio.engine.device import Place
from tlstudio.engine.processor import processor

_VERSION = 2


def plan_key(run: RunConfig, place: Place, *, network: str, frozen: int, shape: tuple[int, ...]) -> str:
    """The name of a plan's file, of all that it depends on; ``shape`` is that of an image."""
    name, flags = processor()
    settings = (run.precision, run.frozen_path, run.channels_last, run.depthwise, run.compile, run.tf32)
    about = [
        _VERSION, name, sorted(flags), str(torch.__version__), place.title, dtype_name(place.autocast),
        network, frozen, list(shape), settings,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def save_plan(file: Path, plan: ComputePlan) -> None:
    """Write it; the folder is made where it is missing."""

    def record(way: Prefix | Step) -> dict[str, Any]:
        return {**vars(way), "dtype": dtype_name(way.dtype)}

    value = {
        "version": _VERSION, "prefix": record(plan.prefix), "step": record(plan.step), "measured": dict(plan.measured),
    }  # fmt: skip
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        safe_io.write_json(file, value)
    except OSError:
        return  # a full disk only means that the next run measures again


def load_plan(file: Path) -> ComputePlan | None:
    """A kept plan; ``None`` where there is none, or the file holds anything else."""
    dtypes = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    try:
        value = json.loads(file.read_bytes())
        prefix, step = value["prefix"], value["step"]
        if value["version"] != _VERSION:
            return None
        return ComputePlan(
            prefix=Prefix(**{**prefix, "dtype": dtypes[prefix["dtype"]]}),
            step=Step(**{**step, "dtype": dtypes[step["dtype"]]}),
            measured={str(key): float(speed) for key, speed in value["measured"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
