"""The answers to "which part of the network learns?", from the head alone to everything, at once or step by step.

Each is a pure function from what is known to a plan; the same question always gets the same answer.
"""

from __future__ import annotations

from tlstudio.api import FreezingSpec, hookimpl
from tlstudio_freezing import adapters, custom, gentle, inside, parts, schedules

TLSTUDIO_API = 1


@hookimpl
def register_freezing_strategies() -> list[FreezingSpec]:
    """Fixed parts, schedules, gentle ways for everything, parts of layers, adapters, and what one draws."""
    return [*parts.SPECS, *schedules.SPECS, *gentle.SPECS, *inside.SPECS, *adapters.SPECS, *custom.SPECS]
