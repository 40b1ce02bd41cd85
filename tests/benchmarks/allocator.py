"""What reusing freed memory brings to a forward pass on the CPU: `python tests/benchmarks/allocator.py`.

The frozen EfficientNet-Lite0, 32 images of 224 pixels, in processes of their own that take turns; medians of three.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

_CODE = """
import time, torch
from tlstudio.api import RunConfig
from tlstudio.engine import device
from tlstudio.engine.split import SplitModel
from tlstudio.registry import load_catalog
place = device.choose_place(RunConfig(device="cpu"))
if {reuse}:
    device.freed_memory_kept().__enter__()
backbone = load_catalog().backbones["timm/tf_efficientnet_lite0"].build(2)
backbone.module.eval().to(memory_format=torch.channels_last)
model = SplitModel(backbone, len(backbone.stages), place)
x = torch.rand(32, 3, 224, 224).contiguous(memory_format=torch.channels_last)
model.prefix(x)
times = []
for _ in range(5):
    start = time.perf_counter(); model.prefix(x); times.append(time.perf_counter() - start)
print(32 / sorted(times)[2])
"""


def _speed(reuse: bool) -> float:
    run = subprocess.run([sys.executable, "-c", _CODE.format(reuse=reuse)], capture_output=True, text=True, check=True)
    return float(run.stdout)


def main() -> None:
    """Print images per second with and without."""
    pairs = [(_speed(False), _speed(True)) for _ in range(3)]
    plain, reused = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"fresh pages {plain:.1f} images/s, reused memory {reused:.1f} images/s: {reused / plain:.2f} times as fast")


if __name__ == "__main__":
    main()
