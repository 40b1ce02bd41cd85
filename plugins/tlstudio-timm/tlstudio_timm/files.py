"""Where a downloaded file of weights may lie on this machine. It looks at names only and fetches nothing.

The cache of the Hugging Face hub is not looked at here: the program does that for every set whose source is the hub.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import platformdirs

_ENDINGS = (".safetensors", ".bin", ".pth")


def locate(name: str, is_file: bool) -> Path | None:
    """A file in torch's download cache or in tlstudio's weights folder, or ``None``.

    Args:
        name: of the file; of a set on the hub, what a file taken from there is called here, without its ending.
        is_file: whether the ending is part of the name.
    """
    names = (name,) if is_file else tuple(f"{name}{ending}" for ending in _ENDINGS)
    for folder in _folders():
        there = _names(folder, _stamp(folder))
        for wanted in names:
            if wanted in there and (folder / wanted).is_file():
                return folder / wanted
    return None


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4)
def _names(folder: Path, _stamp: int) -> frozenset[str]:
    """What a folder holds; a list of all sets asks two thousand times."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def _folders() -> tuple[Path, ...]:
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch_home = Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser()
    home = os.environ.get("TLSTUDIO_HOME")
    own = Path(home) if home else Path(platformdirs.user_data_dir("tlstudio", appauthor=False))
    return (torch_home / "hub" / "checkpoints", own / "weights")
