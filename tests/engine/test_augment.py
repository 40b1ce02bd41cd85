"""What the network sees: the same as a plain script prepares, and the same variation wherever it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tlstudio.api import AugmentConfig, DataConfig, Preprocessing
from tlstudio.engine.augment import plain_view, preview, random_view
from tlstudio.engine.loader import ImageSource, epoch_batches, in_batches


def picture(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(300, 200), (37, 81), (256, 256), (8, 8), (1001, 33)])
def test_the_plain_view_is_the_field_s_resize_and_centre_crop(interpolation, size):
    from torchvision.transforms import v2

    preprocessing = Preprocessing(image_size=64, resize=73, interpolation=interpolation)
    transform = v2.Compose([v2.Resize(73, interpolation=v2.InterpolationMode(interpolation)), v2.CenterCrop(64)])
    np.testing.assert_array_equal(plain_view(picture(*size), preprocessing), np.asarray(transform(picture(*size))))


@given(
    width=st.integers(1, 200), height=st.integers(1, 200), preset=st.sampled_from(["none", "light", "strong"]),
    seed=st.integers(0, 2**31),
)  # fmt: skip
def test_every_view_has_the_network_s_size_whatever_the_image_s(width, height, preset, seed):
    view = random_view(picture(width, height), Preprocessing(image_size=24, resize=28), preset, np.random.default_rng(seed))
    assert (view.shape, view.dtype) == ((24, 24, 3), np.uint8)


def test_the_preview_shows_what_training_draws(catalog, photos):
    images = catalog.open_images(DataConfig(path=str(photos)))
    preprocessing, augment = Preprocessing(image_size=32, resize=36), AugmentConfig(preset="strong", vertical_flip=True)
    source = ImageSource(images, preprocessing, preset="strong", augment=augment, seed=5)
    pixels, kept = source.batch([3, 30, 7], draw=2)
    source.close()
    shown = preview(images, [3, 30, 7], preprocessing, augment, seed=5, draw=2)
    np.testing.assert_array_equal(pixels, np.stack(shown))
    assert list(kept) == [3, 30, 7]


def test_draws_differ_between_epochs_and_images(catalog, photos):
    images = catalog.open_images(DataConfig(path=str(photos)))
    source = ImageSource(images, Preprocessing(image_size=32, resize=36), preset="light")
    first, second = source.batch([0], draw=0)[0], source.batch([0], draw=1)[0]
    again = source.batch([0], draw=0)[0]
    source.close()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


@given(n=st.integers(1, 200), size=st.integers(1, 64), seed=st.integers(0, 9), epoch=st.integers(0, 9))
def test_an_epoch_sees_every_image_once_and_never_a_batch_of_one_at_its_end(n, size, seed, epoch):
    rows = np.arange(n) * 3
    batches = epoch_batches(rows, batch_size=size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches)) == list(rows)
    if size > 1 and len(batches) > 1:
        assert len(batches[-1]) > 1
    assert len(batches) == len(in_batches(rows, size, join_single=True))
