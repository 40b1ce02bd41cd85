"""The sample that is there from the start: 1,797 handwritten digits.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0
(https://doi.org/10.24432/C50P49): the test part of it, 8 x 8 pixels with values of 0 to 16, in the order of the original.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import ImageSet, Options

if TYPE_CHECKING:
    from PIL.Image import Image

_FILE = Path(__file__).with_name("digits.npz")
_WHITE = 16


@dataclass(frozen=True, eq=False)
class DigitReader:
    """Reads a row of a uint8 array ``(N, H, W)`` as a grey image; it pickles."""

    pixels: NDArray[np.uint8]

    def __call__(self, index: int) -> Image:
        """The image of one row, RGB."""
        from PIL import Image

        return Image.fromarray(self.pixels[index]).convert("RGB")


def open_digits(options: Options) -> ImageSet:
    """The digits, their values stretched from 0..16 to 0..255; they have no splits of their own."""
    with np.load(_FILE, allow_pickle=False) as data:
        pixels: NDArray[np.uint8] = data["pixels"]
        labels = data["labels"].astype(np.int32)
    stretched = np.rint(pixels * (255 / _WHITE)).astype(np.uint8)
    seen = [0] * 10
    keys = []
    for label in labels.tolist():
        seen[label] += 1
        keys.append(f"{label}/{seen[label]:04d}")
    return ImageSet(
        classes=tuple(str(digit) for digit in range(10)),
        keys=tuple(keys),
        labels=labels,
        read=DigitReader(stretched),
        notes=("Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak 1998, CC BY 4.0.",),
    )
