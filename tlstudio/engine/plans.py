"""Plans that are kept in files: one for each machine, network and setting, so that the next run computes in the same way.

And those that a run has decided on, with the run: begun again, it computes as before, whatever is measured then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from tlstudio import safe_io
from tlstudio.api.config import RunConfig
from tlstudio.engine.compute import ComputePlan, Prefix, Step, dtype_name
from tlstudio.engine.device import Place
from tlstudio.engine.processor import processor
from tlstudio.engine.world import World
from tlstudio.runs.store import PLAN_FILE

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

    value = {"version": _VERSION, **plan_record(plan)}
    del value["compiled"], value["cudnn_benchmark"]  # these the settings and the length of the run decide
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        safe_io.write_json(file, value)
    except OSError:
        return  # a full disk only means that the next run measures again


def load_plan(file: Path) -> ComputePlan | None:
    """A kept plan; ``None`` where there is none, or the file holds anything else."""
    try:
        value = json.loads(file.read_bytes())
        return plan_of(value) if value["version"] == _VERSION else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class Decides(Protocol):
    """What decides how to compute; `tlstudio.engine.cut.Cut` does."""

    keep_decisions: Callable[[Mapping[str, Any]], None] | None

    def decide_as(self, decisions: Mapping[str, Any]) -> None:
        """Decide as then."""


def keep_with_run(cut: Decides, folder: Path, here: Mapping[str, Any], world: World) -> None:
    """Decide as the run in a folder has decided before, and from now on keep there what is decided.

    Args:
        here: what decisions depend on, such as the machine; those of elsewhere are passed over.
        world: the processes that share the work: they decide as the first does.
    """
    file = folder / PLAN_FILE
    kept: Any = None
    if world.first:
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(file.read_bytes())
    kept = world.from_first(kept)
    with contextlib.suppress(TypeError, KeyError, ValueError, AttributeError):
        if kept is not None and kept["here"] == world.from_first(here):
            cut.decide_as(kept["decisions"])

    def keep(decisions: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a full disk only means that it may be decided anew
            safe_io.write_json(file, {"here": here, "decisions": decisions})

    cut.keep_decisions = keep


def plan_record(plan: ComputePlan) -> dict[str, Any]:
    """All of a plan as what JSON knows."""

    def record(way: Prefix | Step) -> dict[str, Any]:
        return {**vars(way), "dtype": dtype_name(way.dtype)}

    return {
        "prefix": record(plan.prefix), "step": record(plan.step), "measured": dict(plan.measured),
        "compiled": plan.compiled, "cudnn_benchmark": plan.cudnn_benchmark,
    }  # fmt: skip


def plan_of(value: Mapping[str, Any]) -> ComputePlan:
    """The plan of a record; raises `KeyError` and the like where it is none."""
    dtypes = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    prefix, step = value["prefix"], value["step"]
    return ComputePlan(
        prefix=Prefix(**{**prefix, "dtype": dtypes[prefix["dtype"]]}),
        step=Step(**{**step, "dtype": dtypes[step["dtype"]]}),
        compiled=bool(value.get("compiled", False)),
        cudnn_benchmark=bool(value.get("cudnn_benchmark", False)),
        measured={str(key): float(speed) for key, speed in value["measured"].items()},
    )
