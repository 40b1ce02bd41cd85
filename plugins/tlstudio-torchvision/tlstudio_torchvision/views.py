"""Steps of a forward pass that torchvision writes inside a network and not as a layer. None has parameters of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Embed(nn.Module):
    """The beginning of a ViT: patches as tokens, the class token before them, positions added.

    Args:
        module: torchvision's ``VisionTransformer``, whose parameters these are.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.conv_proj = module.conv_proj
        self.class_token = module.class_token
        self.pos_embedding = module.encoder.pos_embedding
        self.dropout = module.encoder.dropout
        self.image_size = module.image_size

    def forward(self, x: Tensor) -> Tensor:
        """Images ``(N, 3, S, S)`` of the one size that it takes, to tokens ``(N, 1 + patches, D)``."""
        torch._assert(x.shape[-2:] == (self.image_size, self.image_size), "the images have another size than the positions")
        tokens = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), tokens], dim=1)
        embedded: Tensor = self.dropout(tokens + self.pos_embedding)
        return embedded


class ClassToken(nn.Module):
    """The class token alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(N, T, D)`` to ``(N, D)``."""
        return x[:, 0]


class HalfMean(nn.Module):
    """Images normalised as torchvision's others are, changed to mean and deviation 0.5: GoogLeNet and Inception-v3 came so."""

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to the same shape."""
        channels = [
            x[:, index : index + 1] * (std / 0.5) + (mean - 0.5) / 0.5
            for index, (mean, std) in enumerate(zip(_MEAN, _STD, strict=True))
        ]
        return torch.cat(channels, 1)
