"""What a file tells before it is decoded: its format and the upright size of its picture, from the first bytes.

A small parser for the common formats, since opening an index of a million images must not cost a decoder each; Pillow answers
for whatever it does not follow. Nothing here says that an image is sound: only decoding does.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.dataset import ImageSet
from tlstudio.api.images import image_size
from tlstudio.data.threads import Progress, in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD_BYTES = 4096
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_FILES_A_JOB = 256
_THREADS_TO_WAIT = 8
_QUICK = 1e-4  # seconds a file
UNKNOWN = (0, 0)

SUFFIX_FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".bmp": "BMP", ".tif": "TIFF",
    ".tiff": "TIFF", ".webp": "WebP", ".gif": "GIF",
}  # fmt: skip

_NO_SIZE_MARKERS = frozenset({0x01, *range(0xD0, 0xDA)})
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TURNED = frozenset({5, 6, 7, 8})
_ORIENTATION = 0x0112


def format_of(data: bytes) -> str:
    """The format that the first bytes of a file declare, by its usual name; empty for none that is supported."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"GIF8":
        return "GIF"
    if data[:2] == b"BM":
        return "BMP"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return "TIFF"
    return ""


def size_of(head: bytes) -> tuple[int, int]:
    """Width and height of the upright picture in pixels, from the first bytes of a file; ``(0, 0)`` where they do not tell."""
    parse = _PARSERS.get(format_of(head))
    if parse is None:
        return UNKNOWN
    try:
        width, height = parse(head)
    except (struct.error, IndexError):
        return UNKNOWN
    return (width, height) if width > 0 and height > 0 else UNKNOWN


def _jpeg(head: bytes) -> tuple[int, int]:
    at, turned = 2, False
    while head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF or marker in _NO_SIZE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", head, at + 5)
            return (height, width) if turned else (width, height)
        (length,) = struct.unpack_from(">H", head, at + 2)
        if marker == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            turned = _orientation(head[at + 10 : at + 2 + length]) in _TURNED
        at += 2 + length
    return UNKNOWN


def _orientation(tiff: bytes) -> int:
    """The orientation tag of an EXIF block; 1 (upright) where there is none or the block is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(min(count, 200)):
            tag, kind = struct.unpack_from(order + "HH", tiff, start + 2 + 12 * i)
            if tag == _ORIENTATION and kind == 3:
                return int(struct.unpack_from(order + "H", tiff, start + 10 + 12 * i)[0])
    except struct.error:
        pass
    return 1


def _png(head: bytes) -> tuple[int, int]:
    if head[12:16] != b"IHDR" or b"IDAT" not in head:  # an eXIf chunk that turns the picture stands before the pixels
        return UNKNOWN
    if b"eXIf" in head:
        return UNKNOWN
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _bmp(head: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", head, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", head, 18)
    return width, abs(height)


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X" and not head[20] & 0x08:  # the flag of an EXIF block, which stands at the end of the file
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return UNKNOWN


_PARSERS = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WebP": _webp}


@dataclass(frozen=True, kw_only=True)
class Headers:
    """What the first bytes of each file tell: the columns of the same names in `tlstudio.data.measure.Measures`."""

    file_size: NDArray[np.int64]
    modified: NDArray[np.int64]
    width: NDArray[np.int32]
    height: NDArray[np.int32]


def headers(
    images: ImageSet,
    *,
    rows: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Headers:
    """Size, time of change, width and height of every image without decoding any, for the index as it opens.

    Unknown values are -1 (size, time) and 0 (width, height), also for rows that were not reached when ``progress`` ended the
    work. Width and height are those of the row's box where it has one.

    Args:
        rows: which rows to read; by default all. The others stay unknown.
        progress: see `Progress`.
        threads: by default one, or some where the drive is slow.
    """
    size, modified = (np.full(len(images), -1, np.int64) for _ in range(2))
    width, height = (np.zeros(len(images), np.int32) for _ in range(2))
    wanted = np.arange(len(images)) if rows is None else rows
    jobs = [[part] for part in np.array_split(wanted, -(-len(wanted) // _FILES_A_JOB) or 1)]
    done = 0
    results = in_threads(lambda part: [(part, _read_headers(images, part))], jobs, threads or _threads_for(images))
    for found in results:
        for part, values in found:
            done += len(part)
            size[part], modified[part], width[part], height[part] = values
        if progress is not None and not progress(done, len(wanted)):
            break
    results.close()
    return Headers(file_size=size, modified=modified, width=width, height=height)


def _threads_for(images: ImageSet) -> int:
    """One where files open at once, since more would only take turns at Python's lock; several where a drive is waited for."""
    start = time.perf_counter()
    tried = np.arange(0, len(images), max(1, len(images) // 32))[:32]
    _read_headers(images, tried)
    return _THREADS_TO_WAIT if time.perf_counter() - start > _QUICK * len(tried) else 1


def _read_headers(images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(4, R)``: file size, time of change, width and height."""
    if images.root is None or images.read is not None:
        return np.array([[-1], [-1], [0], [0]]).repeat(len(rows), axis=1)
    root, names = os.fspath(images.root), images.files or images.keys
    values = np.array([_read_header(f"{root}{os.sep}{names[row]}") for row in rows.tolist()], np.int64).reshape(-1, 4)
    if images.boxes is not None:
        values[:, 2:] = [_part(box, *size) for box, size in zip(images.boxes[rows], values[:, 2:].tolist(), strict=True)]
    return values.T


def _read_header(path: str) -> tuple[int, int, int, int]:
    try:
        handle = os.open(path, _FLAGS)
        try:
            about = os.fstat(handle)
            head = os.read(handle, HEAD_BYTES)
        finally:
            os.close(handle)
    except OSError:
        return -1, -1, 0, 0
    width, height = size_of(head)
    if not width and format_of(head):
        width, height = _by_pillow(path, head)
    return about.st_size, about.st_mtime_ns, width, height


def _by_pillow(path: str, head: bytes) -> tuple[int, int]:
    from PIL import Image

    try:
        width, height = image_size(path)
        if format_of(head) == "TIFF":  # turned by Pillow as it opens
            return width, height
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # noqa: BLE001 - damaged in any way: nothing is known, and decoding says why
        return UNKNOWN
    return (height, width) if turned else (width, height)


def _part(box: NDArray[np.float32], width: int, height: int) -> tuple[int, int]:
    """The size that `tlstudio.api.images.crop` gives, or nothing where it would refuse."""
    if not width or not np.isfinite(box).all():
        return UNKNOWN
    left, top = np.maximum(np.floor(box[:2]), 0)
    right, bottom = np.minimum(np.ceil(box[2:]), (width, height))
    return (int(right - left), int(bottom - top)) if right > left and bottom > top else UNKNOWN
