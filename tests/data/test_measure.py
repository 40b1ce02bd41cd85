"""Measuring tells what is in the files, once, and ends when told to."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import time

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tlstudio.api import ImageSet
from tlstudio.data.headers import headers, size_of
from tlstudio.data.measure import COLUMNS, MEASURED, NOT_MEASURED, UNREADABLE, Measures, measure


def noisy(width=64, height=48, seed=0, low=40, high=200):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(low, high, (height, width, 3)).astype(np.uint8))


def folder_of(folder, pictures, kind="png", **options):
    """Write pictures and open them as a data set of one class."""
    for i, picture in enumerate(pictures):
        picture.save(folder / f"{i:04}.{kind}", **options)
    return table(folder, [f"{i:04}.{kind}" for i in range(len(pictures))])


def table(folder, keys, **columns):
    return ImageSet(classes=("x",), keys=tuple(keys), labels=np.zeros(len(keys), np.int32), root=folder, **columns)


@dataclasses.dataclass
class Pixels:
    """Pictures that are no files."""

    pictures: list

    def __call__(self, index):
        return self.pictures[index]


def test_a_file_is_described_by_size_time_digest_and_looks(tmp_path):
    images = folder_of(tmp_path, [noisy(64, 48), Image.new("RGB", (30, 50), (255, 0, 0))])
    found = measure(images)
    assert found.state.tolist() == [MEASURED, MEASURED]
    data = (tmp_path / "0000.png").read_bytes()
    assert found.file_size[0] == len(data)
    assert found.digest[0].tobytes() == hashlib.blake2b(data, digest_size=16).digest()
    assert found.modified[0] == (tmp_path / "0000.png").stat().st_mtime_ns
    assert list(zip(found.width, found.height, strict=True)) == [(64, 48), (30, 50)]
    assert found.contrast[1] == found.entropy[1] == 0
    assert found.bright_low[1] == found.bright_high[1] == pytest.approx(76 / 255, abs=0.01)
    assert found.flatness.tolist()[1] == 1
    assert found.colour[1] > 0.5
    assert found.entropy[0] > 6


def test_what_is_known_is_not_measured_again_and_not_changed(tmp_path):
    images = folder_of(tmp_path, [noisy(seed=i) for i in range(4)])
    first = measure(images, rows=np.array([0, 2]))
    assert first.state.tolist() == [MEASURED, NOT_MEASURED, MEASURED, NOT_MEASURED]
    (tmp_path / "0000.png").write_bytes(b"gone bad")
    second = measure(images, known=first)
    assert second.state.tolist() == [MEASURED] * 4
    assert first.state.tolist() == [MEASURED, NOT_MEASURED, MEASURED, NOT_MEASURED]
    third = measure(images, known=second, rows=np.array([0]))
    assert third.state[0] == UNREADABLE
    assert third.reasons == {0: "not an image"}
    noisy().save(tmp_path / "0000.png")
    assert measure(images, known=third, rows=np.array([0])).reasons == {}


def test_the_number_of_threads_changes_nothing(tmp_path):
    images = folder_of(tmp_path, [noisy(seed=i) for i in range(40)])
    one, three = measure(images, threads=1), measure(images, threads=3)
    for name, column in one.columns().items():
        np.testing.assert_array_equal(column, getattr(three, name), err_msg=name)


def test_columns_come_back_as_they_were_stored(tmp_path):
    (tmp_path / "0001.png").write_bytes(b"")
    found = measure(table(tmp_path, ["0001.png"]))
    assert found.columns().keys() == COLUMNS.keys()
    for name, column in found.columns().items():
        assert (str(column.dtype), column.shape[1:]) == COLUMNS[name]
    again = Measures.from_columns(found.columns(), reasons=found.reasons)
    assert again.reasons == {0: "empty file"}
    with pytest.raises(ValueError, match="missing: look"):
        Measures.from_columns({name: column for name, column in found.columns().items() if name != "look"})
    with pytest.raises(ValueError, match="width is float64"):
        Measures.from_columns({**found.columns(), "width": np.zeros(1)})


def test_a_missing_file_and_one_without_permission_are_named(tmp_path):
    found = measure(table(tmp_path, ["no.jpg"]))
    assert found.state[0] == UNREADABLE
    assert "No such file" in found.reasons[0] or "not found" in found.reasons[0]
    assert found.file_size[0] == -1


def test_a_jpeg_that_is_decoded_smaller_keeps_its_size_and_its_damage_is_noticed(tmp_path):
    buffer = io.BytesIO()
    noisy(1600, 1200).save(buffer, "JPEG")
    (tmp_path / "whole.jpg").write_bytes(buffer.getvalue())
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:-2000])
    found = measure(table(tmp_path, ["whole.jpg", "cut.jpg"]))
    assert found.state.tolist() == [MEASURED, UNREADABLE]
    assert (found.width[0], found.height[0]) == (1600, 1200)
    assert found.reasons[1].startswith("truncated")


def test_pixels_that_are_no_files_are_told_apart_by_their_content():
    images = ImageSet(
        classes=("x",), keys=("a", "b", "c"), labels=np.zeros(3, np.int32), read=Pixels([noisy(), noisy(), noisy(seed=1)])
    )
    found = measure(images)
    assert found.digest[0].tobytes() == found.digest[1].tobytes() != found.digest[2].tobytes()
    assert found.file_size.tolist() == [-1] * 3


def test_boxes_of_one_picture_are_measured_each_by_itself(tmp_path):
    picture = noisy(60, 40)
    picture.paste((10, 10, 10), (0, 0, 20, 20))
    picture.save(tmp_path / "a.png")
    boxes = np.array([[0, 0, 20, 20], [20, 0, 60.0, 39.5], [70, 0, 90, 10]], np.float32)
    images = table(tmp_path, ["a#0", "a#1", "a#2"], files=("a.png",) * 3, boxes=boxes)
    found = measure(images)
    assert found.state.tolist() == [MEASURED, MEASURED, UNREADABLE]
    assert "outside" in found.reasons[2]
    assert [found.width[:2].tolist(), found.height[:2].tolist()] == [[20, 40], [20, 40]]
    assert found.entropy[0] == 0 < found.entropy[1]
    assert len({row.tobytes() for row in found.digest}) == 3
    quick = headers(images)
    assert quick.width.tolist() == [20, 40, 0]
    assert quick.height.tolist() == [20, 40, 0]


def test_blur_lowers_sharpness_and_a_sharp_subject_before_a_blurred_ground_counts_as_sharp(tmp_path):
    scene = noisy(32, 32).resize((256, 256), Image.Resampling.NEAREST)
    subject = scene.filter(ImageFilter.GaussianBlur(4))
    subject.paste(scene.crop((100, 100, 140, 140)), (100, 100))
    found = measure(folder_of(tmp_path, [scene, scene.filter(ImageFilter.GaussianBlur(4)), subject]))
    assert found.sharpness[1] < 0.25 < found.sharpness[2]
    assert found.sharpness[1] < 0.5 * found.sharpness[0]


def test_it_ends_at_once_and_what_was_measured_is_kept(tmp_path):
    images = folder_of(tmp_path, [noisy(1500, 1500, seed=i) for i in range(3)])
    images = table(tmp_path, [f"{i}#{j}" for i in range(3) for j in range(100)], files=tuple(images.keys) * 100)
    asked = []

    def progress(done, total):
        asked.append(done)
        return done < 5

    start = time.monotonic()
    found = measure(images, progress=progress, threads=2)
    assert time.monotonic() - start < 10
    assert asked[-1] >= 5
    assert (found.state == MEASURED).sum() == asked[-1] < 300


def test_progress_is_asked_even_while_one_picture_takes_long():
    class Slow:
        def __call__(self, index):
            time.sleep(1 if index == 9 else 0)
            return noisy()

    images = ImageSet(classes=("x",), keys=tuple(map(str, range(10))), labels=np.zeros(10, np.int32), read=Slow())
    times = []
    start = time.monotonic()
    measure(
        images, progress=lambda done, total: times.append(time.monotonic()) or len(times) < 4, rows=np.array([9]), threads=1
    )
    assert time.monotonic() - start < 0.9


def test_the_check_of_old_still_names_what_does_not_load(tmp_path):
    images = folder_of(tmp_path, [noisy(), noisy()])
    (tmp_path / "0001.png").write_bytes(b"text")
    assert measure(images).reasons == {1: "not an image"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [None, 1, 3, 6])
def test_headers_tell_the_size_that_decoding_gives(tmp_path, kind, orientation):
    options = {}
    if orientation and kind not in {"GIF", "BMP"}:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    for mode, lossless in (("RGB", False), ("RGBA", True)):
        if mode == "RGBA" and kind == "JPEG":
            continue
        extra = {"lossless": lossless} if kind == "WEBP" else {}
        noisy(70, 31).convert(mode).save(tmp_path / "x", kind, **options, **extra)
        images = table(tmp_path, ["x"])
        quick = headers(images)
        upright = (31, 70) if "exif" in options and orientation == 6 else (70, 31)
        assert (quick.width[0], quick.height[0]) == images.load(0).size == upright
        assert quick.file_size[0] == (tmp_path / "x").stat().st_size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_header_cut_anywhere_tells_nothing_wrong(kind):
    buffer = io.BytesIO()
    noisy(70, 31).save(buffer, kind)
    data = buffer.getvalue()
    for length in range(min(len(data), 700)):
        assert size_of(data[:length]) in {(0, 0), (70, 31)}
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(data[:700])
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        size_of(bytes(damaged))


def test_headers_of_what_is_no_file_or_no_image_stay_unknown(tmp_path):
    (tmp_path / "x").write_bytes(b"text")
    quick = headers(table(tmp_path, ["x", "gone"]))
    assert quick.width.tolist() == [0, 0]
    assert quick.file_size.tolist() == [4, -1]
    pixels = ImageSet(classes=("x",), keys=("a",), labels=np.zeros(1, np.int32), read=Pixels([noisy()]))
    assert headers(pixels).file_size.tolist() == [-1]
    assert len(headers(table(tmp_path, [])).width) == 0


def test_headers_and_measures_agree_on_real_photographs(hymenoptera):
    keys = sorted(str(path.relative_to(hymenoptera)) for path in hymenoptera.rglob("*") if path.is_file())[::8]
    images = table(hymenoptera, keys)
    quick, whole = headers(images), measure(images)
    np.testing.assert_array_equal(quick.width, whole.width)
    np.testing.assert_array_equal(quick.height, whole.height)
    np.testing.assert_array_equal(quick.modified, whole.modified)
    for row in range(0, len(keys), 7):
        assert images.load(row).size == (whole.width[row], whole.height[row])


class Stumbling:
    """A plugin's reader with a mistake in it."""

    def __call__(self, index):
        return {0: noisy()}[index]


def test_a_reader_that_raises_anything_costs_that_image_only():
    images = ImageSet(classes=("x",), keys=("a", "b"), labels=np.zeros(2, np.int32), read=Stumbling())
    found = measure(images)
    assert found.state.tolist() == [MEASURED, UNREADABLE]
    assert "KeyError" in found.reasons[1]
