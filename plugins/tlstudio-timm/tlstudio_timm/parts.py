"""Steps of a forward pass that timm writes inside a network and not as a layer. None has parameters of its own.

A `Piece` stands for a part of a network: it has the children and loose parameters that it is given, and all plain facts that
the network knows of itself, so that the network's own methods run on it. It never holds the network, which a copy of a stage
would then copy whole. Images are square, so that the sides of a grid follow from the number of its tokens.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

Step = Callable[[Any, Tensor], Tensor]


class Piece(nn.Module):
    """Part of a network of timm.

    Args:
        module: the network.
        step: what is computed, from the piece itself and its input.
        names: of the network's children and loose parameters that are part of it; those that the network lacks are ``None``.
        others: modules that are borrowed: the step reads them as ``self.borrowed``, and they belong to another part.
    """

    def __init__(self, module: nn.Module, step: Step, names: Iterable[str], others: tuple[nn.Module | None, ...] = ()) -> None:
        super().__init__()
        for name, value in vars(module).items():
            if not name.startswith("_") and not isinstance(value, Tensor | nn.Module):
                setattr(self, name, value)
        for name in names:
            if name in module._buffers:
                self.register_buffer(name, module._buffers[name], persistent=name not in module._non_persistent_buffers_set)
            else:
                setattr(self, name, getattr(module, name, None))
        self.borrowed = others  # a tuple, which nn.Module does not look into
        self._step = step
        self._kind = type(module)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            found = getattr(self.__dict__.get("_kind"), name, None)
            if not isinstance(found, types.FunctionType):
                raise
            return types.MethodType(found, self)

    def forward(self, x: Tensor) -> Tensor:
        """As the step says."""
        return self._step(self, x)


class Mean(nn.Module):
    """The mean over some axes: pooling of tokens ``(N, T, C)``, or of maps whose channels come last."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        """To ``(N, C)``."""
        return x.mean(dim=self.axes)


class Slice(nn.Module):
    """Pooling of tokens: the first one, or the mean of those behind a prefix."""

    def __init__(self, pool: str, prefix: int) -> None:
        super().__init__()
        self.pool, self.prefix = pool, prefix

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(N, T, C)`` to ``(N, C)``."""
        return x[:, self.prefix :].mean(dim=1) if self.pool == "avg" else x[:, 0]


class Average(nn.Module):
    """The mean of two classifiers: one learned from labels, the other once from a teacher (DeiT, LeViT).

    Args:
        first: of the class.
        second: of the distillation.
        tokens: whether each has a token of its own, ``(N, 2, C)``, or both read one vector ``(N, C)``.
    """

    def __init__(self, first: nn.Module, second: nn.Module, *, tokens: bool) -> None:
        super().__init__()
        self.first, self.second, self.tokens = first, second, tokens

    def forward(self, x: Tensor) -> Tensor:
        """To logits ``(N, classes)``."""
        one, two = (x[:, 0], x[:, 1]) if self.tokens else (x, x)
        logits: Tensor = (self.first(one) + self.second(two)) / 2
        return logits


class FirstTokens(nn.Module):
    """The first two tokens, of the class and of the distillation."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(N, T, C)`` to ``(N, 2, C)``."""
        return x[:, :2]


def side_of(x: Tensor, prefix: int = 0) -> int:
    """The side of the square grid whose tokens ``(N, prefix + side * side, C)`` these are."""
    side = math.isqrt(x.shape[1] - prefix)
    torch._assert(side * side == x.shape[1] - prefix, "the tokens are not those of a square image")
    return side


# The beginnings of vision transformers: patches, class token and positions.


def embed_vit(net: Any, x: Tensor) -> Tensor:
    """VisionTransformer and what derives from it."""
    embedded: Tensor = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(x))))
    return embedded


def embed_eva(net: Any, x: Tensor) -> Tensor:
    """Eva: without the rotary positions, which each block adds for itself."""
    embedded: Tensor = net.norm_pre(net._pos_embed(net.patch_embed(x))[0])
    return embedded


def embed_hiera(net: Any, x: Tensor) -> Tensor:
    """Hiera: tokens in the order in which its blocks merge them."""
    embedded: Tensor = net.unroll(net._pos_embed(net.patch_embed(x, mask=None)))
    return embedded


def embed_hieradet(net: Any, x: Tensor) -> Tensor:
    """The Hiera of SAM 2."""
    embedded: Tensor = net._pos_embed(net.patch_embed(x))
    return embedded


