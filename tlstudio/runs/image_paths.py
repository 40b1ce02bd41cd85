"""Where the runs of a workspace have their images, as their configurations say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tlstudio.runs.store import runs_folder


def image_paths(workspace: Path) -> Iterator[str]:
    """The path of each run's images; a run that cannot be read is passed over, and one of data without a path."""
    try:
        folders = [entry for entry in runs_folder(workspace).iterdir() if not entry.name.startswith(".")]
    except OSError:
        return
    for folder in folders:
        try:
            path = json.loads((folder / "config.json").read_bytes())["data"]["path"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(path, str):
            yield path
