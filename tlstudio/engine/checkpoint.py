"""Checkpoints and results on disk: written whole or not at all, with SHA-256 manifests, and read back without pickles."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tlstudio import safe_io
from tlstudio.api.errors import DataError

_STEP = re.compile(r"step-(\d{9})")
_KEEP = 2


def save_checkpoint(run_folder: Path, step: int, state: Mapping[str, Any], meta: Mapping[str, Any], *, best: int) -> Path:
    """Write ``ckpt/step-…`` and delete the oldest ones, but never the two newest or the best.

    Args:
        state: tensors, numbers, strings and containers of these: it must load with ``weights_only=True``.
        best: step of the best checkpoint.

    Raises:
        OSError: or what torch raises on a full disk; see `tlstudio.safe_io.as_user_error`.
    """
    folder = run_folder / "ckpt" / f"step-{step:09d}"
    if folder.exists():
        return folder
    with safe_io.atomic_folder(folder) as temporary:
        safe_io.atomic_write(temporary / "state.pt", lambda file: torch.save(dict(state), file))
        safe_io.write_json(temporary / "meta.json", {"format": 1, "step": step, **meta})
        files = {name: safe_io.sha256(temporary / name) for name in ("state.pt", "meta.json")}
        safe_io.write_json(temporary / "MANIFEST.json", {"sha256": files})
    known = list_checkpoints(run_folder)
    for old in known[:-_KEEP]:
        if _step_of(old) != best:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def list_checkpoints(run_folder: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest step first (by number)."""
    try:
        folders = [folder for folder in (run_folder / "ckpt").iterdir() if _STEP.fullmatch(folder.name)]
    except OSError:
        return []
    return sorted(folders, key=_step_of)


def verify_checkpoint(folder: Path) -> bool:
    """Whether every file of a checkpoint is as it was written."""
    try:
        manifest = json.loads((folder / "MANIFEST.json").read_bytes())["sha256"]
        return bool(manifest) and all(safe_io.sha256(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False


def load_checkpoint(run_folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and meta of the newest checkpoint that verifies.

    Raises:
        DataError: there is none.
    """
    for folder in reversed(list_checkpoints(run_folder)):
        if verify_checkpoint(folder):
            state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
            return state, json.loads((folder / "meta.json").read_bytes())
    raise DataError(f"The run {run_folder.name} has no intact checkpoint.")


def save_result(run_folder: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write the trained model: ``model.safetensors`` and, last, ``model.json`` with what is needed to use it."""
    target = run_folder / "model.safetensors"
    data = to_safetensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    safe_io.write_bytes(target, data)
    safe_io.write_json(run_folder / "model.json", {"format": 1, "sha256": safe_io.sha256(target), **about})
    return target


def _step_of(folder: Path) -> int:
    found = _STEP.fullmatch(folder.name)
    assert found is not None
    return int(found[1])
