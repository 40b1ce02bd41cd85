"""From an image to the square of pixels that the network sees: plain, or randomly varied.

Two steps. `reduced` makes of an image, once, the picture that is kept of it. `plain_view` and `random_views` make of that
picture what the network sees, each time. Training, validation, predictions and the preview in the window all use these.

Plain views and pictures are Pillow's, to the pixel. Random views follow the transforms of torchvision v2 on uint8 tensors in
channels-last order, which is several times faster; torch is imported for them only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.engine import policies
from tlstudio.engine.random import sample_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Preset = Literal["none", "light", "strong"]

VERSION = 1
"""Of `reduced`: what was kept by another version is not used."""

_INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_LONGEST = 4  # a picture is at most so many times as long as it is wide; of what is longer, the middle counts
_SCALE = (0.35, 1.0)  # share of the area that a random crop keeps
_RATIO = (3 / 4, 4 / 3)
_JITTER = 0.3
_GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision has it


def reduced(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """What is kept of an image: ``(H, W, 3)`` uint8, its short side no longer than ``preprocessing.resize``.

    A smaller image stays as it is. The plain view of the picture is that of the image.
    """
    target = preprocessing.resize
    if min(image.size) > target:
        image = image.resize(_resized(image.size, target), _INTERPOLATION[preprocessing.interpolation])
    width, height = image.size
    if max(image.size) > _LONGEST * min(image.size) and min(image.size) >= target:
        across, along = min(width, _LONGEST * height), min(height, _LONGEST * width)
        across, along = across + (width - across) % 4, along + (height - along) % 4  # so that halves round the same way
        left, top = (width - across) // 2, (height - along) // 2
        image = image.crop((left, top, left + across, top + along))
    return np.asarray(image, dtype=np.uint8)


def plain_view(image: Image.Image | NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An image or its picture as at evaluation: short side resized, centre cropped; ``(S, S, 3)`` uint8."""
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else image.size[::-1]
    size = _resized((width, height), preprocessing.resize)
    if size != (width, height):
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image = picture.resize(size, _INTERPOLATION[preprocessing.interpolation])
    side = preprocessing.image_size
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    if isinstance(image, np.ndarray):
        return image[top : top + side, left : left + side]
    return np.asarray(image.crop((left, top, left + side, top + side)), dtype=np.uint8)


def random_views(
    pictures: Sequence[NDArray[np.uint8]],
    preprocessing: Preprocessing,
    preset: Preset,
    generators: Sequence[np.random.Generator],
    *,
    augment: AugmentConfig | None = None,
) -> NDArray[np.uint8]:
    """Random variations of pictures, one for each generator; ``(N, S, S, 3)`` uint8.

    Light: a crop of 35 to 100 % of the area with a ratio between 3:4 and 4:3, and a horizontal flip half of the time (Szegedy
    et al., 2015). Strong: brightness, contrast and saturation by up to 30 % as well. Then the operations of a policy, and
    erasing (`tlstudio.engine.policies`).

    Args:
        augment: all but the preset.
    """
    augment = augment or AugmentConfig()
    if preset == "none":
        views = np.stack([plain_view(picture, preprocessing) for picture in pictures])
    else:
        views = _cropped(pictures, preprocessing, preset, generators, vertical_flip=augment.vertical_flip)
    if augment.policy != "none" or augment.erase:
        for view, rng in zip(views, generators, strict=True):
            view[:] = policies.operate(view, policies.draw_operations(augment, len(view), rng))
            if rng.random() < augment.erase:
                top, left, height, width = policies.draw_erased(view.shape[0], view.shape[1], rng)
                view[top : top + height, left : left + width] = np.round(255 * np.array(preprocessing.mean))
    return views


