"""Where the runs of a workspace have their images, as their configurations say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tlstudio.runs.store import run_folders


def image_paths(workspace: Path) -> Iterator[str]:
    """The path of each run's images; a run that cannot be read is passed over, and one of data without a path."""
    for folder in run_folders(workspace):
        try:
            path = json.loads((folder / "config.json").read_bytes())["data"]["path"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(path, str):
            yield path
