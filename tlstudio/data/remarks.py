"""What is odd about an image file though it loads: a wrong ending, several pages, 16 bits a channel."""

from __future__ import annotations

import io
import os
import warnings

from tlstudio.data.headers import SUFFIX_FORMATS, format_of

_WRONG_ENDING = " data in a file named "
_MANY_FRAMES = frozenset({"GIF", "TIFF", "WebP", "PNG"})


def remark_on(name: str, data: bytes) -> str:
    """One short sentence for each thing that is odd about a readable file, or nothing.

    Args:
        name: the file's name.
        data: its bytes.
    """
    kind = format_of(data)
    suffix = os.path.splitext(name)[1].lower()
    remarks = []
    if kind and SUFFIX_FORMATS.get(suffix) != kind:
        remarks.append(f"{kind}{_WRONG_ENDING}{suffix or 'without an ending'}")
    if kind in _MANY_FRAMES and (kind != "PNG" or b"acTL" in data[:4096] or data[24:25] == b"\x10"):
        remarks += _from_header(data, kind)
    return "; ".join(remarks)


def split_remark(remark: str) -> tuple[str, str]:
    """The part of a remark that is about a wrong ending, and the rest; either may be empty."""
    parts = remark.split("; ") if remark else []
    return "; ".join(p for p in parts if _WRONG_ENDING in p), "; ".join(p for p in parts if _WRONG_ENDING not in p)


def _from_header(data: bytes, kind: str) -> list[str]:
    from PIL import Image

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=(kind.upper(),)) as image:
                if image.mode.startswith("I;16") or (kind == "PNG" and data[24:25] == b"\x10"):
                    found.append("16 bits a channel, of which 8 are used")
                frames = int(getattr(image, "n_frames", 1))
                if frames > 1:
                    what = f"{frames} pages" if kind == "TIFF" else f"an animation of {frames} pictures"
                    found.append(f"{what}, of which the first is used")
        except Exception:  # noqa: BLE001 - the picture itself has loaded; what its header hides costs a remark only
            pass
    return found
