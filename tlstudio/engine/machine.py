"""What decides the bits of a result beside the settings: the device, the processor, its threads, the versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from tlstudio.engine.device import Place
from tlstudio.engine.processor import processor
from tlstudio.engine.world import World


def machine(place: Place, world: World) -> dict[str, Any]:
    """For the record of a checkpoint."""
    return {
        "system": platform.system(), "processor": processor()[0], "device": place.title, "threads": torch.get_num_threads(),
        "processes": world.size,
    }  # fmt: skip


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is another now, for people."""
    return [f"{key} was {then.get(key)} and is {value}" for key, value in now.items() if then.get(key) != value]
