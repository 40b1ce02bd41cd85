"""The same picture is found again, exactly or with small changes, and different pictures are left in peace."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tlstudio.api import decode
from tlstudio.data.duplicates import Pairs, connected_groups, exact_groups, inseparable, near_pairs, star_groups
from tlstudio.data.looks import LOOK_SIDE, look_of
from tlstudio.data.measure import MEASURED, UNREADABLE, Measures


def scene(seed, size=(160, 120)):
    """Some rectangles of random colours on a slope of brightness: as different from the next as photographs are."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = np.full((height, width, 3), rng.integers(60, 180, 3), float)
    pixels += np.linspace(-40, 40, width)[None, :, None] * rng.choice([-1, 1])
    for _ in range(12):
        x, y = rng.integers(0, width - 20), rng.integers(0, height - 20)
        pixels[y : y + rng.integers(15, 70), x : x + rng.integers(15, 70)] = rng.integers(0, 255, 3)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8))


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return decode(buffer.getvalue())


def measured(pictures):
    measures = Measures.empty(len(pictures))
    measures.state[:] = MEASURED
    measures.look[:] = [look_of(picture) for picture in pictures]
    measures.digest[:, :8] = np.arange(len(pictures))[:, None].view(np.uint8)
    return measures


def found(pairs):
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


CHANGES = {
    "quality 40": lambda image: jpeg(image, 40),
    "half size": lambda image: image.resize((80, 60)),
    "double size": lambda image: image.resize((320, 240)),
    "cropped by 5 % at a corner": lambda image: image.crop((8, 6, 160, 120)),
    "cropped by 5 % around": lambda image: image.crop((4, 3, 156, 117)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change):
    originals = [scene(seed) for seed in range(60)]
    pairs = near_pairs(measured([*originals, *(change(picture) for picture in originals)]))
    assert found(pairs) == {(i, i + 60) for i in range(60)}
    assert pairs.similarity.min() > 0.9


def test_a_mirrored_copy_is_found_where_it_counts():
    originals = [scene(seed) for seed in range(40)]
    measures = measured([*originals, *map(ImageOps.mirror, originals)])
    assert found(near_pairs(measures)) == set()
    assert found(near_pairs(measures, flips=True)) == {(i, i + 40) for i in range(40)}


def test_the_same_shapes_in_other_colours_are_another_picture():
    grey = scene(0).convert("L")
    red, green = ImageOps.colorize(grey, (90, 0, 0), (255, 120, 120)), ImageOps.colorize(grey, (0, 60, 0), (80, 220, 80))
    assert found(near_pairs(measured([red, green, scene(1)]))) == set()


def test_pictures_of_one_colour_have_no_shape_to_compare():
    assert len(near_pairs(measured([Image.new("RGB", (50, 50), grey) for grey in ("black", "white", "white", "red")]))) == 0


def test_exact_copies_lead_to_their_first_row_and_unreadable_files_are_no_copies_of_each_other():
    measures = Measures.empty(6)
    measures.state[:] = MEASURED
    measures.digest[:, 0] = [1, 2, 1, 3, 3, 1]
    measures.state[3:5] = UNREADABLE
    assert exact_groups(measures).tolist() == [0, -1, 0, -1, -1, 0]


def test_groups_do_not_grow_along_a_chain():
    chain = Pairs(first=np.arange(9), second=np.arange(1, 10), similarity=np.full(9, 0.95, np.float32))
    groups = star_groups(chain, 11)
    assert groups[10] == -1
    for row, leader in enumerate(groups[:10].tolist()):
        assert abs(row - leader) <= 2
    assert np.bincount(groups[:10]).max() <= 4
    star = Pairs(first=np.array([0, 1, 2]), second=np.array([4, 4, 4]), similarity=np.full(3, 0.95, np.float32))
    assert star_groups(star, 5).tolist() == [4, 4, 4, -1, 4]


def test_thousands_of_pictures_of_one_scene_stay_bounded():
    rng = np.random.default_rng(0)
    measures = Measures.empty(3000)
    measures.state[:] = MEASURED
    measures.look[:] = np.clip(look_of(scene(0)) + rng.normal(0, 2, measures.look.shape), 0, 255)
    assert len(near_pairs(measures)) < 3000 * 60


def spectra(count, seed=0):
    """Looks with the spectrum of photographs."""
    y, x = np.meshgrid(np.fft.fftfreq(LOOK_SIDE), np.fft.rfftfreq(LOOK_SIDE), indexing="ij")
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((count, LOOK_SIDE, LOOK_SIDE)))
    shapes = np.fft.irfft2(noise / (np.hypot(x, y) + 1 / LOOK_SIDE), (LOOK_SIDE, LOOK_SIDE)).reshape(count, -1)
    measures = Measures.empty(count)
    measures.state[:], measures.look[:] = MEASURED, 128
    measures.look[:, : LOOK_SIDE**2] = np.clip(128 + 50 * shapes / shapes.std(axis=1, keepdims=True), 0, 255)
    return measures


def test_copies_are_found_among_many_buckets_and_each_time_the_same():
    measures = spectra(6000)
    noise = np.random.default_rng(1).normal(0, 6, (200, LOOK_SIDE**2))
    measures.look[5800:, : LOOK_SIDE**2] = np.clip(measures.look[:200, : LOOK_SIDE**2] * 1.05 + noise, 0, 255)
    pairs = near_pairs(measures)
    planted = {(i, i + 5800) for i in range(200)}
    assert len(found(pairs) & planted) >= 199
    assert len(found(pairs) - planted) <= 2
    again = near_pairs(measures)
    np.testing.assert_array_equal(pairs.first, again.first)
    np.testing.assert_array_equal(pairs.similarity, again.similarity)


def test_the_search_ends_when_told_to():
    measures = spectra(6000)
    measures.look[1] = measures.look[0]
    asked = []
    pairs = near_pairs(measures, progress=lambda done, total: asked.append(done / total) or False)
    assert len(asked) == 1
    assert found(pairs) == {(0, 1)}  # of one and the same look, which needs no search


def pairs_of(*pairs):
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return Pairs(first=first, second=second, similarity=np.ones(len(first), np.float32))


def test_what_hangs_together_by_pairs_is_not_separated():
    pairs = pairs_of((0, 3), (3, 5), (5, 6), (1, 7))
    assert connected_groups(pairs.first, pairs.second, 9).tolist() == [0, 1, -1, 0, -1, 0, 0, 1, -1]
    assert inseparable(pairs, 9).tolist() == [0, 1, -1, 0, -1, 0, 0, 1, -1]
    assert (inseparable(pairs_of(), 3) == -1).all()


def test_a_chain_through_a_whole_set_of_look_alikes_is_cut():
    chain = pairs_of(*((i, i + 1) for i in range(999)))
    groups = inseparable(chain, 1000)
    assert np.bincount(groups).max() < 10
    assert (groups >= 0).all()
