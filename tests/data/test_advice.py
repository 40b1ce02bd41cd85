"""Advice comes from what is in the images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlstudio.data.advice import far_from_photographs


def noise(side, channels):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (side, side, channels), dtype=np.uint8)
    return Image.fromarray(np.repeat(pixels, 3 // channels, axis=2))


def test_colour_photographs_of_a_fair_size_are_near():
    assert far_from_photographs([noise(300, 3)] * 5, 224) == ""


def test_tiny_grey_images_are_far_for_both_reasons():
    reason = far_from_photographs([noise(8, 1)] * 5, 224)
    assert "tiny (8 pixels" in reason
    assert "no colour" in reason


def test_no_images_no_advice():
    assert far_from_photographs([], 224) == ""


def test_the_ants_and_bees_are_near(catalog, hymenoptera):
    from tlstudio.api import DataConfig

    images = catalog.open_images(DataConfig(path=str(hymenoptera)))
    assert far_from_photographs((images.load(row) for row in range(0, len(images), 20)), 224) == ""


@pytest.mark.parametrize("colour", ["red", "white"])
def test_one_flat_colour_is_handled(colour):
    assert isinstance(far_from_photographs([Image.new("RGB", (300, 300), colour)], 224), str)
