"""Checkpoints and results on disk: written whole or not at all, with SHA-256 manifests, and read back without pickles."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tlstudio import safe_io
from tlstudio.api.errors import DataError
from tlstudio.runs.checkpoints import (
    FORMAT,
    NEW_RESULT,
    RESULT,
    RESULT_ABOUT,
    checkpoint_folder,
    list_checkpoints,
    newest_intact,
    read_meta,
    settle_result,
    step_of,
    verify_checkpoint,
)

__all__ = ["list_checkpoints", "load_checkpoint", "load_state", "save_checkpoint", "save_result", "verify_checkpoint"]

_KEEP = 2
MOST = _KEEP + 2
"""Checkpoints that a run has at most: the newest ones, the best, and the one that it goes on from."""


def save_checkpoint(
    run_folder: Path, step: int, state: Mapping[str, Any], meta: Mapping[str, Any], *, keep: Collection[int] = ()
) -> Path:
    """Write ``ckpt/step-…``, look whether it is whole, and only then delete the oldest ones.

    Args:
        state: tensors, numbers, strings and containers of these: it must load with ``weights_only=True``.
        keep: steps of checkpoints that stay, beside the two newest.

    Raises:
        OSError: or what torch raises on a full disk; see `tlstudio.safe_io.as_user_error`. The older ones are then there.
    """
    folder = checkpoint_folder(run_folder, step)
    if folder.exists():
        if verify_checkpoint(folder):
            return folder
        safe_io.remove_folder(folder)
    with safe_io.atomic_folder(folder) as temporary:
        safe_io.atomic_write(temporary / "state.pt", lambda file: torch.save(dict(state), file))
        safe_io.write_json(temporary / "meta.json", {"format": FORMAT, "step": step, **meta})
        files = {name: safe_io.sha256(temporary / name) for name in ("state.pt", "meta.json")}
        safe_io.write_json(temporary / "MANIFEST.json", {"sha256": files})
    for old in list_checkpoints(run_folder)[:-_KEEP]:
        if step_of(old) not in keep:
            with contextlib.suppress(OSError):
                safe_io.remove_folder(old)
    return folder


def load_state(folder: Path) -> dict[str, Any]:
    """The state of one checkpoint, on the CPU."""
    state: dict[str, Any] = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    return state


def load_checkpoint(run_folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and meta of the newest checkpoint that verifies.

    Raises:
        DataError: there is none.
    """
    folder, _ = newest_intact(run_folder)
    if folder is None:
        raise DataError(f"The run {run_folder.name} has no intact checkpoint.")
    return load_state(folder), read_meta(folder)


def save_result(run_folder: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write the trained model: ``model.safetensors``, and ``model.json`` with what is needed to use it; both or none."""
    settle_result(run_folder)
    data = to_safetensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with safe_io.atomic_folder(run_folder / NEW_RESULT) as temporary:
        safe_io.write_bytes(temporary / RESULT, data)
        safe_io.write_json(temporary / RESULT_ABOUT, {"format": 1, "sha256": safe_io.sha256(temporary / RESULT), **about})
    settle_result(run_folder)
    return run_folder / RESULT
