"""The few kinds of timm's networks that no line of words describes: stages of several inputs, heads of several vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from tlstudio_timm import parts

Parts = tuple[dict[str, nn.Module], list[nn.Module]]
"""Stages by name, and the layers of the head."""

_HEADS = {"head", "head_drop", "head_dist", "fc", "classifier", "last_linear", "global_pool", "classif", "aux_head", "fc_norm"}


def rest(module: Any, used: Iterable[str]) -> parts.Piece:
    """All that comes before the head and is not used yet, in one piece: values flow beside the main path there.

    What is used already does nothing in it.
    """
    gone = set(used)
    pooled = getattr(module, "from_seq", None) is not None  # the "head" of SelecSls are convolutions
    heads = _HEADS - {"head"} if pooled else _HEADS | {"conv_head", "norm_head"}
    names = [name for name in (*module._modules, *module._parameters, *module._buffers) if name not in gone | heads]
    piece = parts.Piece(module, parts.features, names)
    for name in gone:
        if name in module._modules:
            setattr(piece, name, nn.Identity())
    return piece


def twins(module: Any) -> Parts:
    """Twins: each stage with its own patches and position encoding."""
    stages: dict[str, nn.Module] = {}
    for number, blocks in enumerate(module.blocks):
        last = number == len(module.blocks) - 1
        piece = parts.Piece(module, parts.stage_twins, ["norm"] if last else [])
        piece.embed, piece.drop = module.patch_embeds[number], module.pos_drops[number]
        piece.part, piece.position, piece.is_last = blocks, module.pos_block[number], last
        stages[f"stage{number + 1}"] = piece
    return stages, [parts.Mean(1), module.head_drop, module.head]


def visformer(module: Any) -> Parts:
    """Visformer: positions before each of three stages."""
    stages: dict[str, nn.Module] = {} if module.stem is None else {"stem": module.stem}
    for number in (1, 2, 3):
        piece = parts.Piece(module, parts.stage_visformer, ["pos_drop"])
        piece.embed = getattr(module, f"patch_embed{number}")
        piece.positions, piece.part = getattr(module, f"pos_embed{number}"), getattr(module, f"stage{number}")
        stages[f"stage{number}"] = piece
    stages["stage3"] = nn.Sequential(stages["stage3"], module.norm)
    return stages, [module.global_pool, module.head_drop, module.head]


def pit(module: Any) -> Parts:
    """PiT: class tokens beside the map."""
    stages: dict[str, nn.Module] = {
        "embed": parts.Piece(module, parts.embed_pit, ["patch_embed", "pos_embed", "pos_drop", "cls_token"])
    }
    for number, transformer in enumerate(module.transformers, 1):
        last = number == len(module.transformers)
        piece = parts.Piece(module, parts.stage_pit, ["norm"] if last else [])
        piece.part, piece.is_last, piece.classes = transformer, last, module.cls_token.shape[1]
        stages[f"stage{number}"] = piece
    if module.head_dist is None:
        return stages, [parts.Slice("token", 1), module.head_drop, module.head]
    return stages, [module.head_drop, parts.Average(module.head, module.head_dist, tokens=True)]


def coat(module: Any) -> Parts:
    """CoaT-Lite in stages; CoaT, whose scales run side by side, in one."""
    if module.parallel_blocks is not None:
        names = [name for name in (*module._modules, *module._parameters) if name != "head"]
        return {"features": parts.Piece(module, parts.trunk, names)}, [module.head]
    stages: dict[str, nn.Module] = {}
    for number in (1, 2, 3, 4):
        piece = parts.Piece(module, parts.stage_coat, [])
        piece.embed, piece.token = getattr(module, f"patch_embed{number}"), getattr(module, f"cls_token{number}")
        piece.part, piece.is_last = getattr(module, f"serial_blocks{number}"), number == 4
        piece.norm = module.norm4 if piece.is_last else None
        stages[f"stage{number}"] = piece
    return stages, [parts.Slice(module.global_pool, 1), module.head_drop, module.head]


def crossvit(module: Any) -> Parts:
    """CrossViT: two branches side by side."""
    names = [name for name in (*module._modules, *module._parameters) if name != "head"]
    last = parts.Piece(module, parts.heads_crossvit, [])
    last.part = module.head
    return {"features": parts.Piece(module, parts.trunk, names)}, [last]


def efficientvim(module: Any) -> Parts:
    """EfficientViM: logits of every stage, weighted."""
    heads = ("weights", "heads", "weights_dist", "heads_dist")
    names = [name for name in (*module._modules, *module._parameters) if name not in heads]
    last = parts.Piece(module, parts.heads_efficientvim, heads)
    last.widths = [_width(layer) for layer in module.heads]
    return {"features": parts.Piece(module, parts.trunk, names)}, [last]


def _width(layer: nn.Module) -> int:
    """How many numbers a classifier takes, whichever norm comes before its weights."""
    return next(part.in_features for part in layer.modules() if isinstance(part, nn.Linear))


WAYS: dict[str, Callable[[Any], Parts]] = {
    "CoaT": coat, "CrossVit": crossvit, "EfficientViM": efficientvim, "EfficientViMDistilled": efficientvim,
    "PoolingVisionTransformer": pit, "Twins": twins, "Visformer": visformer,
}  # fmt: skip
