"""Looks at one network of timm: whether its stages are its forward pass, what it costs, which sizes it takes.

Used by ``make_table.py``; needs no weights. Networks of moderate size are computed, with numbers in every parameter: fresh
ones have zeros in many places, which would hide a missing step. Of larger ones the operations are compared that stages and
network call on torch's meta device, by name and shapes. What is made of the same layers under the same settings as a network
that was looked at before, only larger, is not looked at again.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tlstudio.api import Backbone
from tlstudio.engine.describe import _empty_parameters
from tlstudio.testing.numbers import fill_parameters, fill_statistics
from tlstudio_timm.networks import build
from tlstudio_timm.routes import ROUTES

_COMPUTED = 60_000_000
"""Networks of at most so many parameters are computed; of the larger ones, what they call is compared."""
_SIDES = (64, 96, 128, 160, 192, 224)
_STEP = 32
_OTHERS = (5 * _STEP, 7 * _STEP, 8 * _STEP)
_UNEVEN = 200
_CLASSES = 1000
_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found.

    Args:
        arguments: for the constructor.
        out_of_place: whether activations must not work in place.
        params: with a head of 1,000 classes.
        flops: multiply-adds for one image.
        size_step: of which number the size of its images must be a multiple; 0 where it takes images of its own size only.
        stages: their names.
        computed: the largest difference of logits, relative to the largest; ``None`` where only operations were compared.
    """

    arguments: Mapping[str, object] = field(default_factory=dict)
    out_of_place: bool = False
    params: int = 0
    flops: int = 0
    size_step: int = 1
    stages: tuple[str, ...] = ()
    computed: float | None = None


class Refused(Exception):
    """Why a network is not offered."""


_Thing = TypeVar("_Thing")
_Seen = dict[object, tuple[bool, int, float | None]]


def look(name: str, size: int, seen: _Seen) -> Look:
    """Build the network and see what it does.

    Args:
        name: as timm registers it.
        size: of its images.
        seen: what was found of networks made alike; adds to it.

    Raises:
        Refused: it does not fit the contract of a backbone.
    """
    arguments, backbone = _built(name)
    _check_parts(backbone)
    kind = _kind(backbone)
    if kind not in seen:
        seen[kind] = _looked(name, arguments, backbone, size)
    out_of_place, size_step, computed = seen[kind]
    return Look(
        arguments=arguments,
        out_of_place=out_of_place,
        params=sum(parameter.numel() for parameter in backbone.module.parameters()),
        flops=_flops(backbone.module, size),
        size_step=size_step,
        stages=tuple(backbone.stages),
        computed=computed,
    )


def _looked(name: str, arguments: Mapping[str, object], backbone: Backbone, size: int) -> tuple[bool, int, float | None]:
    params = sum(parameter.numel() for parameter in backbone.module.parameters())
    check = _computed if params <= _COMPUTED else _compared
    size_step = _size_step(backbone, size)
    difference, out_of_place = check(backbone, size)
    if out_of_place:
        backbone = _without_numbers(name, arguments, out_of_place=True)
        difference, changed = check(backbone, size)
        if changed:
            raise Refused("a stage changes its input in place")
    return out_of_place, size_step, difference


def _kind(backbone: Backbone) -> object:
    """What two networks share that are made alike: kinds of layers, and settings that are no measures."""
    module = backbone.module
    layers = {type(layer).__qualname__ for layer in module.modules()}
    missing = {name for name in module._modules if isinstance(module._modules[name], nn.Identity | None)}
    loose = {name for name, value in module._parameters.items() if value is not None}
    settings = {
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | str) or (name.startswith("num_") and name.endswith("_tokens"))
    }
    head = tuple(type(layer).__qualname__ for layer in backbone.head)
    stages = tuple(sorted({"".join(c for c in stage if c.isalpha()) for stage in backbone.stages}))
    return tuple(frozenset(part) for part in (layers, missing, loose, settings)), head, stages, type(module)


def _built(name: str) -> tuple[dict[str, object], Backbone]:
    """With the arguments that make it the most flexible and still run."""
    import timm

    promised = str(timm.models.model_entrypoint(name).__annotations__.get("return", ""))
    promised = promised.rpartition(".")[2].strip("'>")
    for arguments in ROUTES[promised].flexible if promised in ROUTES else ():
        try:
            backbone = _without_numbers(name, arguments)
        except Exception:  # noqa: BLE001 - the next arguments
            continue
        return dict(arguments), backbone
    try:
        return {}, _without_numbers(name, {})
    except ValueError as error:  # what building says in words of a network that is no classifier
        raise Refused(str(error)) from error


def _without_numbers(name: str, arguments: Mapping[str, object], *, out_of_place: bool = False) -> Backbone:
    """Built with shapes alone, which is quick; with numbers where its constructor needs them (pruned networks)."""
    try:
        with _empty_parameters():
            backbone = build(name, arguments, out_of_place, _CLASSES)
        if not any(buffer.is_meta for buffer in backbone.module.buffers()):
            return backbone
    except (NotImplementedError, RuntimeError):
        pass
    return build(name, arguments, out_of_place, _CLASSES)


def _check_parts(backbone: Backbone) -> None:
    for kind in ("parameters", "buffers"):
        held = Counter(id(tensor) for part in (*backbone.stages.values(), backbone.head) for tensor in getattr(part, kind)())
        for key, tensor in getattr(backbone.module, f"named_{kind}")():
            if held[id(tensor)] != 1:
                raise Refused(f"{key} is in {held[id(tensor)]} of its stages")