def embed_simple(net: Any, x: Tensor) -> Tensor:
    """BEiT, CaiT, ConViT and the relative-position ViT: what they have of class token, positions and dropout, in this order."""
    x = net.patch_embed(x)
    x = x[0] if isinstance(x, tuple) else x
    if (token := getattr(net, "cls_token", None)) is not None:
        x = torch.cat((token.expand(x.shape[0], -1, -1), x), dim=1)
    if net.pos_embed is not None:
        x = x + net.pos_embed
    return x if net.pos_drop is None else net.pos_drop(x)


def embed_sam(net: Any, x: Tensor) -> Tensor:
    """The encoder of SAM, whose tokens stay a map ``(N, H, W, C)``."""
    from timm.layers import resample_abs_pos_embed_nhwc

    x = net.patch_embed(x)
    if net.pos_embed is not None:
        x = x + resample_abs_pos_embed_nhwc(net.pos_embed, x.shape[1:3])
    embedded: Tensor = net.norm_pre(net.patch_drop(net.pos_drop(x)))
    return embedded


def embed_xcit(net: Any, x: Tensor) -> Tensor:
    """XCiT, whose positions are computed."""
    tokens: Tensor
    tokens, (height, width) = net.patch_embed(x)
    if net.pos_embed is not None:
        code = net.pos_embed(x.shape[0], height, width).reshape(x.shape[0], -1, tokens.shape[1]).permute(0, 2, 1)
        tokens = tokens + code
    dropped: Tensor = net.pos_drop(tokens)
    return dropped


def embed_naflex(net: Any, x: Tensor) -> Tensor:
    """NaFlexViT, for images of one size."""
    embedded: Tensor = net._forward_embeds(x, patch_coord=None, patch_valid=None, attn_mask=None)["patches"]
    return embedded


# Blocks that are told more than their input.


def blocks_rope(net: Any, x: Tensor) -> Tensor:
    """Blocks of Eva: rotary positions of the grid that the number of tokens tells."""
    (rope,) = net.borrowed
    side = side_of(x, net.num_prefix_tokens)
    if rope is None:
        for block in net.part:
            x = block(x)
        return x
    turn = rope.get_embed(shape=(side, side))
    for number, block in enumerate(net.part, net.first):
        x = block(x, rope=turn[number] if net.mixed else turn)
    return x


def blocks_beit(net: Any, x: Tensor) -> Tensor:
    """Blocks of BEiT: the relative positions that they may share."""
    (bias,) = net.borrowed
    shared = None if bias is None else bias()
    for block in net.part:
        x = block(x, shared_rel_pos_bias=shared)
    return x


def blocks_relpos(net: Any, x: Tensor) -> Tensor:
    """Blocks of a ViT with relative positions."""
    (positions,) = net.borrowed
    shared = None if positions is None else positions.get_bias()
    for block in net.part:
        x = block(x, shared_rel_pos=shared)
    return x


def blocks_sized(net: Any, x: Tensor) -> Tensor:
    """Blocks of XCiT: told the height and width of the grid."""
    side = side_of(x)
    for block in net.part:
        x = block(x, side, side)
    return x


def stages_mvit(net: Any, x: Tensor) -> Tensor:
    """Stages of MViTv2: told the size of the grid, and telling the next one."""
    side = side_of(x, int(net.has_class_token))
    size: tuple[int, int] = (side, side)
    for stage in net.part:
        x, size = stage(x, size)
    return x


