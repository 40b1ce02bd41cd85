"""The checkpoint folders of a run, as files: which there are, and whether each is as it was written. Knows no torch.

<run>/ckpt/step-000001234/  state.pt  meta.json  MANIFEST.json (SHA-256)
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tlstudio import safe_io

FORMAT = 2
_STEP = re.compile(r"step-(\d{9})")


def checkpoint_folder(run_folder: Path, step: int) -> Path:
    """Where the checkpoint after this many optimiser steps lies."""
    return run_folder / "ckpt" / f"step-{step:09d}"


def list_checkpoints(run_folder: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest step first (by number)."""
    try:
        folders = [folder for folder in (run_folder / "ckpt").iterdir() if _STEP.fullmatch(folder.name)]
    except OSError:
        return []
    return sorted(folders, key=step_of)


def verify_checkpoint(folder: Path) -> bool:
    """Whether every file of a checkpoint is as it was written."""
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_bytes())["sha256"]
        return bool(manifest) and all(safe_io.sha256(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def newest_intact(run_folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest checkpoint that verifies, or ``None``, and the damaged ones that are newer."""
    damaged: list[Path] = []
    for folder in reversed(list_checkpoints(run_folder)):
        if verify_checkpoint(folder):
            return folder, damaged
        damaged.append(folder)
    return None, damaged


def read_meta(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
    return meta


def step_of(folder: Path) -> int:
    """How many optimiser steps were done."""
    found = _STEP.fullmatch(folder.name)
    assert found is not None
    return int(found[1])
