"""Sixteen awkward files, each among sound ones: it is measured or named with its reason, and never costs the others."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import ImageSet
from tlstudio.data.measure import MEASURED, UNREADABLE, measure
from tlstudio.data.quality import find_issues


def picture(width=60, height=40, seed=0):
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width))
    return Image.fromarray(
        np.stack([x * 195 // width + noise, y * 195 // height + noise, np.full_like(x, 90)], 2).astype(np.uint8)
    )


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body, *, crc=None):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) if crc is None else crc)


def png(width, height, *chunks, depth=8, colour=2):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def huge_tiff(width=20_000, height=15_000):
    """The header of an honest 300-megapixel grey TIFF and its first bytes; the rest is never asked for."""
    fields = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (278, 4, height),
              (279, 4, width * height)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    return (b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4)).ljust(200, b"\0") + bytes(1000)


def grey16():
    return Image.fromarray(np.linspace(0, 65535, 60 * 40).astype(np.uint16).reshape(40, 60))


def frames(kind, count=3, **options):
    first, *rest = [picture(seed=seed) for seed in range(count)]
    return encode(first, kind, save_all=True, append_images=rest, **options)


def oriented(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return encode(picture(), "JPEG", exif=exif)


JPEG = encode(picture(400, 300), "JPEG")
PIXELS = chunk(b"IDAT", zlib.compress((b"\0" + bytes(range(30)) * 6) * 40))
TEXT = b"".join(chunk(b"tEXt", b"key%d\0value" % i) for i in range(10_000))

UNREADABLE_FILES = {
    "1 empty": ("a.jpg", b"", "empty file", "empty"),
    "2 cut at half": ("a.jpg", JPEG[: len(JPEG) // 2], "truncated", "truncated"),
    "3 last 20 bytes missing": ("a.jpg", JPEG[:-20], "truncated", "truncated"),
    "4 text": ("a.png", b"this is only text", "not an image", "unreadable"),
    "6 PostScript": ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image", "unreadable"),
    "7 header of 60,000 x 60,000": ("a.png", png(60_000, 60_000, PIXELS), "too many pixels", "unreadable"),
    "8 300 megapixels": ("a.tif", huge_tiff(), "too many pixels", "unreadable"),
    "15 too thin": ("a.png", encode(Image.new("RGB", (1, 20_000))), "too thin", "unreadable"),
    "16 bad checksum": ("a.png", png(60, 40, chunk(b"IDAT", b"xx", crc=1)), "damaged", "unreadable"),
}

READABLE_FILES = {
    "5 PNG named jpg": ("a.jpg", encode(picture()), (60, 40), "PNG data in a file named .jpg"),
    "9 16-bit PNG": ("a.png", encode(grey16()), (60, 40), "16 bits"),
    "9 16-bit TIFF": ("a.tif", encode(grey16(), "TIFF"), (60, 40), "16 bits"),
    "10 CMYK JPEG": ("a.jpg", encode(picture().convert("CMYK"), "JPEG"), (60, 40), ""),
    "11 palette": ("a.png", encode(picture().quantize(16), transparency=3), (60, 40), ""),
    "11 LA": ("a.png", encode(picture().convert("LA")), (60, 40), ""),
    "11 one bit": ("a.png", encode(picture().convert("1")), (60, 40), ""),
    "12 turned": ("a.jpg", oriented(6), (40, 60), ""),
    "12 mirrored": ("a.jpg", oriented(2), (60, 40), ""),
    "13 broken EXIF": ("a.jpg", encode(picture(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40), (60, 40), ""),
    "13 broken profile": ("a.jpg", encode(picture(), "JPEG", icc_profile=b"\xff" * 200), (60, 40), ""),
    "13 broken DPI": ("a.png", png(60, 40, chunk(b"pHYs", b"\xff" * 9), PIXELS), (60, 40), ""),
    "14 animated GIF": ("a.gif", frames("GIF"), (60, 40), "animation of 3 pictures"),
    "14 animated WebP": ("a.webp", frames("WEBP"), (60, 40), "animation of 3 pictures"),
    "14 a hundred pages": ("a.tif", frames("TIFF", 100), (60, 40), "100 pages"),
    "15 one pixel": ("a.png", encode(Image.new("RGB", (1, 1), "red")), (1, 1), ""),
    "16 10,000 text chunks": ("a.png", png(60, 40, TEXT, PIXELS), (60, 40), ""),
}


def table(folder, name, data):
    """The file between two sound ones."""
    for i in range(2):
        (folder / f"sound{i}.png").write_bytes(encode(picture(seed=i + 1)))
    (folder / name).write_bytes(data)
    keys = (name, "sound0.png", "sound1.png")
    return ImageSet(classes=("x",), keys=keys, labels=np.zeros(3, np.int32), root=folder)


def issues(images, measures):
    return find_issues(images, np.full(3, -1, np.int8), measures)


@pytest.mark.parametrize(("name", "data", "reason", "kind"), UNREADABLE_FILES.values(), ids=UNREADABLE_FILES)
def test_a_file_that_cannot_be_used_is_named_with_its_reason_and_costs_nothing_else(tmp_path, name, data, reason, kind):
    images = table(tmp_path, name, data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    measures = measure(images)
    assert time.monotonic() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB: no picture of 60,000 pixels a side
    assert measures.state.tolist() == [UNREADABLE, MEASURED, MEASURED]
    assert reason in measures.reasons[0]
    issue = issues(images, measures).of_kind(kind)
    assert issue.rows.tolist() == [0]
    assert issue.severity == "error"
    assert reason in issue.details[0]


@pytest.mark.parametrize(("name", "data", "size", "remark"), READABLE_FILES.values(), ids=READABLE_FILES)
def test_an_unusual_file_loads_and_what_is_unusual_is_noted(tmp_path, name, data, size, remark):
    images = table(tmp_path, name, data)
    start = time.monotonic()
    measures = measure(images)
    assert time.monotonic() - start < 5
    assert measures.state.tolist() == [MEASURED] * 3, measures.reasons
    assert (measures.width[0], measures.height[0]) == size == images.load(0).size
    assert remark in measures.remarks.get(0, "")
    assert (0 in measures.remarks) == bool(remark)
    kind = "wrong-extension" if "named" in remark else "remark"
    assert bool(issues(images, measures).of_kind(kind)) == bool(remark)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_measured_over_their_full_range(tmp_path, kind):
    measures = measure(table(tmp_path, f"a.{kind.lower()}", encode(grey16(), kind)))
    assert measures.bright_low[0] < 0.05
    assert measures.bright_high[0] > 0.95
    assert abs(measures.bright_mean[0] - 0.5) < 0.02


@pytest.mark.parametrize("number", range(1, 9))
def test_all_orientations_measure_like_the_picture_as_it_is_seen(tmp_path, number):
    measures = measure(table(tmp_path, "a.jpg", oriented(number)))
    upright = table(tmp_path, "a.jpg", oriented(number)).load(0)
    assert (measures.width[0], measures.height[0]) == upright.size == ((60, 40) if number < 5 else (40, 60))
