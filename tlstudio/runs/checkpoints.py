"""The checkpoint folders of a run, as files: which there are, and whether each is as it was written. Knows no torch.

<run>/ckpt/step-000001234/  state.pt  meta.json  MANIFEST.json (SHA-256)
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from tlstudio import safe_io

FORMAT = 2
RESULT, RESULT_ABOUT = "model.safetensors", "model.json"
NEW_RESULT = "model.new"
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


def verify_run(run_folder: Path) -> tuple[list[str], list[str]]:
    """Names of what is intact in a run's folder, and of what is damaged: checkpoints and the model."""
    found = {f"ckpt/{folder.name}": verify_checkpoint(folder) for folder in list_checkpoints(run_folder)}
    if (run_folder / RESULT).exists():
        found[RESULT] = verify_result(run_folder)
    return [name for name, good in found.items() if good], [name for name, good in found.items() if not good]


def verify_result(run_folder: Path) -> bool:
    """Whether the model is the one that ``model.json`` describes."""
    try:
        about = json.loads((run_folder / RESULT_ABOUT).read_bytes())
        return bool(about["sha256"] == safe_io.sha256(run_folder / RESULT))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def settle_result(run_folder: Path) -> None:
    """Put a new model and its description in place together: what a crash has left between the two is brought to its end."""
    new = run_folder / NEW_RESULT
    if not new.is_dir():
        return
    for name in (RESULT, RESULT_ABOUT):
        safe_io.move(new / name, run_folder / name)
    with contextlib.suppress(OSError):
        new.rmdir()


def read_meta(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_bytes())
    return meta


def step_of(folder: Path) -> int:
    """How many optimiser steps were done."""
    found = _STEP.fullmatch(folder.name)
    assert found is not None
    return int(found[1])
