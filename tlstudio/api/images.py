"""The one decoding contract: from a file to an RGB image, the same for the browser, the trainer and predictions.

Refuses what is unsafe or damaged with an `ImageError` that says why in a few words. Knows nothing of data sets.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlstudio.api.errors import ImageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
IGNORED_NAMES = frozenset({".ds_store", "thumbs.db", "desktop.ini", "__macosx", ".ipynb_checkpoints"})

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")  # never EPS: Pillow would start Ghostscript for it
_MAX_BYTES = 512 * 2**20
_USUAL_PIXELS = 90 * 10**6  # about Pillow's own limit for a decompression bomb
_MAX_ASPECT = 1000
_ORIENTATION = 0x0112


def is_image_name(name: str) -> bool:
    """Whether a file name is that of an image, going by its suffix; hidden and system files are not."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def is_ignored_name(name: str) -> bool:
    """Whether a file or folder is the operating system's own litter (``.DS_Store``, ``Thumbs.db``, ``._x.jpg``)."""
    return name.startswith(".") or name.lower() in IGNORED_NAMES


def printable(name: str) -> str:
    """A file name as text that can be shown and sent: undecodable bytes and control characters are escaped, as in ``\\xff``."""
    if name.isprintable():
        return name
    safe = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in safe)


@dataclass(frozen=True)
class Limits:
    """What `decode` takes. By default sound pictures of any usual size; the user may allow more for their own data.

    Args:
        megapixels: how large a picture may be; what is larger than 90 megapixels is made smaller as it is read.
        damaged: whether a picture that is cut off counts; what is missing of it is grey or black.
    """

    megapixels: int = _USUAL_PIXELS // 10**6
    damaged: bool = False


USUAL = Limits()


def decode(source: str | os.PathLike[str] | bytes, *, draft: int | None = None, limits: Limits = USUAL) -> Image:
    """Decode one image file to 8-bit RGB, upright.

    EXIF orientation is applied; 16-bit grey keeps its full range; palettes and transparency land on white; of an
    animation or a multi-page file the first frame counts.

    Args:
        source: a path, or the bytes of a file.
        draft: for thumbnails: a side length in pixels below which JPEG may be decoded smaller (never below this).
        limits: what to take, where it is more than the usual.

    Raises:
        ImageError: empty, truncated, not an image, too large or too thin.
    """
    from PIL import Image, UnidentifiedImageError

    data = source if isinstance(source, bytes) else read_bytes(source)
    if not data:
        raise ImageError("empty file")
    if limits.megapixels > USUAL.megapixels and Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, limits.megapixels * 10**6)  # else Pillow refuses first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check_size(*image.size, limits)
                smaller = math.ceil(math.sqrt(image.width * image.height / _USUAL_PIXELS))
                if draft is not None:
                    image.draft("RGB", (draft, draft))
                elif smaller > 1:
                    image.draft("RGB", (image.width // smaller, image.height // smaller))
                elif (quick := _quick_jpeg(data, image)) is not None:
                    return quick
                _load(image, limits)
                picture = _to_rgb(_upright(image))
                return picture if picture.width * picture.height <= _USUAL_PIXELS else picture.reduce(smaller)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError("not an image") from None
        except Image.DecompressionBombError:
            raise ImageError(f"too many pixels (the limit is {limits.megapixels} megapixels)") from None
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, MemoryError, OverflowError) as error:
            reason = "truncated" if "truncated" in str(error).lower() else f"damaged ({error})"
            raise ImageError(reason) from None


def crop(image: Image, box: Sequence[float]) -> Image:
    """The part of a picture inside a box (left, top, right, bottom in pixels), rounded outwards, at least one pixel.

    Raises:
        ImageError: the box lies outside of the picture, or has no finite or no positive size.
    """
    left, top, right, bottom = box
    if not all(math.isfinite(value) for value in box) or right <= left or bottom <= top:
        raise ImageError("its box has no size")
    inside = (
        max(0, math.floor(left)),
        max(0, math.floor(top)),
        min(image.width, math.ceil(right)),
        min(image.height, math.ceil(bottom)),
    )
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise ImageError("its box lies outside of the picture")
    return image.crop(inside)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height in pixels as stored, from the header alone.

    Raises:
        ImageError: as `decode`, as far as the header tells.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_size(*image.size)
            return image.size
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("not an image") from error


def grey16(path: str | os.PathLike[str]) -> NDArray[np.uint16] | None:
    """The full greys of a 16-bit file, ``(H, W)`` uint16, upright; `decode` keeps only the upper 8 bits of them.

    ``None`` where the file is of another kind, or cannot be read; what is wrong with it then, `decode` says.
    """
    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as header:
                if not (header.mode.startswith("I;16") or header.mode == "I"):
                    return None
                _check_size(*header.size)
            data = io.BytesIO(read_bytes(path))  # opened by its name, Pillow 13 maps a turned TIFF wrongly
            with Image.open(data, formats=_FORMATS) as image:
                image.load()
                greys: NDArray[np.uint16] = np.clip(np.asarray(_upright(image)), 0, 65535).astype(np.uint16)
                return greys
    except Exception:  # noqa: BLE001 - as above
        return None


def to_array(image: Image) -> NDArray[np.uint8]:
    """The pixels of an RGB image as ``(H, W, 3)`` uint8."""
    import numpy as np

    return np.asarray(image, dtype=np.uint8)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of an image file.

    Raises:
        ImageError: it is missing, cannot be read or is larger than 512 MB.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MAX_BYTES:
                raise ImageError(f"larger than {_MAX_BYTES // 2**20} MB")
            return file.read()
    except FileNotFoundError:
        raise ImageError("file not found") from None
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror or error})") from None


def _load(image: ImageFile, limits: Limits) -> None:
    try:
        image.load()
    except OSError as error:
        if not limits.damaged or "truncated" not in str(error).lower():
            raise
        image.tile = []  # what was decoded so far is there; nothing more is asked for


def _quick_jpeg(data: bytes, header: ImageFile) -> Image | None:
    """The same pixels as Pillow's, in less time; ``None`` where Pillow must do it: other kinds, turned or faulty files."""
    from PIL import Image

    if header.format != "JPEG" or header.mode not in {"RGB", "L"} or header.getexif().get(_ORIENTATION, 1) != 1:
        return None
    try:
        import simplejpeg

        return Image.fromarray(simplejpeg.decode_jpeg(data, colorspace="RGB"))
    except Exception:  # noqa: BLE001 - it is not installed, or finds fault with the file: Pillow says with which
        return None


def _check_size(width: int, height: int, limits: Limits = USUAL) -> None:
    if width * height > limits.megapixels * 10**6:
        raise ImageError(f"too many pixels ({width} x {height}; the limit is {limits.megapixels} megapixels)")
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise ImageError(f"too thin ({width} x {height})")


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - broken EXIF must not cost the pixels
        return image


def _to_rgb(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        return _grey16(image)
    if image.mode == "F":
        return _grey16(image.point(lambda value: value * 1.0).convert("I"))
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey16(image: Image) -> Image:
    import numpy as np
    from PIL import Image

    pixels = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
    return Image.fromarray((pixels // 257).astype(np.uint8)).convert("RGB")
