"""Numbers for how a picture looks: brightness, detail, colour, and the small picture that near duplicates are found by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

LOOK_SIDE = 16
TINT_SIDE = 4
LOOK_SIZE = LOOK_SIDE**2 + 2 * TINT_SIDE**2
"""A look is ``16 x 16`` luminance, then ``4 x 4`` blue and ``4 x 4`` red difference, row by row."""

VIEW_SIDE = 256
"""Detail is judged at this size of the longer side: about what a network sees, so photos of any size compare."""

_LEVELS = np.arange(256)
_NOISE = 2.0  # grey levels a pixel: slopes below this are noise and tell nothing of sharpness


class Numbers(NamedTuple):
    """See the columns of the same names in `tlstudio.data.measure.Measures`."""

    bright_low: float
    bright_mean: float
    bright_high: float
    contrast: float
    entropy: float
    sharpness: float
    flatness: float


def look_of(image: Image) -> NDArray[np.uint8]:
    """``(LOOK_SIZE,)`` uint8: the whole picture squeezed into a small square."""
    from PIL.Image import Resampling

    small = image.resize((LOOK_SIDE, LOOK_SIDE), Resampling.BILINEAR, reducing_gap=3.0)
    pixels = np.asarray(small.convert("YCbCr"))
    part = LOOK_SIDE // TINT_SIDE
    tints = pixels[..., 1:].reshape(TINT_SIDE, part, TINT_SIDE, part, 2).mean(axis=(1, 3))
    return np.concatenate([pixels[..., 0].ravel(), np.rint(tints).astype(np.uint8).transpose(2, 0, 1).ravel()])


def colour_of(looks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(N,)`` float32, 0..1: the mean distance of the tints of ``(N, LOOK_SIZE)`` looks from grey."""
    tints = looks[:, LOOK_SIDE**2 :].reshape(len(looks), 2, -1).astype(np.float32) - 128
    return np.asarray(np.hypot(tints[:, 0], tints[:, 1]).mean(axis=1) / 128, np.float32)


def numbers_of(image: Image) -> Numbers:
    """The numbers of an RGB picture."""
    from PIL.Image import Resampling

    if max(image.size) > VIEW_SIDE:
        scale = VIEW_SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Resampling.BOX, reducing_gap=2.0)
    grey = image.convert("L")
    histogram = np.array(grey.histogram())
    shares = histogram / histogram.sum()
    cumulative = np.cumsum(shares)
    mean = float(shares @ _LEVELS)
    spread = float(np.sqrt(max(0.0, shares @ (_LEVELS - mean) ** 2)))
    present = shares[shares > 0]
    sharpness, flatness = _detail(np.asarray(grey))
    return Numbers(
        bright_low=float(np.searchsorted(cumulative, 0.01)) / 255,
        bright_mean=mean / 255,
        bright_high=float(np.searchsorted(cumulative, 0.99 - 1e-9)) / 255,
        contrast=spread / 255,
        entropy=max(0.0, float(-(present * np.log2(present)).sum())),
        sharpness=sharpness,
        flatness=flatness,
    )


def _detail(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Sharpness, and the share of pixels that equal their right neighbour.

    Sharpness is the Laplacian over the gradient, both at the strongest edges of the picture: about one over the width of those
    edges in pixels. So a sharp subject before a blurred ground counts as sharp, whatever the contrast.
    """
    if min(pixels.shape) < 3:
        return 0.0, 1.0
    values = pixels.astype(np.int16)
    centre = values[1:-1, 1:-1]
    up, down, left, right = values[:-2, 1:-1], values[2:, 1:-1], values[1:-1, :-2], values[1:-1, 2:]
    bend = np.abs(4 * centre - up - down - left - right)
    slope = np.hypot((right - left).astype(np.float32), (down - up).astype(np.float32))
    sharpness = (_strongest(bend) / 4) / (_strongest(slope) / 2 + _NOISE)
    return sharpness, float((values[:, 1:] == values[:, :-1]).mean())


def _strongest(values: NDArray[Any]) -> float:
    """The value that half a percent of the pixels reach."""
    rank = values.size - 1 - values.size // 200
    return float(np.partition(values, rank, axis=None)[rank])