def blocks_convit(net: Any, x: Tensor) -> Tensor:
    """ConViT, whose class token joins behind the blocks that convolve."""
    for number, block in enumerate(net.part, net.first):
        if number == net.local_up_to_layer:
            x = torch.cat((net.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        x = block(x)
    return x


# Ends: class attention, norms over other axes, gathering of several outputs.


def class_attention(net: Any, x: Tensor) -> Tensor:
    """CaiT, XCiT, VOLO: a class token that reads the others in blocks of its own, where there are any, then the norm."""
    has_blocks = any(blocks is not None for blocks in (net.blocks_token_only, net.cls_attn_blocks, net.post_network))
    normed: Tensor = net.norm(net.forward_cls(x) if has_blocks else x)
    return normed


def pool(net: Any, x: Tensor) -> Tensor:
    """Pooling as the network itself does it, with attention where it has it."""
    pooled: Tensor = net.pool(x)
    return pooled


def pool_naflex(net: Any, x: Tensor) -> Tensor:
    """The same of NaFlexViT."""
    pooled: Tensor = net._pool(x, patch_valid=None)
    return pooled


def norm_last(net: Any, x: Tensor) -> Tensor:
    """A norm of the channels of a map ``(N, C, H, W)``, which come first (NesT)."""
    normed: Tensor = net.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return normed


def neck_sam(net: Any, x: Tensor) -> Tensor:
    """SAM: channels first, then the neck."""
    necked: Tensor = net.neck(x.permute(0, 3, 1, 2))
    return necked


def features(net: Any, x: Tensor) -> Tensor:
    """All but the head, where values flow beside the main path and it cannot be cut."""
    out: Tensor = net.forward_features(x)
    return out


def trunk(net: Any, x: Tensor) -> Tensor:
    """All but the last layer, where what enters the head is a list."""
    vector: Tensor = net.forward_head(net.forward_features(x), pre_logits=True)
    return vector


def head(net: Any, x: Tensor) -> Tensor:
    """The head as the network itself computes it."""
    logits: Tensor = net.forward_head(x)
    return logits


def embed_levit(net: Any, x: Tensor) -> Tensor:
    """LeViT: a stem of convolutions, whose map becomes tokens in the plain variants."""
    x = net.stem(x)
    return x if net.use_conv else x.flatten(2).transpose(1, 2)


def embed_volo(net: Any, x: Tensor) -> Tensor:
    """VOLO: a map whose channels come last."""
    patches: Tensor = net.patch_embed(x).permute(0, 2, 3, 1)
    return patches


def blocks_volo(net: Any, x: Tensor) -> Tensor:
    """VOLO: positions are added behind the blocks that look at neighbours."""
    for number, block in enumerate(net.part, net.first):
        if number == 2 and net.pos_embed is not None:
            x = net.pos_drop(x + net.pos_embed)
        x = block(x)
    return x


def as_tokens(_net: Any, x: Tensor) -> Tensor:
    """A map ``(N, H, W, C)`` as tokens ``(N, H * W, C)``."""
    return x.flatten(1, 2)


def stage_twins(net: Any, x: Tensor) -> Tensor:
    """A stage of Twins: patches, blocks with the position encoding behind the first, and a map again but for the last stage."""
    batch = x.shape[0]
    x, size = net.embed(x)
    x = net.drop(x)
    for number, block in enumerate(net.part):
        x = block(x, size)
        if number == 0:
            x = net.position(x, size)
    return net.norm(x) if net.is_last else x.reshape(batch, *size, -1).permute(0, 3, 1, 2).contiguous()


def stage_visformer(net: Any, x: Tensor) -> Tensor:
    """A stage of Visformer: patches, positions, blocks."""
    x = x if net.embed is None else net.embed(x)
    if net.positions is not None:
        x = net.pos_drop(x + net.positions)
    values: Tensor = net.part(x)
    return values


def embed_pit(net: Any, x: Tensor) -> Tensor:
    """PiT: tokens, those of classes before those of the map."""
    x = net.pos_drop(net.patch_embed(x) + net.pos_embed)
    return _as_tokens(x, net.cls_token.expand(x.shape[0], -1, -1))


def stage_pit(net: Any, x: Tensor) -> Tensor:
    """A stage of PiT, which takes map and class tokens apart."""
    classes = net.classes
    side = side_of(x, classes)
    image, tokens = net.part((x[:, classes:].transpose(1, 2).unflatten(2, (side, side)), x[:, :classes]))
    return net.norm(tokens) if net.is_last else _as_tokens(image, tokens)


def stage_coat(net: Any, x: Tensor) -> Tensor:
    """A stage of CoaT-Lite: a map becomes tokens with one of the class before them, and a map again but for the last stage."""
    batch = x.shape[0]
    x = net.embed(x)
    side = side_of(x)
    x = torch.cat((net.token.expand(batch, -1, -1), x), dim=1)
    for block in net.part:
        x = block(x, size=(side, side))
    return net.norm(x) if net.is_last else x[:, 1:].reshape(batch, side, side, -1).permute(0, 3, 1, 2).contiguous()


def heads_crossvit(net: Any, x: Tensor) -> Tensor:
    """The mean of the logits of CrossViT's two branches, from their vectors one after the other."""
    vectors = x.split([head.in_features for head in net.part], dim=1)
    return torch.stack([head(vector) for head, vector in zip(net.part, vectors, strict=True)]).mean(dim=0)


def heads_efficientvim(net: Any, x: Tensor) -> Tensor:
    """The weighted sum of the logits of EfficientViM's stages."""
    vectors = x.split(net.widths, dim=1)
    logits = _weighted(net.weights, net.heads, vectors)
    if net.heads_dist is None:
        return logits
    return (logits + _weighted(net.weights_dist, net.heads_dist, vectors)) / 2


def _weighted(weights: Tensor, heads: nn.Module, vectors: tuple[Tensor, ...]) -> Tensor:
    shares = weights.softmax(-1)
    every: Any = heads
    return torch.stack([shares[i] * head(vectors[i]) for i, head in enumerate(every)]).sum(0)


def _as_tokens(image: Tensor, tokens: Tensor) -> Tensor:
    return torch.cat((tokens, image.flatten(2).transpose(1, 2)), dim=1)
