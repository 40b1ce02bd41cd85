"""Where a downloaded file of weights may lie on this machine. It looks at names only and fetches nothing."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def weights_folders() -> tuple[Path, ...]:
    """The folders that are searched, in order: torch's own download cache, then tlstudio's weights folder.

    The cache is found by the rules that torch documents (``TORCH_HOME``, ``XDG_CACHE_HOME``, ``~/.cache``), so that weights
    which other programs fetched are found without importing torch.
    """
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    torch_home = Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser()
    home = os.environ.get("TLSTUDIO_HOME")
    own = Path(home) if home else Path(platformdirs.user_data_dir("tlstudio", appauthor=False))
    return (torch_home / "hub" / "checkpoints", own / "weights")


def locate(file_name: str) -> Path | None:
    """The file of that name in one of the folders, or ``None``."""
    for folder in weights_folders():
        file = folder / file_name
        try:
            if file.is_file():
                return file
        except OSError:
            continue
    return None
