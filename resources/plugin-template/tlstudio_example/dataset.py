"""A data set: a table of images, one row an image, and a function that reads a row."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from tlstudio.api import ImageSet, Options

if TYPE_CHECKING:
    from PIL.Image import Image

_CLASSES = ("disc", "square", "triangle")


class ShapesOptions(Options):
    """Each field becomes a form field in the window and a key in the terminal (``data.options.count``)."""

    count: int = Field(60, ge=6, le=100_000, title="Images", description="How many images to draw in all.")
    size: int = Field(64, ge=16, le=1024, title="Size", description="Side length of an image in pixels.")


@dataclass(frozen=True)
class ShapeReader:
    """Draws a row. A class at the top of a module, because it must pickle to reach worker processes."""

    size: int

    def __call__(self, index: int) -> Image:
        """The image of one row, RGB; the same row is always the same image."""
        from PIL import Image, ImageDraw

        draw_from = random.Random(index)
        colour = tuple(draw_from.randrange(128, 256) for _ in range(3))
        radius = draw_from.uniform(0.15, 0.3) * self.size
        x, y = (draw_from.uniform(radius, self.size - radius) for _ in range(2))
        image = Image.new("RGB", (self.size, self.size), (20, 20, 30))
        pen = ImageDraw.Draw(image)
        box = (x - radius, y - radius, x + radius, y + radius)
        match _CLASSES[index % len(_CLASSES)]:
            case "disc":
                pen.ellipse(box, fill=colour)
            case "square":
                pen.rectangle(box, fill=colour)
            case "triangle":
                pen.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=colour)
        return image


def open_shapes(options: Options) -> ImageSet:
    """The table. Data with files of their own would set ``root`` and let ``keys`` be paths below it, without ``read``."""
    assert isinstance(options, ShapesOptions)
    rows = range(options.count)
    return ImageSet(
        classes=_CLASSES,
        keys=tuple(f"{_CLASSES[row % len(_CLASSES)]}/{row:06d}" for row in rows),
        labels=np.array([row % len(_CLASSES) for row in rows], dtype=np.int32),
        read=ShapeReader(options.size),
    )
