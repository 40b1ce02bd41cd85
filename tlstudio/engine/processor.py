"""What this machine's CPU is and can do. Imports torch only where the system itself does not tell."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any


def processor() -> tuple[str, frozenset[str]]:
    """Name and abilities of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        import torch

        able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        return platform.processor() or platform.machine(), frozenset(key for key, value in able.items() if value is True)
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = values.get("model name") or values.get("CPU part") or platform.machine()
    return name, frozenset((values.get("flags") or values.get("Features") or "").split())


def native_bfloat16() -> bool:
    """Whether the CPU computes in bfloat16 itself; elsewhere it is emulated, several times slower than float32."""
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & processor()[1])
