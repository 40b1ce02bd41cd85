"""What reusing freed memory brings to a network on the CPU: `python tests/benchmarks/allocator.py`.

Training steps of EfficientNet-Lite0, 32 images of 224 pixels, in processes of their own that take turns; medians of three.
In the main thread, as in the terminal, and in a thread, as in the window.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

_WAYS = {
    "main thread, fresh pages": (False, False, False),
    "main thread, reused memory": (False, False, True),
    "thread, reused memory": (True, False, True),
    "thread, reused memory, one arena": (True, True, True),
}
_CODE = """
import resource, threading
from tlstudio.engine import memory
in_thread, one_arena, reuse = {way}
if one_arena:
    memory.one_arena()
def work():
    import time, torch
    from tlstudio.registry import load_catalog
    kept = memory.freed_memory_kept()  # held to the end: a context that nobody holds is left at once
    if reuse:
        kept.__enter__()
    network = load_catalog().backbones["timm/tf_efficientnet_lite0"].build(2).module.to(memory_format=torch.channels_last)
    x = torch.rand(32, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        network(x).square().mean().backward()
        times.append(time.perf_counter() - start)
    print(32 / sorted(times)[2], resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
if in_thread:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""


def main() -> None:
    """Print images per second of each way, and the pages that the kernel was asked for: those hardly vary."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in _WAYS}
    for _ in range(3):
        for name, way in _WAYS.items():
            run = subprocess.run([sys.executable, "-c", _CODE.format(way=way)], capture_output=True, text=True, check=True)
            speed, faults = run.stdout.split()
            found[name].append((float(speed), float(faults)))
    for name, rows in found.items():
        speed, faults = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name}: {speed:.1f} images/s, {faults / 1e6:.2f} million page faults")


if __name__ == "__main__":
    main()
