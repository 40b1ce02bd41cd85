"""Operations on images at random: TrivialAugment, RandAugment and random erasing, drawn from a generator of the image's own.

What an operation does is torchvision's (``transforms.v2.functional``, on uint8); which one, how strong and where is drawn
here, since torchvision draws from torch's global generator, which threads share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.config import AugmentConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

LEVELS = 31
"""How many strengths an operation has."""
SIGNED = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness")
PLAIN = ("Identity", "AutoContrast", "Equalize")
OPERATIONS = (*SIGNED, "Posterize", "Solarize", *PLAIN)
_RAND_OPERATIONS = 2
_ERASED = (0.02, 0.33)  # share of the image's area
_ERASED_RATIO = (0.3, 3.3)


@dataclass(frozen=True)
class Space:
    """The strongest of each kind of operation.

    Args:
        shear: displacement by distance.
        shift: pixels of an image of this many pixels.
        turn: degrees.
        colour: change of a factor that is 1.
        bits: that are taken away.
    """

    shear: float
    shift: tuple[float, float]
    turn: float
    colour: float
    bits: int


TRIVIAL = Space(shear=0.99, shift=(32.0, 0.0), turn=135.0, colour=0.99, bits=6)
"""TrivialAugment's wide space (Müller and Hutter 2021)."""
RAND = Space(shear=0.3, shift=(0.0, 150.0 / 331.0), turn=30.0, colour=0.9, bits=4)
"""RandAugment's (Cubuk et al. 2020)."""


def draw_operations(augment: AugmentConfig, side: int, rng: np.random.Generator) -> list[tuple[str, float]]:
    """The operations on one image of ``side`` pixels, each with its strength."""
    if augment.policy == "none":
        return []
    trivial = augment.policy == "trivial"
    drawn = []
    for _ in range(1 if trivial else _RAND_OPERATIONS):
        name = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
        level = int(rng.integers(LEVELS)) if trivial else augment.magnitude
        strength = _strength(name, level / (LEVELS - 1), TRIVIAL if trivial else RAND, side)
        drawn.append((name, -strength if name in SIGNED and rng.random() < 0.5 else strength))
    return drawn


def operate(pixels: NDArray[np.uint8], operations: Sequence[tuple[str, float]]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` uint8 pixels after these operations, one after another."""
    if all(name == "Identity" for name, _ in operations):
        return pixels
    import torch

    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    for name, strength in operations:
        image = _operated(image, name, strength)
    result: NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
    return result


def draw_erased(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of the rectangle that random erasing paints over; of no size where none fits."""
    for _ in range(10):
        area = height * width * rng.uniform(*_ERASED)
        ratio = math.exp(rng.uniform(math.log(_ERASED_RATIO[0]), math.log(_ERASED_RATIO[1])))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    return 0, 0, 0, 0


def _strength(name: str, level: float, space: Space, side: int) -> float:
    """An operation's strength, for a level between 0 (the least) and 1."""
    match name:
        case "ShearX" | "ShearY":
            return space.shear * level
        case "TranslateX" | "TranslateY":
            return (space.shift[0] + space.shift[1] * side) * level
        case "Rotate":
            return space.turn * level
        case "Brightness" | "Color" | "Contrast" | "Sharpness":
            return space.colour * level
        case "Posterize":
            return 8 - round(space.bits * level)
        case "Solarize":
            return 1.0 - level
        case _:
            return 0.0


def _operated(image: Tensor, name: str, strength: float) -> Tensor:  # noqa: C901 - one line for each operation
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    smooth = InterpolationMode.BILINEAR
    match name:
        case "ShearX" | "ShearY":
            angle = math.degrees(math.atan(strength))
            result = functional.affine(image, 0.0, [0, 0], 1.0, [angle, 0.0] if name == "ShearX" else [0.0, angle],
                                       interpolation=smooth, center=[0, 0])  # fmt: skip
        case "TranslateX" | "TranslateY":
            by = [int(strength), 0] if name == "TranslateX" else [0, int(strength)]
            result = functional.affine(image, 0.0, by, 1.0, [0.0, 0.0], interpolation=smooth)
        case "Rotate":
            result = functional.rotate(image, strength, interpolation=smooth)
        case "Brightness":
            result = functional.adjust_brightness(image, 1.0 + strength)
        case "Color":
            result = functional.adjust_saturation(image, 1.0 + strength)
        case "Contrast":
            result = functional.adjust_contrast(image, 1.0 + strength)
        case "Sharpness":
            result = functional.adjust_sharpness(image, 1.0 + strength)
        case "Posterize":
            result = functional.posterize(image, int(strength))
        case "Solarize":
            result = functional.solarize(image, 255.0 * strength)
        case "AutoContrast":
            result = functional.autocontrast(image)
        case "Equalize":
            result = functional.equalize(image)
        case _:
            result = image
    tensor: Tensor = result
    return tensor
