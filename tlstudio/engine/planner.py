"""Finds the fastest way in which this machine computes a network, by trying: machines differ more than any rule can tell.

The ways are timed on real images within a share of the work they are to speed up, and two seconds at most; small jobs are
not measured at all. A way whose values are not those of plain float32 does not take part. What was found is kept in a file
for each machine, network and setting, so that the next run computes in the same way.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tlstudio.api.backbone import Backbone
from tlstudio.api.config import RunConfig
from tlstudio.engine.compute import (
    REFERENCE_PREFIX,
    ComputePlan,
    Prefix,
    PrefixPath,
    Reference,
    Step,
    build_prefix,
    ordered,
    slow_in_channels_last,
    step_agrees,
    step_reference,
)
from tlstudio.engine.depthwise import depthwise_layers
from tlstudio.engine.device import Place, wait_for
from tlstudio.engine.packed import available, is_packed
from tlstudio.engine.plans import load_plan, plan_key, save_plan
from tlstudio.engine.processor import native_bfloat16
from tlstudio.engine.split import cut

__all__ = ["ComputePlan", "Job", "plan_for"]

_SECONDS = 2.0
_SHARE = 0.05  # of the work that may go into measuring
_BUILD_SECONDS = 0.3  # to fold and pack a network, where nothing is known yet
_CLEARLY = 1.15  # how much faster 16 bits must be: more, and a busy moment of a window decides
_FASTER = 1.25  # how much faster a way must be than one that is preferred
_PAIR, _LARGEST = 2, 32  # images to estimate with, and at most in a timed batch
_SMALLEST = {"frozen": 16, "learns": 4}  # packed weights need their batch; 16 bits win or lose by so much that a few will do
_FEWEST = {"frozen": 4, "learns": 2}
_ROUNDS = 2
_FEW = 256  # images for which nothing is measured
_MANY = 50_000  # images for which cuDNN may look for algorithms

Clock = Callable[[], float]
_Way = TypeVar("_Way", Prefix, Step)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is going to be computed.

    Args:
        network: name of the backbone.
        frozen: how many leading stages are frozen.
        frozen_images: how many images pass through them in the whole run.
        learned_images: how many images pass through what learns.
    """

    network: str
    frozen: int
    frozen_images: int
    learned_images: int


def plan_for(
    run: RunConfig,
    backbone: Backbone,
    place: Place,
    job: Job,
    images: Tensor,
    *,
    folder: Path | None,
    clock: Clock = time.perf_counter,
) -> ComputePlan:
    """How a run computes: as the settings force it, else as kept from an earlier run, else as measured now.

    Args:
        run: the settings.
        backbone: the network in the modes of the first epoch (`apply_plan`); left as it is.
        place: the device.
        job: what is to be computed.
        images: a real batch ``(N, 3, H, W)``, normalised, on the device.
        folder: where plans are kept; made where it is missing. ``None``: nothing is measured.
        clock: seconds.
    """
    if place.device.type == "mps" or run.plan == "reference" or folder is None:
        return _unmeasured(run, place, backbone.module)
    stages, learns = cut(backbone, job.frozen)
    ways = _frozen_ways(run, place, stages) if job.frozen else ()
    steps = _step_ways(run, place, learns)
    file = folder / f"{plan_key(run, place, network=job.network, frozen=job.frozen, shape=tuple(images.shape[1:]))}.json"
    known = load_plan(file) if run.plan == "auto" else None
    measure = _Measure(backbone, job, images, clock)
    kept = known.measured if known else {}
    prefix, speeds = _unmeasured(run, place, backbone.module).prefix, dict[str, float]()
    with _modes_kept(backbone.module):
        if ways:
            before = known.prefix if known else None
            prefix, speeds = _chosen(ways, before, kept, "frozen", job.frozen_images, measure.frozen)
        step, others = _chosen(steps, known.step if known else None, kept, "learns", job.learned_images, measure.steps)
    plan = ComputePlan(prefix=prefix, step=step, compiled=run.compile, measured={**speeds, **others},
                       cudnn_benchmark=_tries_algorithms(run, place, job, backbone.module))  # fmt: skip
    if plan.measured and plan.measured != kept:
        save_plan(file, plan)
    return plan


