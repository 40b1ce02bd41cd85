"""The decoding contract: good pixels from every honest file, a plain reason for every other."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import ImageError, ImageSet, decode
from tlstudio.api.images import Limits, crop, image_size


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=60, height=40):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 4, y * 6, (x + y) * 2], 2).astype(np.uint8))


def huge_png():
    """A few hundred bytes whose header says 60,000 x 60,000."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 500)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"only text", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        (encode(photo(), "JPEG")[:400], "truncated"),
        (encode(photo(400, 300), "JPEG")[:-200], "truncated"),
        (huge_png(), "too many pixels"),
        (encode(Image.new("RGB", (1, 20_000))), "too thin"),
    ],
    ids=["empty", "text", "postscript", "cut early", "cut late", "huge", "thin"],
)
def test_what_cannot_be_used_says_why(data, reason):
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert reason in caught.value.title


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ImageError, match="file not found"):
        decode(tmp_path / "no.jpg")
    with pytest.raises(ImageError):
        image_size(tmp_path / "no.jpg")


def test_a_wrong_ending_does_not_matter(tmp_path):
    (tmp_path / "x.jpg").write_bytes(encode(photo()))
    np.testing.assert_array_equal(decode(tmp_path / "x.jpg"), photo())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_give_the_same_upright_image(orientation):
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = photo().transpose(turns[orientation]) if orientation in turns else photo()
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode(encode(stored, exif=exif)), photo())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_full_range(kind):
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    pixels = np.asarray(decode(encode(Image.fromarray(values), kind)))
    assert pixels.shape == (16, 16, 3)
    np.testing.assert_allclose(pixels[..., 0], values / 257, atol=1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("I;16", (8, 8), 30_000) if mode == "I;16" else photo(8, 8).convert(mode)
    kind = {"CMYK": "TIFF"}.get(mode, "PNG")
    assert decode(encode(image, kind)).mode == "RGB"


def test_transparency_lands_on_white():
    assert decode(encode(Image.new("RGBA", (2, 2), (10, 20, 30, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_has_the_right_colours():
    colour = (200, 120, 40)
    data = encode(Image.new("RGB", (16, 16), colour).convert("CMYK"), "JPEG", quality=100, subsampling=0)
    np.testing.assert_allclose(decode(data).getpixel((8, 8)), colour, atol=3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    red, _, blue = decode(buffer.getvalue()).getpixel((4, 4))
    assert red > 240
    assert blue < 15


def test_broken_exif_costs_no_pixels():
    data = encode(photo(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert decode(data).size == (60, 40)


def test_a_draft_is_never_smaller_than_asked():
    data = encode(photo(1600, 1200), "JPEG")
    assert min(decode(data, draft=200).size) >= 200
    assert decode(data).size == (1600, 1200)


def test_a_row_with_a_box_loads_as_that_part_of_its_picture(tmp_path):
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste((255, 0, 0), (10, 5, 20, 15))
    picture.save(tmp_path / "a.png")
    table = ImageSet(
        classes=("red", "none"),
        keys=("a.png#0", "a.png#1", "a.png#2"),
        files=("a.png", "a.png", "a.png"),
        boxes=np.array([[9.6, 4.9, 20.4, 15.0], [30, 10, 90, 90], [50, 0, 60, 10]], np.float32),
        labels=np.array([0, 1, 1], np.int32),
        root=tmp_path,
    )
    assert table.path(1) == tmp_path / "a.png"
    assert table.load(0).size == (12, 11)
    assert table.load(0).getpixel((6, 5)) == (255, 0, 0)
    assert table.load(1).size == (10, 10)
    with pytest.raises(ImageError, match="outside"):
        table.load(2)


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (5, 5, 1, 9), (float("nan"), 0, 5, 5)])
def test_a_box_without_a_size_is_named(box):
    with pytest.raises(ImageError, match="no size"):
        crop(Image.new("RGB", (9, 9)), box)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_cut_picture_is_taken_where_the_user_allows_it(kind):
    data = encode(photo(300, 200), kind)
    cut = data[: len(data) * 2 // 3]
    with pytest.raises(ImageError, match="truncated"):
        decode(cut)
    image = decode(cut, limits=Limits(damaged=True))
    whole = np.asarray(decode(data), int)
    assert image.size == (300, 200)
    assert np.abs(np.asarray(image, int)[:60] - whole[:60]).max() < 3
    with pytest.raises(ImageError, match="not an image"):
        decode(b"no image at all", limits=Limits(damaged=True))


def test_a_very_large_picture_is_refused_with_the_limit_and_made_smaller_where_the_user_allows_it():
    huge = encode(Image.new("1", (15_000, 14_000)), "TIFF", compression="group4")
    with pytest.raises(ImageError, match="limit is 90 megapixels"):
        decode(huge)
    image = decode(huge, limits=Limits(megapixels=300))
    assert image.size == (7500, 7000)
    with pytest.raises(ImageError, match="limit is 1 megapixels"):
        decode(encode(photo(1200, 1000)), limits=Limits(megapixels=1))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 12}, {"subsampling": 1, "quality": 98}]
)
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 33), (201, 100)])
def test_the_quick_decoder_gives_the_very_pixels_of_pillow(mode, options, size, monkeypatch):
    pytest.importorskip("simplejpeg")
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, "JPEG", **options)
    quick = np.asarray(decode(file.getvalue()))
    monkeypatch.setattr("tlstudio.api.images._quick_jpeg", lambda *_: None)
    np.testing.assert_array_equal(quick, np.asarray(decode(file.getvalue())))
