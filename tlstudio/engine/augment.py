"""From an image to the square of pixels that the network sees: plain, or randomly varied. numpy and Pillow only.

Training, validation, predictions and the preview in the window all use these functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageEnhance

from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.engine.random import sample_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

Preset = Literal["none", "light", "strong"]

_INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_SCALE = (0.35, 1.0)  # share of the area that a random crop keeps
_RATIO = (3 / 4, 4 / 3)
_JITTER = 0.3


def plain_view(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """The image as at evaluation: short side resized, centre cropped; ``(S, S, 3)`` uint8."""
    width, height = image.size
    short = min(width, height)
    target = preprocessing.resize
    size = (max(target, int(target * width / short)), max(target, int(target * height / short)))
    resized = image if size == image.size else image.resize(size, _INTERPOLATION[preprocessing.interpolation])
    side = preprocessing.image_size
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    return np.asarray(resized.crop((left, top, left + side, top + side)), dtype=np.uint8)


def random_view(
    image: Image.Image, preprocessing: Preprocessing, preset: Preset, rng: np.random.Generator, *, vertical_flip: bool = False
) -> NDArray[np.uint8]:
    """A random variation of the image; ``(S, S, 3)`` uint8.

    Light: a crop of 35 to 100 % of the area with a ratio between 3:4 and 4:3, and a horizontal flip half of the time (Szegedy
    et al., 2015). Strong: brightness, contrast and saturation by up to 30 % as well.
    """
    if preset == "none":
        return plain_view(image, preprocessing)
    side = preprocessing.image_size
    box = _random_box(image.size, rng)
    view = image.resize((side, side), _INTERPOLATION[preprocessing.interpolation], box=box)
    if rng.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if vertical_flip and rng.random() < 0.5:
        view = view.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if preset == "strong":
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            view = enhance(view).enhance(1.0 + rng.uniform(-_JITTER, _JITTER))
    return np.asarray(view, dtype=np.uint8)


def effective_preset(config: AugmentConfig, *, learns_stages: bool) -> Preset:
    """What ``auto`` means: with only the head learning, variation costs time and brings nothing measurable."""
    if config.preset == "auto":
        return "light" if learns_stages else "none"
    return config.preset


def preview(
    images: ImageSet, rows: Sequence[int], preprocessing: Preprocessing, augment: AugmentConfig, *, seed: int, draw: int = 0
) -> list[NDArray[np.uint8]]:
    """Images as the network will see them in draw number ``draw``: one ``(S, S, 3)`` uint8 array a row.

    Raises:
        ImageError: an image cannot be read.
    """
    preset = effective_preset(augment, learns_stages=True)
    return [
        random_view(
            images.load(row), preprocessing, preset, sample_generator(seed, draw, row), vertical_flip=augment.vertical_flip
        )
        for row in rows
    ]


def _random_box(size: tuple[int, int], rng: np.random.Generator) -> tuple[float, float, float, float]:
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(*_SCALE)
        ratio = math.exp(rng.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if 1 <= w <= width and 1 <= h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # a very long image: its centre
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
