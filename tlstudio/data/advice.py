"""Plain advice from a look at the images: how far they are from the photographs that weights were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_TINY = 4  # times smaller than the input of the network
_GREY_SHARE = 0.9


def far_from_photographs(images: Iterable[Image], image_size: int) -> str:
    """Why a sample of images is unlike ImageNet's colour photographs; empty when it is not.

    Two signs that need no network: images many times smaller than its input hold no texture at the scale it looks for, and
    images without colour leave its colour channels nothing to see.

    Args:
        images: some of the user's, 8-bit RGB.
        image_size: input side length of the network in pixels.
    """
    sides: list[int] = []
    grey = 0
    for image in images:
        sides.append(min(image.size))
        pixels = np.asarray(image.resize((32, 32)), dtype=np.int16)
        grey += bool(np.abs(pixels - pixels.mean(2, keepdims=True)).max() < 8)
    if not sides:
        return ""
    reasons = []
    side = int(np.median(sides))
    if side * _TINY <= image_size:
        reasons.append(f"they are tiny ({side} pixels, the network looks at {image_size})")
    if grey >= _GREY_SHARE * len(sides):
        reasons.append("they have no colour")
    return " and ".join(reasons)
