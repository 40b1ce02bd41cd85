"""What the network sees: the same as a plain script prepares, and the same variation wherever it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tlstudio.api import AugmentConfig, DataConfig, Preprocessing
from tlstudio.engine.augment import _random_box, jittered, plain_view, preview, random_views, reduced
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
    width=st.integers(1, 400), height=st.integers(1, 400), preset=st.sampled_from(["none", "light", "strong"]),
    seed=st.integers(0, 2**31),
)  # fmt: skip
def test_every_view_has_the_network_s_size_whatever_the_image_s(width, height, preset, seed):
    preprocessing = Preprocessing(image_size=24, resize=28)
    kept = reduced(picture(width, height), preprocessing)
    assert min(kept.shape[:2]) <= 28
    views = random_views([kept], preprocessing, preset, [np.random.default_rng(seed)])
    assert (views.shape, views.dtype) == ((1, 24, 24, 3), np.uint8)


@given(width=st.integers(1, 700), height=st.integers(1, 700), resize=st.integers(24, 40))
def test_the_picture_that_is_kept_has_the_plain_view_of_the_image(width, height, resize):
    preprocessing = Preprocessing(image_size=24, resize=resize, interpolation="bicubic")
    kept = reduced(picture(width, height), preprocessing)
    np.testing.assert_array_equal(plain_view(kept, preprocessing), plain_view(picture(width, height), preprocessing))
    assert kept.size <= 3 * max(resize, min(width, height)) ** 2 * 5 or min(width, height) < resize


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_random_view_is_the_field_s_crop_resize_and_flip(interpolation):
    from torchvision.transforms import v2

    preprocessing = Preprocessing(image_size=48, resize=96, interpolation=interpolation)
    flipped = 0
    for seed in range(12):
        kept = reduced(picture(150 + 20 * seed, 130, seed), preprocessing)
        view = random_views([kept], preprocessing, "light", [np.random.default_rng(seed)])[0]
        left, top, width, height = _random_box(kept.shape[1], kept.shape[0], np.random.default_rng(seed))
        tensor = torch.from_numpy(kept.copy()).permute(2, 0, 1)
        expected = v2.functional.resized_crop(
            tensor, top, left, height, width, [48, 48], v2.InterpolationMode(interpolation), antialias=True
        )
        expected = expected.permute(1, 2, 0).numpy()
        mirrored = np.array_equal(view, expected[:, ::-1])
        assert mirrored or np.array_equal(view, expected)
        flipped += mirrored
    assert 2 <= flipped <= 10


@given(brightness=st.floats(0.7, 1.3), contrast=st.floats(0.7, 1.3), saturation=st.floats(0.7, 1.3), seed=st.integers(0, 99))
def test_colours_vary_as_the_field_s_transforms_vary_them(brightness, contrast, saturation, seed):
    from torchvision.transforms.v2 import functional as field

    pixels = torch.from_numpy(np.asarray(picture(13, 9, seed)).copy())
    expected = field.adjust_brightness(pixels.permute(2, 0, 1), brightness)
    expected = field.adjust_saturation(field.adjust_contrast(expected, contrast), saturation).permute(1, 2, 0)
    varied = jittered(pixels[None], np.array([[brightness, contrast, saturation]]))[0]
    assert int((varied.int() - expected.int()).abs().max()) <= 2  # rounding, three times over


def test_random_crops_are_distributed_as_the_field_s_are():
    from torchvision.transforms import v2

    torch.manual_seed(0)
    transform = v2.RandomResizedCrop(48, scale=(0.35, 1.0))
    image = torch.zeros(3, 200, 300, dtype=torch.uint8)
    theirs = [transform.make_params([image]) for _ in range(3000)]
    theirs = np.array([(box["left"], box["top"], box["width"], box["height"]) for box in theirs])
    ours = np.array([_random_box(300, 200, np.random.default_rng((7, seed))) for seed in range(3000)])
    for of in (lambda box: box[:, 2] * box[:, 3] / 60_000, lambda box: np.log(box[:, 2] / box[:, 3]),
               lambda box: box[:, 0] / 300, lambda box: box[:, 1] / 200):  # fmt: skip
        quantiles = np.quantile(of(ours), np.linspace(0, 1, 11)), np.quantile(of(theirs), np.linspace(0, 1, 11))
        np.testing.assert_allclose(*quantiles, atol=0.03)


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
    assert len(batches) == len(in_batches(rows, size, least=2))
