"""How a network computes on this machine, as plain data, and the ways to do it. Which way is fastest, `planner` finds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

import torch
from torch import Tensor, nn

from tlstudio.engine.depthwise import depthwise_layers, split_gradients
from tlstudio.engine.device import Place, exactly
from tlstudio.engine.fold import folded, rebuilt, same, with_noise
from tlstudio.engine.modes import in_eval_mode
from tlstudio.engine.packed import packed

PrefixPath = Literal["plain", "folded", "packed", "compiled"]

# Relative L2 norms of differences of outputs and of gradients; for 16 bits they find what is wrong, not what is rounded: of two
# images, bfloat16 alone changes the gradients of EfficientNet-Lite0 by 0.18 to 0.41 with trained weights, and by 0.45 with
# random ones. A new head's outputs for two classes are four small numbers: 0.02 to 0.21, by the head's random beginning.
_TOLERANCES = {True: (1e-4, 1e-3), False: (0.35, 0.6)}
_WORTH_TELLING = 1.05
Reference = tuple[Tensor, Tensor]
"""Outputs and gradients in plain float32."""
_WORDS = {
    "plain": "layer by layer",
    "folded": "with batch norm folded into convolutions",
    "packed": "with packed convolutions",
    "compiled": "compiled",
}


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """How frozen layers compute; ``dtype`` is that of autocast, ``None`` for float32."""

    path: PrefixPath
    dtype: torch.dtype | None = None
    channels_last: bool = True

    @property
    def name(self) -> str:
        """Short, such as ``packed float32``."""
        return f"{self.path} {dtype_name(self.dtype)}{'' if self.channels_last else ' channels first'}"


@dataclass(frozen=True, kw_only=True)
class Step:
    """How what learns computes; ``dtype`` is that of autocast, ``None`` for float32."""

    dtype: torch.dtype | None = None
    channels_last: bool = True
    split_depthwise: bool = False

    @property
    def name(self) -> str:
        """Short, such as ``float32 channels last``."""
        order = "channels last" if self.channels_last else "channels first"
        return f"{dtype_name(self.dtype)} {order}{' split depthwise' if self.split_depthwise else ''}"

    @contextmanager
    def around(self, device: str, layers: Sequence[nn.Conv2d]) -> Iterator[None]:
        """Around a forward pass. ``layers`` are the network's depthwise convolutions."""
        with ExitStack() as stack:
            if self.dtype is not None:
                stack.enter_context(torch.autocast(device, dtype=self.dtype))
            if self.split_depthwise and torch.is_grad_enabled():
                stack.enter_context(split_gradients(layers))
            yield

    def enter(self, x: Tensor) -> Tensor:
        """Input of what learns, in the memory order and the precision that it computes in."""
        return ordered(x if self.dtype is not None else x.float(), channels_last=self.channels_last)


@dataclass(frozen=True, kw_only=True)
class ComputePlan:
    """The way a run computes.

    Args:
        prefix: for frozen layers.
        step: for what learns.
        compiled: whether what learns is compiled by `torch.compile`.
        cudnn_benchmark: whether cuDNN looks for the fastest algorithm of each convolution.
        measured: images a second of each way that was tried, by ``frozen …`` and ``learns …`` and its name.
    """

    prefix: Prefix
    step: Step
    compiled: bool = False
    cudnn_benchmark: bool = False
    measured: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def reference() -> ComputePlan:
        """Plain float32, the way that every other is compared with."""
        return ComputePlan(prefix=REFERENCE_PREFIX, step=REFERENCE_STEP)

    @staticmethod
    def usual(place: Place, network: nn.Module) -> ComputePlan:
        """What is safe and quick everywhere, without measuring."""
        exact = place.device.type == "cpu" and place.autocast is None
        path: PrefixPath = "packed" if exact else "folded"
        last = not slow_in_channels_last(network, place)
        return ComputePlan(
            prefix=Prefix(path=path, dtype=place.autocast, channels_last=last),
            step=Step(dtype=place.autocast, channels_last=last),
        )

    def sentence(self, *, frozen: bool) -> str:
        """For a note to people; of frozen layers only where there are some."""
        order = "" if self.step.channels_last else ", channels first"
        split = ", with split depthwise gradients" if self.step.split_depthwise else ""
        learns = f"What learns computes in {dtype_name(self.step.dtype)}{order}{split}{', compiled' if self.compiled else ''}"
        learns += ", by cuDNN's fastest algorithms" if self.cudnn_benchmark else ""
        learns += self._speed(f"learns {self.step.name}", f"learns {REFERENCE_STEP.name}")
        if not frozen:
            return learns
        before = f"Frozen layers compute in {dtype_name(self.prefix.dtype)}, {_WORDS[self.prefix.path]}"
        before += self._speed(f"frozen {self.prefix.name}", f"frozen {REFERENCE_PREFIX.name}")
        usual = self.step == Step(dtype=self.prefix.dtype) and not self.compiled
        return before if usual and f"learns {self.step.name}" not in self.measured else f"{before} {learns}"

    def _speed(self, chosen: str, plain: str) -> str:
        speed, reference = self.measured.get(chosen), self.measured.get(plain)
        if speed is None:
            return "."
        gain = speed / reference if reference else 1.0
        ratio = f", {gain:.1f} times the plain way" if gain > _WORTH_TELLING else ""
        return f": {speed:.0f} images/s here{ratio}."