def _cropped(
    pictures: Sequence[NDArray[np.uint8]],
    preprocessing: Preprocessing,
    preset: Preset,
    generators: Sequence[np.random.Generator],
    *,
    vertical_flip: bool,
) -> NDArray[np.uint8]:
    import torch
    from torch.nn import functional

    side = preprocessing.image_size
    views = np.empty((len(pictures), side, side, 3), np.uint8)
    for view, picture, rng in zip(views, pictures, generators, strict=True):
        left, top, width, height = _random_box(picture.shape[1], picture.shape[0], rng)
        part = np.array(picture[top : top + height, left : left + width])  # a copy: what is kept is read-only
        square = functional.interpolate(torch.from_numpy(part).permute(2, 0, 1)[None], size=(side, side),
                                        mode=preprocessing.interpolation, antialias=True)  # fmt: skip
        turned = square[0].permute(1, 2, 0).numpy()
        if rng.random() < 0.5:
            turned = turned[:, ::-1]
        if vertical_flip and rng.random() < 0.5:
            turned = turned[::-1]
        view[:] = turned
    if preset == "strong":
        factors = [1.0 + rng.uniform(-_JITTER, _JITTER, 3) for rng in generators]
        views = jittered(torch.from_numpy(views), np.array(factors)).numpy()
    return views


def jittered(pixels: Tensor, factors: NDArray[np.float64]) -> Tensor:
    """Colours varied: ``(N, H, W, 3)`` uint8 pixels by ``(N, 3)`` factors of brightness, contrast, saturation (1: as it is)."""
    import torch

    grey = torch.tensor(_GREY)
    result = torch.empty_like(pixels)
    for target, image, (brightness, contrast, saturation) in zip(result, pixels, factors.tolist(), strict=True):
        bright = (image * brightness).clamp_(0, 255).trunc_()
        mean = torch.floor(bright @ grey).mean()
        crisp = torch.lerp(mean.expand_as(bright), bright, contrast).clamp_(0, 255).trunc_()
        level = torch.floor(crisp @ grey)[..., None]
        target.copy_(torch.lerp(level.expand_as(crisp), crisp, saturation).clamp_(0, 255))
    return result


def effective_preset(config: AugmentConfig, *, learns_stages: bool) -> Preset:
    """What ``auto`` means: with only the head learning, variation costs time and brings nothing measurable.

    Who asks for a policy or for erasing wants variation.
    """
    if config.preset == "auto":
        return "light" if learns_stages or varies("none", config) else "none"
    return config.preset


def varies(preset: Preset, config: AugmentConfig) -> bool:
    """Whether training images are varied at random, one by one."""
    return preset != "none" or config.policy != "none" or config.erase > 0.0


def preview(
    images: ImageSet, rows: Sequence[int], preprocessing: Preprocessing, augment: AugmentConfig, *, seed: int, draw: int = 0
) -> list[NDArray[np.uint8]]:
    """Images as the network will see them in draw number ``draw``: one ``(S, S, 3)`` uint8 array a row.

    Raises:
        ImageError: an image cannot be read.
    """
    preset = effective_preset(augment, learns_stages=True)
    pictures = [reduced(images.load(row), preprocessing) for row in rows]
    generators = [sample_generator(seed, draw, row) for row in rows]
    return list(random_views(pictures, preprocessing, preset, generators, augment=augment))


def _resized(size: tuple[int, int], target: int) -> tuple[int, int]:
    """Width and height with the short side at ``target`` pixels."""
    short = min(size)
    return max(target, int(target * size[0] / short)), max(target, int(target * size[1] / short))


def _random_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, top, width and height of a random crop in whole pixels."""
    for _ in range(10):
        area = width * height * rng.uniform(*_SCALE)
        ratio = math.exp(rng.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 1 <= w <= width and 1 <= h <= height:
            return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h
    if width / height < _RATIO[0]:  # very high, or very wide: the middle
        w, h = width, max(1, round(width / _RATIO[0]))
    elif width / height > _RATIO[1]:
        w, h = max(1, round(height * _RATIO[1])), height
    else:
        w, h = width, height
    w, h = min(w, width), min(h, height)
    return (width - w) // 2, (height - h) // 2, w, h
