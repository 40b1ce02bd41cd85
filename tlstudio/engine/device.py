"""Where the work is done and in which precision. One path for CPU, CUDA and MPS."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch

from tlstudio.api.config import RunConfig
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.engine.memory import freed_memory_kept

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic runs: torch looks once, at its first product


@dataclass(frozen=True, kw_only=True)
class Place:
    """A device and how to compute on it; ``autocast`` is ``None`` for full precision."""

    device: torch.device
    autocast: torch.dtype | None

    @property
    def title(self) -> str:
        """For people: the GPU's name, or the CPU and its threads."""
        kind = self.device.type
        name = torch.cuda.get_device_name(self.device) if kind == "cuda" else kind.upper()
        threads = f" ({torch.get_num_threads()} threads)" if kind == "cpu" else ""
        precision = "" if self.autocast is None else f", {str(self.autocast).removeprefix('torch.')}"
        return f"{name}{threads}{precision}"

    def mixed_precision(self) -> AbstractContextManager[object]:
        """The autocast context, or one that does nothing."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast)

    def scaler(self) -> torch.amp.GradScaler:
        """A gradient scaler that does nothing unless float16 needs it."""
        return torch.amp.GradScaler(self.device.type, enabled=self.autocast is torch.float16)


def choose_place(run: RunConfig, number: int = 0) -> Place:
    """The device and precision that a configuration asks for.

    Args:
        number: of the GPU, where the configuration leaves it open.

    Raises:
        ConfigError: the device is not on this machine.
    """
    name = run.device
    if name == "auto":
        name = f"cuda:{number}" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device.type]
    if not there or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError((Problem(field="run.device", message=f"{name} is not on this machine"),))
    return Place(device=device, autocast=_autocast(run.precision, device))


@contextlib.contextmanager
def settings_for(place: Place, run: RunConfig) -> Iterator[None]:
    """Speed settings of torch for the time of a run, put back afterwards."""
    with freed_memory_kept():
        if place.device.type != "cuda":
            yield
            return
        tf32 = run.tf32 and run.plan != "reference"
        with (
            _deterministic() if run.deterministic else contextlib.nullcontext(),
            _multiplying("high" if tf32 else "highest"),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=run.deterministic, allow_tf32=tf32),
        ):
            yield


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """Float32 in all its digits, also on a GPU that would multiply in TF32, and without trying algorithms: for comparisons."""
    with _multiplying("highest"), torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield


@contextlib.contextmanager
def _deterministic() -> Iterator[None]:
    """The same bits every time; what has no such way is an error."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextlib.contextmanager
def _multiplying(precision: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def wait_for(device: torch.device) -> None:
    """Until the device has done all it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seed_all(device: torch.device, seed: int) -> None:
    """Seed the generators that a plugin may draw from: Python's, numpy's, torch's of the CPU and of this device.

    `torch.manual_seed` seeks every kind of device and takes 1 ms; all of this takes 30 µs.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _autocast(precision: str, device: torch.device) -> torch.dtype | None:
    if precision == "auto":
        if device.type != "cuda":
            return None  # whether bfloat16 is faster on this CPU, the planner measures
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    chosen = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if chosen is torch.float16 and device.type == "cpu":
        raise ConfigError((Problem(field="run.precision", message="float16 needs a GPU; use float32 or bfloat16"),))
    return chosen