REFERENCE_PREFIX = Prefix(path="plain", channels_last=False)
REFERENCE_STEP = Step(channels_last=False)


def dtype_name(dtype: torch.dtype | None) -> str:
    """As people write it; ``None`` is float32."""
    return str(dtype or torch.float32).removeprefix("torch.")


def slow_in_channels_last(network: nn.Module, place: Place) -> bool:
    """Whether that memory order takes too long to begin with.

    cuDNN compiles every grouped convolution in it at the first batch: with EfficientNet-Lite0 on an H100 the first epoch took
    40 s instead of 2 s, and later ones as long as in the other order.
    """
    return place.device.type == "cuda" and any(
        isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules()
    )


def ordered(x: Tensor, *, channels_last: bool) -> Tensor:
    """The tensor in a memory order; a vector has none."""
    if x.dim() != 4:
        return x
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@torch.no_grad()
def build_prefix(stages: nn.Sequential, x: Tensor, prefix: Prefix) -> nn.Module:
    """A copy of frozen stages that computes in this way, or in a plainer one where its values differ.

    Args:
        stages: in forward order; put into eval mode.
        x: real input ``(N, C, H, W)``; the copy is for images of this size.
        prefix: the way; 16-bit values come out where it says so, whatever way is used in the end.
    """
    with exactly():
        network = _built(stages, x, prefix)
        if prefix.dtype is None:
            return network
        sample = ordered(with_noise(x), channels_last=prefix.channels_last)
        expected: Tensor = stages(sample)
        with torch.autocast(x.device.type, dtype=prefix.dtype):
            if same(network(sample), expected):
                return network
        exact = _built(stages, x, Prefix(path=prefix.path, channels_last=prefix.channels_last))
        return nn.Sequential(_Exact(exact), _Cast(prefix.dtype))


def _built(stages: nn.Sequential, x: Tensor, prefix: Prefix) -> nn.Module:
    if prefix.path == "plain":
        return rebuilt(stages, x, (), channels_last=prefix.channels_last)
    if prefix.path == "packed" and x.device.type == "cpu":
        return packed(stages, x, prefix.dtype or torch.float32)
    network = folded(stages, x, channels_last=prefix.channels_last)
    return _compiled_or_not(network, x, prefix) if prefix.path == "compiled" else network


def _compiled_or_not(network: nn.Module, x: Tensor, prefix: Prefix) -> nn.Module:
    sample = ordered(with_noise(x), channels_last=prefix.channels_last)
    with torch.autocast(x.device.type, dtype=prefix.dtype, enabled=prefix.dtype is not None):
        try:
            fast = cast(nn.Module, torch.compile(network))
            if same(fast(sample), network(sample).float()):
                return fast
        except Exception:  # noqa: BLE001 - a compiler that is missing or fails in any way: the network computes without it
            return network
    return network


def step_reference(network: nn.Module, x: Tensor) -> Reference:
    """What `step_agrees` compares with, for who asks it more than once."""
    with in_eval_mode(network), torch.enable_grad(), exactly():
        return _pass(network, x[:2], REFERENCE_STEP, ())


def step_agrees(network: nn.Module, x: Tensor, step: Step, reference: Reference | None = None) -> bool:
    """Whether outputs and gradients of a way to learn are those of plain float32, on two images; changes nothing."""
    expected, slopes = step_reference(network, x) if reference is None else reference
    with in_eval_mode(network), torch.enable_grad(), exactly():
        got, found = _pass(network, x[:2], step, depthwise_layers(network))
    of_outputs, of_slopes = _TOLERANCES[step.dtype is None]
    return _near(got, expected, of_outputs) and _near(found, slopes, of_slopes)


def _near(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool(torch.linalg.vector_norm(got - expected) <= tolerance * torch.linalg.vector_norm(expected).clamp_min(1e-12))


def _pass(network: nn.Module, x: Tensor, step: Step, layers: Sequence[nn.Conv2d]) -> tuple[Tensor, Tensor]:
    learns = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with step.around(x.device.type, layers):
        out: Tensor = network(step.enter(x.detach())).float()
    weights = torch.linspace(-1, 1, out.numel(), device=out.device).view_as(out)
    slopes = torch.autograd.grad((out * weights).sum(), learns, allow_unused=True)
    return out.detach(), torch.cat([slope.float().flatten() for slope in slopes if slope is not None])


class _Exact(nn.Module):
    """Runs a network in float32 within autocast."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            result: Tensor = self.network(x.float())
            return result


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self._dtype)
