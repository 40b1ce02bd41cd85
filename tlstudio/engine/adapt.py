"""Makes the tensors of a foreign checkpoint fit: other names, another input size, another number of input channels."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tlstudio.api.backbone import Backbone, StateDict

_POSITIONS = {"pos_embed", "pos_embedding", "position_embedding", "position_embeddings"}
_PREFIX_TOKENS = (1, 0, 2, 5)  # a class token; none; one for distillation too; registers
_DEEPEST = 3

# torchvision's names of a vision transformer and timm's, for the same tensors in the same layout. torchvision 0.11 had the
# third way of naming the two layers of an MLP.
_VIT = (
    ("class_token", "cls_token"),
    ("conv_proj.", "patch_embed.proj."),
    ("encoder.pos_embedding", "pos_embed"),
    ("encoder.ln.", "norm."),
    ("heads.head.", "head."),
)
_VIT_BLOCK = (
    ("ln_1.", "norm1."),
    ("ln_2.", "norm2."),
    ("self_attention.in_proj_", "attn.qkv."),
    ("self_attention.out_proj.", "attn.proj."),
    ("mlp.0.", "mlp.fc1."),
    ("mlp.3.", "mlp.fc2."),
)
_VIT_BLOCK_OLD = (("mlp.linear_1.", "mlp.fc1."), ("mlp.linear_2.", "mlp.fc2."))
_TORCHVISION_BLOCK = re.compile(r"encoder\.layers\.encoder_layer_(\d+)\.(.+)")
_TIMM_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """How a tensor of a file becomes one of the network: what is done, for people, and the doing."""

    how: str
    apply: Callable[[Tensor], Tensor]


def spellings(state: StateDict, more: Sequence[Callable[[StateDict], StateDict]] = ()) -> Iterator[tuple[str, StateDict]]:
    """The tensors under every naming that is worth a try, each with a word for it; their own names first.

    What most names begin with (a wrapper's attribute: ``backbone.``, ``student.net.``) is taken off, one word at a time, and
    on each of these the renamings of a plugin (``more``) and those between torchvision and timm are tried. ResNets need none:
    both libraries name them alike.
    """
    prefix = ""
    for depth in range(_DEEPEST + 1):
        words = [f"without “{prefix}”"] if prefix else []
        yield ", ".join(words), state
        for rename in more:
            try:
                renamed = rename(state)
            except (KeyError, ValueError, IndexError):
                continue  # the file does not have those names
            yield ", ".join([*words, "the publisher's names"]), renamed
        if "class_token" in state:
            yield ", ".join([*words, "torchvision's names"]), {vit_to_timm(name): value for name, value in state.items()}
        if "cls_token" in state:
            yield ", ".join([*words, "timm's names"]), {vit_to_torchvision(name): value for name, value in state.items()}
        first = Counter(name.partition(".")[0] for name in state if "." in name).most_common(1)
        if depth == _DEEPEST or not first or first[0][1] * 2 < len(state):
            return
        prefix += first[0][0] + "."
        state = {name.removeprefix(first[0][0] + "."): value for name, value in state.items()}


def vit_to_timm(name: str) -> str:
    """timm's name for a tensor of a vision transformer that torchvision names so; other names stay."""
    block = _TORCHVISION_BLOCK.fullmatch(name)
    if block is not None:
        return f"blocks.{block[1]}.{_swapped(block[2], (*_VIT_BLOCK, *_VIT_BLOCK_OLD))}"
    return _swapped(name, _VIT)


def vit_to_torchvision(name: str) -> str:
    """The way back from `vit_to_timm`."""
    block = _TIMM_BLOCK.fullmatch(name)
    if block is not None:
        return f"encoder.layers.encoder_layer_{block[1]}.{_swapped(block[2], [(b, a) for a, b in _VIT_BLOCK])}"
    return _swapped(name, [(b, a) for a, b in _VIT])


def adaptation(name: str, tensor: Tensor, wanted: Tensor, first_convolution: str) -> Adaptation | None:
    """How a tensor can take the shape of the network's, or ``None`` where there is no sound way."""
    if name.rpartition(".")[2] in _POSITIONS:
        return _of_positions(tensor, wanted)
    if name == first_convolution:
        return _of_channels(tensor, wanted)
    return None


def first_convolution(backbone: Backbone) -> str:
    """The name of the weight that meets the image's channels; empty where the first stage has no convolution."""
    stage = next(iter(backbone.stages.values()))
    weight = next((parameter for parameter in stage.parameters() if parameter.ndim == 4), None)
    return next((name for name, parameter in backbone.module.named_parameters() if parameter is weight), "")


def _of_positions(tensor: Tensor, wanted: Tensor) -> Adaptation | None:
    """A position embedding ``(1, tokens, channels)`` of a square grid, for another grid.

    Interpolated over the grid, tokens without a place stay (Dosovitskiy et al. 2020, An image is worth 16x16 words, section
    3.2); bicubic with antialiasing, as timm does.
    """
    if tensor.ndim != 3 or wanted.ndim != 3 or tensor.shape[0] != 1 or tensor.shape[2] != wanted.shape[2]:
        return None
    for extra in _PREFIX_TOKENS:
        old, new = (math.isqrt(max(0, count - extra)) for count in (tensor.shape[1], wanted.shape[1]))
        if old and new and (old * old + extra, new * new + extra) == (tensor.shape[1], wanted.shape[1]):
            return Adaptation(
                how=f"position embedding interpolated, {old} x {old} to {new} x {new}",
                apply=partial(_resampled, extra=extra, old=old, new=new),
            )
    return None


def _resampled(tensor: Tensor, extra: int, old: int, new: int) -> Tensor:
    tokens, grid = tensor[:, :extra], tensor[:, extra:].float()
    grid = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    grid = functional.interpolate(grid, size=(new, new), mode="bicubic", antialias=True, align_corners=False)
    grid = grid.permute(0, 2, 3, 1).reshape(1, new * new, -1)
    return torch.cat([tokens, grid.to(tensor.dtype)], 1)


def _of_channels(tensor: Tensor, wanted: Tensor) -> Adaptation | None:
    """The first convolution ``(out, in, height, width)`` for another number of input channels.

    To one channel: their sum. To several: the channels in turn, as often as needed, scaled by old / new. Either way an image
    whose channels are all alike gives what it gave before, from one channel exactly. The rule is timm's
    (``adapt_input_conv``), which has it for three channels; here it holds for any number.
    """
    if tensor.ndim != 4 or wanted.ndim != 4 or tensor.shape[2:] != wanted.shape[2:] or tensor.shape[0] != wanted.shape[0]:
        return None
    old, new = tensor.shape[1], wanted.shape[1]
    return Adaptation(how=f"first convolution, {old} to {new} input channels", apply=lambda value: _with_channels(value, new))


def _with_channels(weight: Tensor, new: int) -> Tensor:
    old = weight.shape[1]
    if new == 1:
        return weight.float().sum(1, keepdim=True).to(weight.dtype)
    repeated = weight.repeat(1, math.ceil(new / old), 1, 1)[:, :new]
    return repeated * (old / new)


def _swapped(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    return next((new + name.removeprefix(old) for old, new in pairs if name.startswith(old)), name)
