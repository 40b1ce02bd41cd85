"""A copy of a frozen network that computes the same with fewer passes: batch norm folded into the convolution before it.

A stage is followed by `torch.fx`, since the order in which layers are defined need not be the order in which they run. Every
rebuilt stage is compared with the original on a real image and on noise; where it cannot be followed, or its values differ,
the original computes on.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Way = Callable[[fx.GraphModule], None]
"""Rebuilds a traced stage in place; every node's ``meta["shape"]`` holds the shape of its output."""

TOLERANCE = 1e-4
"""The largest allowed difference of float32 values, relative to the largest value."""
LOW_TOLERANCE = 0.05
"""The same for 16-bit values, as the relative L2 norm of the difference."""


def folded(prefix: nn.Sequential, x: Tensor, *, channels_last: bool = True) -> nn.Sequential:
    """A copy of the stages for inference, batch norm folded into convolutions; same values, for images of this size only.

    Args:
        prefix: the stages in forward order; put into eval mode.
        x: real input ``(N, C, H, W)`` of the first stage, float32.
        channels_last: the memory order of the copy's weights.
    """
    return rebuilt(prefix, x, (fold_norms,), channels_last=channels_last)


@torch.no_grad()
def rebuilt(
    prefix: nn.Sequential,
    x: Tensor,
    ways: tuple[Way, ...],
    *,
    channels_last: bool = True,
    autocast: torch.dtype | None = None,
) -> nn.Sequential:
    """A copy of the stages, each rebuilt in the first of the ways that keeps its values, or as it is.

    ``autocast`` is the precision in which the copy will run; the stages themselves are asked in float32.
    """
    prefix.eval()
    order = torch.channels_last if channels_last else torch.contiguous_format
    sample = with_noise(x).contiguous(memory_format=order)
    stages: list[nn.Module] = []
    with torch.autocast(x.device.type, enabled=False):
        for stage in prefix:
            expected: Tensor = stage(sample)
            stages.append(_first_that_fits(stage, sample, expected, ways, order, autocast))
            sample = expected
    return nn.Sequential(*stages).eval()


def same(got: Tensor, expected: Tensor) -> bool:
    """Whether values are those of the float32 reference, as exactly as their dtype allows; never where one is not finite."""
    if got.shape != expected.shape:
        return False
    if got.dtype == torch.float32:
        return bool((got - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp_min(1e-6))
    difference = torch.linalg.vector_norm(got.float() - expected)
    return bool(difference <= LOW_TOLERANCE * torch.linalg.vector_norm(expected).clamp_min(1e-6))


def with_noise(x: Tensor) -> Tensor:
    """The first image of a batch and one of noise, ``(2, C, H, W)``: a plain image could hide an error at its rim."""
    noise = torch.randn(x[:1].shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([x[:1].float(), noise.to(x.device)])


def fold_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution whose output it alone reads, and bake "same" padding."""
    uses = Counter(id(graph.get_submodule(str(node.target))) for node in graph.graph.nodes if node.op == "call_module")
    for node in list(graph.graph.nodes):
        before: Any = node.args[0] if node.args else None
        norm = module_of(graph, node)
        conv = module_of(graph, before)
        if not _is_norm(norm) or not _is_conv(conv) or uses[id(norm)] != 1 or uses[id(conv)] != 1 or len(before.users) != 1:
            continue
        graph.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
        activation = getattr(norm, "act", None)  # timm's batch norm carries the activation that follows it
        if isinstance(activation, nn.Module) and not isinstance(activation, nn.Identity):
            graph.set_submodule(node.target, activation)
        else:
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
    for node in graph.graph.nodes:
        conv = module_of(graph, node)
        if _is_conv(conv) and uses[id(conv)] <= 1:
            graph.set_submodule(node.target, _with_fixed_padding(conv, node.args[0].meta["shape"]))


def module_of(graph: fx.GraphModule, node: Any) -> Any:
    """The module that a node calls, or ``None``."""
    called = isinstance(node, fx.Node) and node.op == "call_module"
    return graph.get_submodule(str(node.target)) if called else None


def _first_that_fits(
    stage: nn.Module,
    sample: Tensor,
    expected: Tensor,
    ways: tuple[Way, ...],
    order: torch.memory_format,
    autocast: torch.dtype | None,
) -> nn.Module:
    for way in ways:
        try:
            fast = _traced(_copy(stage), sample)
            way(fast)
            fast.graph.lint()
            fast.delete_all_unused_submodules()
            fast.recompile()
            fast.to(memory_format=order)
            with torch.autocast(sample.device.type, dtype=autocast, enabled=autocast is not None):
                got = fast(sample)
        except Exception:  # noqa: BLE001 - a plugin's network may fail in any way when it is followed; it still computes
            continue
        if isinstance(got, Tensor) and same(got, expected):
            return fast
    return _copy(stage).to(memory_format=order)


class _Tracer(fx.Tracer):
    """Sees convolutions and batch norms as they are, whichever library derived them from torch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kinds = (nn.Conv2d, nn.BatchNorm2d)
        return isinstance(m, kinds) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["shape"] = tuple(value.shape)
        return value


def _traced(stage: nn.Module, sample: Tensor) -> fx.GraphModule:
    root = nn.Sequential(stage)  # a stage may be a single leaf, which cannot be followed by itself
    graph = fx.GraphModule(root, _Tracer().trace(root))
    _Shapes(graph).run(sample)
    return graph


def _copy(stage: nn.Module) -> nn.Module:
    """A copy that shares the weights of dense layers: nothing here changes them, and in a VGG they take 480 MB."""
    dense = (parameter for module in stage.modules() if isinstance(module, nn.Linear) for parameter in module.parameters())
    return copy.deepcopy(stage, {id(parameter): parameter for parameter in dense})


def _is_norm(module: Any) -> bool:
    if not isinstance(module, nn.BatchNorm2d) or module.training or module.running_mean is None or module.running_var is None:
        return False
    activated = hasattr(module, "act") and isinstance(getattr(module, "drop", nn.Identity()), nn.Identity)
    return type(module) is nn.BatchNorm2d or activated


def _is_conv(module: Any) -> bool:
    return type(module) is nn.Conv2d or _is_same(module)


def _is_same(module: Any) -> bool:
    return isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2dSame"


def _with_fixed_padding(conv: nn.Conv2d, shape: tuple[int, ...]) -> nn.Conv2d:
    """A "same" convolution as an ordinary one, which pads without copying its input ``(N, C, H, W)``.

    With stride 2 such a layer pads one pixel more on the right and at the bottom when its input has an even size; a kernel
    with an empty first row and column does the same under symmetric padding.
    """
    size, stride = conv.kernel_size[0], conv.stride[0]
    square = conv.kernel_size == (size, size) and conv.stride == (stride, stride) and conv.dilation == (1, 1)
    even = stride == 2 and shape[-1] % 2 == 0 and shape[-2] % 2 == 0
    if not _is_same(conv) or not square or size % 2 == 0 or size < 3 or not (stride == 1 or even):
        return conv
    grown = 1 if stride == 2 else 0
    fixed = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        size + grown,
        stride=stride,
        padding=(size - 1) // 2,
        groups=conv.groups,
        bias=conv.bias is not None,
    )
    fixed.weight = nn.Parameter(nn.functional.pad(conv.weight.detach(), (grown, 0, grown, 0)), requires_grad=False)
    fixed.bias = conv.bias
    return fixed.to(conv.weight.device)
