"""Where a downloaded file of weights may lie on this machine. It looks at names only and fetches nothing."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import platformdirs


def weights_folders() -> tuple[Path, ...]:
    """The folders that are searched, in order: torch's own download cache, then tlstudio's weights folder.

    The cache is found by the rules that torch documents (``TORCH_HOME``, ``XDG_CACHE_HOME``, ``~/.cache``), so that weights
    which other programs fetched are found without importing torch.
    """
    names = ("TORCH_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TLSTUDIO_HOME")
    return _folders(os.path.expanduser("~"), *(os.environ.get(name) for name in names))


def locate(file_name: str) -> Path | None:
    """The file of that name in one of the folders, or ``None``. Quick, since a list of networks asks for every one."""
    for folder in weights_folders():
        file = os.path.join(folder, file_name)
        if os.path.isfile(file):
            return Path(file)
    return None


@functools.lru_cache(maxsize=4)
def _folders(home: str, torch: str | None, cache: str | None, _data: str | None, own: str | None) -> tuple[Path, ...]:
    if torch is None:
        torch = os.path.join(os.path.join(home, ".cache") if cache is None else cache, "torch")
    ours = Path(own) if own else Path(platformdirs.user_data_dir("tlstudio", appauthor=False))
    return (Path(torch).expanduser() / "hub" / "checkpoints", ours / "weights")
