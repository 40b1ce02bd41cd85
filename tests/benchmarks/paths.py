"""Images a second of every way to compute on this CPU: `python tests/benchmarks/paths.py [network …]`.

Frozen layers, and a training step with AdamW, 32 images of 224 pixels, with and without the settings by which freed memory is
reused. The ways of one table take turns in one process; medians of the rounds, and the ratio to float32 channels first.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from tlstudio.engine.compute import Prefix, Step, build_prefix, ordered
from tlstudio.engine.depthwise import depthwise_layers
from tlstudio.engine.fold import folded
from tlstudio.engine.memory import freed_memory_kept
from tlstudio.engine.processor import native_bfloat16
from tlstudio.registry import load_catalog

NETWORKS = ("timm/tf_efficientnet_lite0", "torchvision/resnet18")


def frozen_ways(stages: nn.Sequential, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """One forward pass of frozen layers, by name."""
    ways = [Prefix(path="plain", channels_last=False), Prefix(path="plain"), Prefix(path="folded"), Prefix(path="packed")]
    if native_bfloat16():
        ways += [Prefix(path=path, dtype=torch.bfloat16) for path in ("folded", "packed")]

    def action(way: Prefix) -> Callable[[], object]:
        network, inside = build_prefix(stages, x, way), ordered(x, channels_last=way.channels_last)

        def run() -> None:
            with torch.no_grad(), torch.autocast("cpu", dtype=way.dtype, enabled=way.dtype is not None):
                network(inside)

        return run

    return {way.name: action(way) for way in ways}


def step_ways(network: nn.Module, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """One training step, by name and mode of batch norm."""
    target = torch.arange(len(x)) % 3
    ways = [Step(channels_last=False), Step(), Step(split_depthwise=True)]
    if native_bfloat16():
        ways += [Step(dtype=torch.bfloat16, split_depthwise=split) for split in (False, True)]

    def action(way: Step, norms: str) -> Callable[[], object]:
        net = copy.deepcopy(network)
        if norms == "folded":
            net = folded(nn.Sequential(net), x)
        net.to(memory_format=torch.channels_last if way.channels_last else torch.contiguous_format)
        net.train().requires_grad_(True)
        if norms == "eval":
            for module in net.modules():
                module.training = not isinstance(module, nn.BatchNorm2d)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5, fused=True)
        layers = depthwise_layers(net)

        def run() -> None:
            with way.around("cpu", layers):
                logits = net(way.enter(x))
            loss = nn.functional.cross_entropy(logits.float(), target)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        return run

    found = {way.name: action(way, "train") for way in ways if depthwise_layers(network) or not way.split_depthwise}
    best = ways[-1] if native_bfloat16() else Step()
    return {**found, **{f"{best.name}, batch norm {norms}": action(best, norms) for norms in ("eval", "folded")}}


def table(title: str, ways: dict[str, Callable[[], object]], images: int, rounds: int) -> None:
    """Time the ways in turns and print them."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run()
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            speeds[name].append(images / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    plain = next(iter(medians.values()))
    print(title)
    for name, speed in medians.items():
        low, high = min(speeds[name]), max(speeds[name])
        print(f"  {name:50} {speed:7.1f} images/s [{low:.1f}..{high:.1f}]  {speed / plain:5.2f}", flush=True)


def measure(name: str, part: str, reuse: bool, batch: int, rounds: int) -> None:
    """One table, in this process."""
    torch.manual_seed(0)
    with freed_memory_kept() if reuse else contextlib.nullcontext():
        backbone = load_catalog().backbones[name].build(3)
        x = torch.randn(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
        stages = nn.Sequential(*backbone.stages.values())
        ways = frozen_ways(stages.eval(), x) if part == "frozen" else step_ways(backbone.module.eval(), x)
        table(f"{name}, {part}, {'reused' if reuse else 'fresh'} memory", ways, batch, rounds)


def main() -> None:
    """Every table in a process of its own, since memory settings stay with a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--only", nargs=2, metavar=("PART", "MEMORY"), help="frozen or step, fresh or reused")
    args = parser.parse_args()
    for name in args.networks:
        if args.only:
            measure(name, args.only[0], args.only[1] == "reused", args.batch, args.rounds)
            continue
        for part in ("frozen", "step"):
            for memory in ("fresh", "reused"):
                command = [sys.executable, __file__, name, "--rounds", str(args.rounds), "--batch", str(args.batch)]
                subprocess.run([*command, "--only", part, memory], check=True)


if __name__ == "__main__":
    main()
