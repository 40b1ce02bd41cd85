"""Gradients of depthwise convolutions in parts for which the CPU has quick code.

oneDNN has slow code for some of them: in bfloat16 the gradient of the input for stride 2, and that of weights larger than
3 x 3, take most of a training step of an EfficientNet. The same sums follow from quick ones: the first from the stride-1
gradient of an output spread out with zeros, the second from 3 x 3 windows of the kernel, one after another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_WINDOW = 3
_SAME = "Conv2dSame"


def depthwise_layers(network: nn.Module) -> tuple[nn.Conv2d, ...]:
    """The convolutions of a network whose gradients can be split: one filter a channel, square, padded with zeros."""
    return tuple(module for module in network.modules() if isinstance(module, nn.Conv2d) and _can_split(module))


@contextmanager
def split_gradients(layers: Sequence[nn.Conv2d]) -> Iterator[None]:
    """Layers that run inside compute their gradients in parts; the layers themselves are afterwards as they were.

    Only the forward pass has to run inside. The values of the output are those of the layer.
    """
    try:
        for layer in layers:
            layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def _can_split(conv: nn.Conv2d) -> bool:
    size, stride = conv.kernel_size[0], conv.stride[0]
    square = conv.kernel_size == (size, size) and conv.stride == (stride, stride) and conv.dilation == (1, 1)
    known = type(conv).__name__ == _SAME or type(conv) is nn.Conv2d
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and len(set(conv.padding)) == 1
    return known and square and plain and 1 < conv.groups == conv.in_channels == conv.out_channels and size >= _WINDOW


def _forward(conv: nn.Conv2d, x: Tensor) -> Tensor:
    padding = int(conv.padding[0])
    if type(conv).__name__ == _SAME:
        x, padding = _padded(x, conv.kernel_size[0], conv.stride[0])
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    bias = None if conv.bias is None else conv.bias.to(dtype)
    result: Tensor = DepthwiseConvolution.apply(x.to(dtype), conv.weight.to(dtype), bias, conv.stride[0], padding)
    return result


def _padded(x: Tensor, size: int, stride: int) -> tuple[Tensor, int]:
    """Input for "same" padding, and the symmetric padding that is left to the convolution."""
    height, width = (max((math.ceil(side / stride) - 1) * stride + size - side, 0) for side in x.shape[-2:])
    if height == width and height % 2 == 0:
        return x, height // 2
    return functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)), 0


class DepthwiseConvolution(torch.autograd.Function):
    """``apply(x, weight, bias, stride, padding)``: ``(N, C, H, W)`` by ``(C, 1, K, K)``, all of one dtype."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        """The ordinary convolution."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input, weight and bias."""
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _of_input(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            of_weight = _of_weight(gradient, x, weight, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[2]:
            exact = gradient.dtype if gradient.dtype == torch.float64 else torch.float32
            of_bias = gradient.sum((0, 2, 3), dtype=exact).to(gradient.dtype)
        return of_x, of_weight, of_bias, None, None


def _of_input(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    if stride > 1:
        size = weight.shape[-1]
        height, width = (side + 2 * padding - size + 1 for side in x.shape[-2:])
        order = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        spread = torch.empty(
            (*gradient.shape[:2], height, width), dtype=gradient.dtype, device=gradient.device, memory_format=order
        )
        spread.zero_()[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return _native(gradient, x, weight, 1, padding, (True, False, False))[0]


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    size = weight.shape[-1]
    if size <= _WINDOW:
        return _native(gradient, x, weight, stride, padding, (False, True, False))[1]
    order = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    x = functional.pad(x, (padding,) * 4) if padding else x
    window = weight[:, :, :_WINDOW, :_WINDOW].contiguous()
    height, width = ((side - 1) * stride + _WINDOW for side in gradient.shape[-2:])
    starts = [*range(0, size - _WINDOW, _WINDOW), size - _WINDOW]
    result = torch.empty_like(weight)
    for top, left in product(starts, starts):
        seen = x[:, :, top : top + height, left : left + width].contiguous(memory_format=order)
        part = _native(gradient, seen, window, stride, 0, (False, True, False))[1]
        result[:, :, top : top + _WINDOW, left : left + _WINDOW] = part
    return result


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    sides = [stride, stride], [padding, padding], [1, 1]
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, *sides, False, [0, 0], len(weight), list(wanted)
    )
    return result
