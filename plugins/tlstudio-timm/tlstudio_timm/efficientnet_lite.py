"""EfficientNet-Lite in plain torch, with the parameter names and the values of timm's ``tf_efficientnet_lite*``.

A state dict of one loads into the other. Importing timm takes seconds, this takes none; nothing here needs it.

Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks; the Lite variants leave out
squeeze-and-excitation and use ReLU6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Variant:
    """How much wider and deeper a network is than Lite0."""

    width: float = 1.0
    depth: float = 1.0


VARIANTS = {
    "lite0": Variant(),
    "lite1": Variant(depth=1.1),
    "lite2": Variant(width=1.1, depth=1.2),
    "lite3": Variant(width=1.2, depth=1.4),
    "lite4": Variant(width=1.4, depth=1.8),
}
"""By name; the ends keep their size in all of them: the stem, the head's features, and one block in the outer stages."""


@dataclass(frozen=True)
class _Stage:
    """A run of blocks with equally many output channels; ``stride`` is that of the first one."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)
_STEM = 32
_FEATURES = 1280
_EPSILON = 1e-3  # TensorFlow's for batch norm, which the published weights were trained with
_MULTIPLE = 8  # of which every number of channels is one


class Conv2dSame(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: as many output pixels as strides fit, the odd padding pixel last."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', ceil(H / stride), ceil(W / stride))``."""
        top, bottom = self._padding_of(x.shape[-2], 0)
        left, right = self._padding_of(x.shape[-1], 1)
        padded = functional.pad(x, (left, right, top, bottom))
        return functional.conv2d(padded, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)

    def _padding_of(self, size: int, axis: int) -> tuple[int, int]:
        stride, reach = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        missing = max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
        return missing // 2, missing - missing // 2


class SeparableBlock(nn.Module):
    """A depthwise convolution, then one that mixes the channels without an activation. The first block of the network."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.has_skip = stride == 1 and inputs == outputs
        self.conv_dw = _conv(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1 = _norm(inputs)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_pw = _conv(inputs, outputs)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', H / stride, W / stride)``."""
        shortcut = x
        x = self.act1(self.bn1(self.conv_dw(x)))
        x = self.bn2(self.conv_pw(x))
        return x + shortcut if self.has_skip else x


class InvertedResidual(nn.Module):
    """Widens, convolves each channel by itself, and narrows again (Sandler et al. 2018, MobileNetV2)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.has_skip = stride == 1 and inputs == outputs
        self.conv_pw = _conv(inputs, inner)
        self.bn1 = _norm(inner)
        self.act1 = nn.ReLU6(inplace=True)
        self.conv_dw = _conv(inner, inner, kernel, stride, groups=inner)
        self.bn2 = _norm(inner)
        self.act2 = nn.ReLU6(inplace=True)
        self.conv_pwl = _conv(inner, outputs)
        self.bn3 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C', H / stride, W / stride)``."""
        shortcut = x
        x = self.act1(self.bn1(self.conv_pw(x)))
        x = self.act2(self.bn2(self.conv_dw(x)))
        x = self.bn3(self.conv_pwl(x))
        return x + shortcut if self.has_skip else x


class EfficientNetLite(nn.Module):
    """The whole network, with random weights.

    Args:
        variant: of `VARIANTS`.
        num_classes: how many logits it gives.
    """

    def __init__(self, variant: Variant, num_classes: int) -> None:
        super().__init__()
        self.num_features = _FEATURES
        self.conv_stem = _conv(3, _STEM, 3, 2)
        self.bn1 = _norm(_STEM)
        self.act1 = nn.ReLU6(inplace=True)
        stages, channels = [], _STEM
        for stage, blocks in zip(_STAGES, blocks_per_stage(variant), strict=True):
            outputs = _widened(stage.channels, variant.width)
            stages.append(_blocks(stage, channels, outputs, blocks))
            channels = outputs
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _conv(channels, _FEATURES)
        self.bn2 = _norm(_FEATURES)
        self.act2 = nn.ReLU6(inplace=True)
        self.global_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1))
        self.classifier = nn.Linear(_FEATURES, num_classes)
        self.apply(_start)

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, 3, H, W)`` to logits ``(N, num_classes)``."""
        x = self.act1(self.bn1(self.conv_stem(x)))
        x = self.blocks(x)
        x = self.act2(self.bn2(self.conv_head(x)))
        logits: Tensor = self.classifier(self.global_pool(x))
        return logits


def blocks_per_stage(variant: Variant) -> tuple[int, ...]:
    """How many blocks each stage has; the first and the last one keep theirs in all variants."""
    first, *inner, last = (stage.blocks for stage in _STAGES)
    return first, *(math.ceil(blocks * variant.depth) for blocks in inner), last


def _blocks(stage: _Stage, inputs: int, outputs: int, count: int) -> nn.Sequential:
    """A stage; only its first block strides and changes the number of channels."""
    blocks: list[nn.Module] = []
    for number in range(count):
        before, stride = (outputs, 1) if number else (inputs, stage.stride)
        if stage.expansion == 1:
            blocks.append(SeparableBlock(before, outputs, kernel=stage.kernel, stride=stride))
        else:
            blocks.append(InvertedResidual(before, outputs, kernel=stage.kernel, stride=stride, expansion=stage.expansion))
    return nn.Sequential(*blocks)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Without bias, since batch norm follows; with stride 1, "same" padding is the same on all sides."""
    if stride > 1:
        return Conv2dSame(inputs, outputs, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


def _widened(channels: int, width: float) -> int:
    """The nearest multiple of eight that is not a tenth smaller than asked for."""
    wanted = channels * width
    rounded = max(_MULTIPLE, int(wanted + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return rounded if rounded >= 0.9 * wanted else rounded + _MULTIPLE


@torch.no_grad()
def _start(module: nn.Module) -> None:
    """Random values as in the paper's code: the variance of what leaves a layer is kept on the way back (He et al. 2015).

    On torch's meta device there is nothing to fill, and pretending to would import torch's compiler (1.7 s).
    """
    if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.is_meta:
        return
    if isinstance(module, nn.Conv2d):
        leaving = module.out_channels * math.prod(module.kernel_size) // module.groups
        module.weight.normal_(0.0, math.sqrt(2.0 / leaving))
    elif isinstance(module, nn.Linear):
        limit = 1.0 / math.sqrt(module.out_features)
        module.weight.uniform_(-limit, limit)
        module.bias.zero_()
