"""The frozen beginning of a network, run once for each image: its output never changes, so it is kept.

The beginning runs in eval mode under `no_grad` with batch norm folded into the convolutions before it, after a numerical
check that the folded copy gives the same values.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tlstudio.api.backbone import Backbone
from tlstudio.engine.device import Place
from tlstudio.engine.loader import ImageSource, ahead, in_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 32
_TOLERANCE = 1e-4
_MEMORY_SHARE = 0.25
_MEMORY_LIMIT = 4 * 2**30


class SplitModel:
    """A network cut after its frozen prefix: ``suffix(prefix(x))`` are the logits.

    Args:
        backbone: the network.
        frozen: how many leading stages are frozen.
        place: the device.
    """

    def __init__(self, backbone: Backbone, frozen: int, place: Place) -> None:
        stages = list(backbone.stages.values())
        fixed, rest = _split_head(backbone.head) if frozen == len(stages) else ([], [backbone.head])
        self.frozen = frozen
        self.place = place
        self._whole = backbone.module if frozen == 0 else None
        self._prefix = nn.Sequential(*stages[:frozen], *fixed)
        self._suffix = nn.Sequential(*stages[frozen:], *rest)
        self._fast: nn.Module | None = None

    @torch.no_grad()
    def prefix(self, x: Tensor) -> Tensor:
        """The output of the frozen stages for ``(N, 3, H, W)`` normalised images; the input itself where none is frozen."""
        if self.frozen == 0:
            return x
        with self.place.mixed_precision():
            if self._fast is None:
                self._fast = _folded(self._prefix, x)
            features: Tensor = self._fast(x)
            return features

    def suffix(self, x: Tensor) -> Tensor:
        """Logits ``(N, C)`` from the output of `prefix`."""
        with self.place.mixed_precision():
            logits: Tensor = self._whole(x) if self._whole is not None else self._suffix(x)
            return logits


class FeatureCache:
    """Outputs of the frozen prefix by draw and row, in memory."""

    def __init__(self, model: SplitModel, source: ImageSource) -> None:
        self._model = model
        self._source = source
        self._index: dict[int, dict[int, int]] = {}
        self._values: dict[int, Tensor] = {}

    def fill(self, rows: NDArray[np.int64], draw: int | None) -> Iterator[int]:
        """Compute what is missing of one draw; yields how many images are done."""
        key = -1 if draw is None else draw
        known = self._index.setdefault(key, {})
        todo = np.array([row for row in rows if int(row) not in known], dtype=np.int64)
        tasks = (partial(self._source.batch, part, draw=draw) for part in in_batches(todo, _BATCH))
        parts = [self._values[key]] if key in self._values else []
        done = len(rows) - len(todo)
        for pixels, kept in ahead(tasks):
            if not len(kept):
                continue
            features = self._model.prefix(to_input(pixels, self._source, self._model.place))
            known.update({int(row): len(known) + i for i, row in enumerate(kept)})
            parts.append(features.contiguous())
            done += len(kept)
            yield done
        if parts:
            self._values[key] = torch.cat(parts)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], draw: int | None) -> tuple[Tensor, NDArray[np.int64]]:
        """Features and the rows they belong to."""
        key = -1 if draw is None else draw
        known = self._index[key]
        kept = np.array([row for row in rows if int(row) in known], dtype=np.int64)
        values = self._values[key]
        where = torch.tensor([known[int(row)] for row in kept], dtype=torch.int64, device=values.device)
        return values.index_select(0, where), kept


def fits_in_memory(model: SplitModel, source: ImageSource, place: Place, images: int) -> bool:
    """Whether the prefix's output for so many images fits the memory budget."""
    side = source.preprocessing.image_size
    sample = model.prefix(torch.zeros(1, 3, side, side, device=place.device).to(memory_format=torch.channels_last))
    need = sample.numel() * sample.element_size() * images
    return need <= min(_MEMORY_LIMIT, _MEMORY_SHARE * _memory())


def to_input(pixels: NDArray[np.uint8], source: ImageSource, place: Place) -> Tensor:
    """``(N, S, S, 3)`` uint8 pixels as ``(N, 3, S, S)`` normalised float32 on the device, in channels-last order."""
    tensor = torch.from_numpy(pixels)
    if place.device.type == "cuda":
        tensor = tensor.pin_memory()
    tensor = tensor.to(place.device, non_blocking=True).permute(0, 3, 1, 2)
    mean = torch.tensor(source.preprocessing.mean, device=place.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(source.preprocessing.std, device=place.device).view(1, 3, 1, 1) * 255.0
    return (tensor.float() - mean) / std


def _split_head(head: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """A head's beginning without parameters and chance (pooling, flattening), and the rest."""
    if not isinstance(head, nn.Sequential):
        return [], [head]
    children = list(head)
    for index, child in enumerate(children):
        random = any("drop" in type(module).__name__.lower() for module in child.modules())
        if random or any(True for _ in child.parameters()):
            return children[:index], children[index:]
    return children, []


def _folded(prefix: nn.Module, x: Tensor) -> nn.Module:
    """A copy with batch norms folded into the convolutions before them, or the original where values would differ."""
    prefix.eval()
    fast = copy.deepcopy(prefix).requires_grad_(False)
    _fold(fast)
    fast.to(memory_format=torch.channels_last)
    sample = x[:2]
    expected, got = prefix(sample), fast(sample)
    scale = expected.abs().max().clamp_min(1e-6)
    tolerance = _TOLERANCE if expected.dtype == torch.float32 else 0.05
    same = bool((expected - got).abs().max() <= tolerance * scale)
    return fast if same else copy.deepcopy(prefix).requires_grad_(False)


def _fold(module: nn.Module) -> None:
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous is not None and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], _with_fixed_padding(fuse_conv_bn_eval(previous[1], child)))
            activation = getattr(child, "act", None)  # timm's batch norm carries the activation that follows it
            setattr(module, name, activation if isinstance(activation, nn.Module) else nn.Identity())
        else:
            _fold(child)
        previous = (name, child)


def _with_fixed_padding(conv: nn.Conv2d) -> nn.Conv2d:
    """A strided "same" convolution as an ordinary one, which pads without copying its input.

    Such a layer pads one pixel more on the right and at the bottom when its input has an even size; a kernel with an empty
    first row and column does the same under symmetric padding. For an odd size the check in `_folded` finds the difference.
    """
    size, stride = conv.kernel_size[0], conv.stride[0]
    if type(conv).__name__ != "Conv2dSame" or stride != 2 or size % 2 == 0 or conv.kernel_size != (size, size):
        return conv
    fixed = nn.Conv2d(
        conv.in_channels, conv.out_channels, size + 1, stride=2, padding=(size - 1) // 2, groups=conv.groups, bias=True
    )
    fixed.weight = nn.Parameter(nn.functional.pad(conv.weight.detach(), (1, 0, 1, 0)), requires_grad=False)
    fixed.bias = conv.bias
    return fixed


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