@contextmanager
def _modes_kept(network: nn.Module) -> Iterator[None]:
    """Layers in train and eval mode as before: one layer may stand in a frozen stage and in one that learns."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _unmeasured(run: RunConfig, place: Place, network: nn.Module) -> ComputePlan:
    """What the settings force, and the usual, or the reference, for the rest."""
    plan = ComputePlan.reference() if run.plan == "reference" else ComputePlan.usual(place, network)
    prefix, step = plan.prefix, plan.step
    if run.channels_last != "auto":
        last = run.channels_last == "on"
        prefix = Prefix(path=prefix.path, dtype=prefix.dtype, channels_last=last)
        step = Step(dtype=step.dtype, channels_last=last)
    if run.frozen_path != "auto":
        prefix = Prefix(path=run.frozen_path, dtype=prefix.dtype, channels_last=prefix.channels_last)
    if place.autocast is not None and run.precision != "auto":
        prefix = Prefix(path=prefix.path, dtype=place.autocast, channels_last=prefix.channels_last)
        step = Step(dtype=place.autocast, channels_last=step.channels_last)
    split = run.depthwise == "split" and place.device.type == "cpu"
    return ComputePlan(
        prefix=prefix,
        step=Step(dtype=step.dtype, channels_last=step.channels_last, split_depthwise=split),
        compiled=run.compile,
    )


def _dtypes(run: RunConfig, place: Place) -> tuple[torch.dtype | None, ...]:
    if run.precision != "auto":
        return (place.autocast,)
    if place.autocast is not None:
        return (place.autocast, None)  # a GPU without tensor cores is quicker in float32
    return (None, torch.bfloat16) if native_bfloat16() else (None,)


def _tries_algorithms(run: RunConfig, place: Place, job: Job, network: nn.Module) -> bool:
    """Whether cuDNN shall look for its fastest algorithm at the first batch of each shape.

    On an H100 that took 6 s with ResNet-18, which then was 1.3 times as fast, and 30 s with EfficientNet-Lite0 for nothing.
    """
    if run.deterministic:
        return False  # what is fastest may be another the next time
    if place.device.type != "cuda" or run.cudnn_benchmark != "auto":
        return run.cudnn_benchmark == "on"
    return job.learned_images > _MANY and not slow_in_channels_last(network, place)


def _orders(run: RunConfig, place: Place, network: nn.Module) -> tuple[bool, ...]:
    """Memory orders to try, channels last or not."""
    if run.channels_last == "auto" and slow_in_channels_last(network, place):
        return (False,)
    return {"auto": (True, False), "on": (True,), "off": (False,)}[run.channels_last]


def _frozen_ways(run: RunConfig, place: Place, network: nn.Module) -> tuple[Prefix, ...]:
    """Ways for frozen layers that the settings allow, the likely winners first; the first is taken where none is measured."""
    last = _orders(run, place, network)[0]
    packs = place.device.type == "cpu" and available() and last
    paths: tuple[PrefixPath, ...] = ("packed", "folded", "plain") if packs else ("folded", "plain")
    if run.frozen_path != "auto":
        paths = (run.frozen_path,)
    dtypes = _dtypes(run, place)
    ways = [
        Prefix(path=path, dtype=dtype, channels_last=last) for path in paths for dtype in dtypes if path != "plain" or not dtype
    ]
    if run.frozen_path == "auto" and run.channels_last == "auto" and None in dtypes:
        ways[-1] = REFERENCE_PREFIX
    return tuple(ways)


def _step_ways(run: RunConfig, place: Place, network: nn.Module) -> tuple[Step, ...]:
    """The same for what learns. A network without convolutions has nothing to choose from."""
    orders = _orders(run, place, network)
    splits = {"auto": (False, True), "native": (False,), "split": (True,)}[run.depthwise]
    dtypes = _dtypes(run, place)
    if not any(isinstance(module, nn.Conv2d) for module in network.modules()):
        return (Step(dtype=dtypes[0], channels_last=orders[0]),)
    gpu = place.device.type != "cpu"
    if gpu or not depthwise_layers(network):
        splits = (False,)
    ways = []
    for last in orders:
        for dtype in dtypes:
            if dtype is not None and not last and len(orders) > 1 and not gpu:
                continue  # never quick
            order = splits[:1] if dtype is None else splits[::-1]  # it is in bfloat16 that torch's own gradients are slow
            ways += [Step(dtype=dtype, channels_last=last, split_depthwise=split) for split in order]
    return tuple(way for way in ways if way.channels_last or not way.split_depthwise or len(ways) == 1)


class _Measure:
    """Images a second of each way, within what the job allows."""

    def __init__(self, backbone: Backbone, job: Job, images: Tensor, clock: Clock) -> None:
        self._job, self._images, self._clock = job, images, clock
        self._stages, self._network = cut(backbone, job.frozen)
        self._end = clock() + _SECONDS

    @torch.no_grad()
    def frozen(self, ways: Sequence[Prefix]) -> dict[Prefix, float]:
        """For the frozen layers."""
        self._stages.eval()
        began = self._clock()
        each = self._estimate(lambda: self._stages(self._images[:_PAIR]))
        allowed = min(self._end - began, _SHARE * self._job.frozen_images * each)
        size = self._size("frozen", ways, allowed, each)
        if size is None:
            return {}
        x = self._images[:size]
        return self._race(ways, lambda way: self._prefix(way, x), began + allowed, size)

    def steps(self, ways: Sequence[Step]) -> dict[Step, float]:
        """For forward and backward passes of what learns, on copies."""
        began = self._clock()
        copies = {last: _copy(self._network, last) for last in {way.channels_last for way in ways}}
        device = self._images.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            each = self._estimate(_pass(copies[ways[0].channels_last], ways[0], self._inside(_PAIR)))
            allowed = min(self._end - began, _SHARE * self._job.learned_images * each)
            size = self._size("learns", ways, allowed, each)
            if size is None:
                return {}
            x = self._inside(size)
            reference: Reference | None = None

            def prepare(way: Step) -> Callable[[], object] | None:
                nonlocal reference
                network = copies[way.channels_last]
                if way.dtype is not None or way.split_depthwise:
                    reference = reference or step_reference(network, x)
                    if not step_agrees(network, x, way, reference):
                        return None
                return _pass(network, way, x)

            return self._race(ways, prepare, began + allowed, size)

    def _estimate(self, action: Callable[[], object]) -> float:
        """Seconds for an image, from two of them; the first time is never typical."""
        action()
        return self._seconds(action) / _PAIR

    def _size(self, part: str, ways: Sequence[Prefix] | Sequence[Step], allowed: float, each: float) -> int | None:
        """Images in a timed batch, so that all ways or at least two fit the seconds; ``None`` where they do not."""
        exact = all(way.dtype is None for way in ways)
        smallest = _SMALLEST[part] if exact else _FEWEST[part]
        if self._images.device.type != "cpu":
            smallest = len(self._images)  # a few images do not fill a GPU: every way would seem as fast
        build, runs = _BUILD_SECONDS if part == "frozen" else 0.0, (_ROUNDS + 1) * max(each, 1e-9)
        fits_all, fits_two = (int((allowed / count - build) / runs) for count in (len(ways), 2))
        size = min(max(fits_all, smallest), _LARGEST, len(self._images))
        return size if smallest <= size <= max(fits_all, fits_two) else None

    def _race(
        self, ways: Sequence[_Way], prepare: Callable[[_Way], Callable[[], object] | None], end: float, size: int
    ) -> dict[_Way, float]:
        """Images a second of the ways for which there was time, from the best of several rounds in which they take turns."""
        actions: dict[_Way, Callable[[], object]] = {}
        seconds: dict[_Way, float] = {}
        dearest = 0.0
        for way in ways:
            start = self._clock()
            if start + dearest > end:
                break
            action = prepare(way)
            if action is not None:
                action()
                actions[way] = action
                seconds[way] = self._seconds(action)
            dearest = max(dearest, self._clock() - start)
        for _ in range(_ROUNDS - 1):
            if self._clock() + sum(seconds.values()) > end:
                break
            for way, action in actions.items():
                seconds[way] = min(seconds[way], self._seconds(action))
        alone = len(seconds) < 2  # nothing to compare with
        return {} if alone else {way: size / max(spent, 1e-9) for way, spent in seconds.items()}

    def _prefix(self, way: Prefix, x: Tensor) -> Callable[[], object] | None:
        network = build_prefix(self._stages, self._images, way)
        if way.path == "packed" and not is_packed(network):
            return None
        x = ordered(x, channels_last=way.channels_last)

        def run() -> None:
            with torch.autocast(x.device.type, dtype=way.dtype, enabled=way.dtype is not None):
                network(x)

        return run

    @torch.no_grad()
    def _inside(self, size: int) -> Tensor:
        """What enters the part that learns."""
        inside: Tensor = self._stages.eval()(self._images[:size])
        return inside

    def _seconds(self, action: Callable[[], object]) -> float:
        wait_for(self._images.device)
        start = self._clock()
        action()
        wait_for(self._images.device)
        return self._clock() - start


def _copy(network: nn.Module, channels_last: bool) -> nn.Module:
    order = torch.channels_last if channels_last else torch.contiguous_format
    return copy.deepcopy(network).to(memory_format=order)


def _pass(network: nn.Module, way: Step, x: Tensor) -> Callable[[], object]:
    """A step of training without its last part."""
    layers = depthwise_layers(network)
    learns = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def run() -> None:
        with torch.enable_grad(), way.around(x.device.type, layers):
            out = network(way.enter(x))
        torch.autograd.grad(out.float().square().mean(), learns, allow_unused=True)

    return run


def _chosen(
    ways: Sequence[_Way],
    known: _Way | None,
    kept: Mapping[str, float],
    part: str,
    images: int,
    measure: Callable[[Sequence[_Way]], dict[_Way, float]],
) -> tuple[_Way, dict[str, float]]:
    """A way, and the speeds it was chosen by: kept ones where this part has been measured before."""
    old = {name: speed for name, speed in kept.items() if name.startswith(f"{part} ")}
    if known in ways and known is not None and old:
        return known, old
    speeds = measure(ways) if len(ways) > 1 and images > _FEW else {}
    return _fastest(ways, speeds), {f"{part} {way.name}": round(speed, 2) for way, speed in speeds.items()}


def _fastest(ways: Sequence[_Way], speeds: Mapping[_Way, float]) -> _Way:
    """The fastest; one that is preferred stays unless another is clearly faster, and so does the kind of precision."""
    tried = [way for way in ways if way in speeds]
    if not tried:
        return ways[0]
    exact = ways[0].dtype is None  # what is preferred: on a CPU float32, on a GPU 16 bits
    usual = [way for way in tried if (way.dtype is None) == exact]
    best = (usual or tried)[0]
    for way in usual:
        best = way if speeds[way] > _FASTER * speeds[best] else best
    others = [way for way in tried if (way.dtype is None) != exact]
    quickest = max(others, key=lambda way: speeds[way], default=best)
    return quickest if not usual or speeds[quickest] > _CLEARLY * speeds[best] else best