def _meta(backbone: Backbone) -> Backbone:
    return _without_values(backbone, (backbone.module, *backbone.stages.values(), backbone.head))


def _without_values(thing: _Thing, modules: Iterable[nn.Module]) -> _Thing:
    """A copy on torch's meta device, made without copying a number: the largest networks fill the memory once."""
    known: dict[int, Any] = {}
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            empty = tensor.detach().to("meta")
            known.setdefault(
                id(tensor), nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
            )
    return copy.deepcopy(thing, known)


def _run(backbone: Backbone, size: int) -> Tensor:
    x = torch.zeros(2, 3, size, size, device="meta")
    backbone.module.eval()
    with torch.no_grad():
        for part in (*backbone.stages.values(), backbone.head):
            x = part(x)
    return x


class _Calls(TorchDispatchMode):
    """Counts operations by name and shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in _HEAVY:
            shapes = [tuple(value.shape) for value in args if isinstance(value, Tensor)]
            self.calls[f"{name} {shapes}"] += 1
        return out


_HEAVY = {"convolution", "mm", "addmm", "bmm", "baddbmm", "native_layer_norm", "native_batch_norm", "native_group_norm", "gelu",
          "relu", "relu_", "silu", "silu_", "hardswish", "hardswish_", "sigmoid", "sigmoid_", "_softmax", "mean",
          "max_pool2d_with_indices", "avg_pool2d", "hardsigmoid", "hardsigmoid_", "leaky_relu", "leaky_relu_"}  # fmt: skip


def _compared(backbone: Backbone, size: int) -> tuple[None, bool]:
    """Compare the operations of both ways; tells whether a stage changed its input."""
    there = _meta(backbone)
    there.module.eval()
    x = torch.zeros(2, 3, size, size, device="meta")
    with torch.no_grad():
        with _Calls() as theirs:
            logits = there.module(x)
        _check_logits(logits)
        with _Calls() as ours:
            x, changed = _by_stages(there, x)
    if x.shape != logits.shape:
        raise Refused(f"stages and head give shape {tuple(x.shape)}")
    if ours.calls != theirs.calls:
        wrong = [*(theirs.calls - ours.calls), *(ours.calls - theirs.calls)]
        raise Refused(f"its stages compute something else: {wrong[:3]}")
    return None, changed


def _computed(backbone: Backbone, size: int) -> tuple[float | None, bool]:
    """The largest difference of logits, relative to the largest; and whether a stage changed its input.

    Where random weights make logits that tell nothing, operations are compared instead.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        module = _filled(backbone).eval()
        images = _smallest(module, size)
        fill_statistics(module, images)
        logits = module(images)
        _check_logits(logits)
        x, changed = _by_stages(backbone, images)
    largest = float(logits.abs().max())
    if not (torch.isfinite(logits).all() and largest > 0 and float((logits[0] - logits[1]).abs().max()) > 0):
        return _compared(backbone, size)
    if x.shape != logits.shape:
        raise Refused(f"stages and head give shape {tuple(x.shape)}")
    difference = float((x - logits).abs().max()) / largest
    if not (difference <= _TOLERANCE or changed):
        raise Refused(f"stages and head differ from the network by {difference:.1g}")
    return difference, changed


def _by_stages(backbone: Backbone, x: Tensor) -> tuple[Tensor, bool]:
    changed = False
    for name, part in (*backbone.stages.items(), ("head", backbone.head)):
        version = x._version
        y = part(x)
        changed = changed or x._version != version
        if not isinstance(y, Tensor):
            raise Refused(f"its part {name} gives a {type(y).__name__}, not one tensor")
        x = y
    return x, changed


def _check_logits(logits: object) -> None:
    if not isinstance(logits, Tensor) or logits.shape != (2, _CLASSES):
        raise Refused("it gives no vector of logits for an image: it is an encoder for other programs, not a classifier")


def _filled(backbone: Backbone) -> nn.Module:
    """The network with numbers in every parameter, none of them zero; buffers keep theirs."""
    values: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # the old one is kept, so that its identity stays its own
    fresh: set[int] = set()
    for part in (backbone.module, *backbone.stages.values(), backbone.head):
        for layer in part.modules():
            for key, parameter in layer._parameters.items():
                if parameter is not None:
                    if id(parameter) not in values and id(parameter) not in fresh:
                        values[id(parameter)] = parameter, nn.Parameter(torch.zeros(parameter.shape))
                        fresh.add(id(values[id(parameter)][1]))
                    if id(parameter) in values:
                        layer._parameters[key] = values[id(parameter)][1]
    fill_parameters(backbone.module)
    return backbone.module


def _smallest(module: nn.Module, size: int) -> Tensor:
    for side in (*(side for side in _SIDES if side < size), size):
        images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        try:
            module(images)
        except Exception:
            if side == size:
                raise
        else:
            return images
    raise AssertionError


def _size_step(backbone: Backbone, size: int) -> int:
    """Of which number sizes must be multiples; 0 where there is one size only."""
    there = _meta(backbone)

    def takes(side: int) -> bool:
        try:
            _run(there, side)
        except Exception:  # noqa: BLE001 - it does not, for a reason of its own
            return False
        return True

    if takes(_UNEVEN) and takes(_OTHERS[0]):
        return 1
    return _STEP if all(takes(side) for side in _OTHERS if side != size) else 0


def _flops(module: nn.Module, size: int) -> int:
    """Multiply-adds for one image."""
    there = _without_values(module, [module]).eval().requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        there(torch.zeros(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2
