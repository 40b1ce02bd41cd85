"""Checkpoints and results on disk: written whole or not at all, with SHA-256 manifests, and read back without pickles."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tlstudio import safe_io
from tlstudio.runs.checkpoints import (
    FORMAT,
    NEW_RESULT,
    RESULT,
    RESULT_ABOUT,
    checkpoint_folder,
    list_checkpoints,
    settle_result,
    step_of,
    verify_checkpoint,
)

if TYPE_CHECKING:
    from tlstudio.engine.training import Best
    from tlstudio.registry.catalog import Recipe

_KEEP = 2
MOST = _KEEP + 2
"""Checkpoints that a run has at most: the newest ones, the best, and the one that it goes on from."""


def save_checkpoint(
    run_folder: Path, step: int, state: Mapping[str, Any], meta: Mapping[str, Any], *, keep: Collection[int] = ()
) -> Path:
    """Write ``ckpt/step-…``, read it again, and only where it is what was meant delete the oldest ones.

    Args:
        state: tensors, numbers, strings and containers of these: it must load with ``weights_only=True``.
        keep: steps of checkpoints that stay, beside the two newest.

    Raises:
        OSError: it cannot be written, or reads otherwise than it was written; what torch raises on a full disk, see
            `tlstudio.safe_io.as_user_error`. The older ones are then there, and nothing of it is.
    """
    _require(run_folder)
    folder = checkpoint_folder(run_folder, step)
    if folder.exists():
        if verify_checkpoint(folder):
            return folder
        safe_io.remove_folder(folder)
    with safe_io.atomic_folder(folder) as temporary:
        files = {
            "state.pt": safe_io.write_hashed(temporary / "state.pt", lambda file: torch.save(dict(state), file)),
            "meta.json": safe_io.write_hashed(temporary / "meta.json", lambda file: file.write(_json(step, meta))),
        }
        safe_io.write_json(temporary / "MANIFEST.json", {"sha256": files})
        if not verify_checkpoint(temporary):
            raise OSError(errno.EIO, "a checkpoint reads otherwise than it was written", str(folder))
    for old in list_checkpoints(run_folder)[:-_KEEP]:
        if step_of(old) not in keep:
            with contextlib.suppress(OSError):
                safe_io.remove_folder(old)
    return folder


def load_state(folder: Path) -> dict[str, Any]:
    """The state of one checkpoint, on the CPU."""
    state: dict[str, Any] = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    return state


def save_result(run_folder: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Path:
    """Write the trained model: ``model.safetensors``, and ``model.json`` with what is needed to use it; both or none."""
    _require(run_folder)
    settle_result(run_folder)
    data = to_safetensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with safe_io.atomic_folder(run_folder / NEW_RESULT) as temporary:
        safe_io.write_bytes(temporary / RESULT, data)
        safe_io.write_json(temporary / RESULT_ABOUT, {"format": 1, "sha256": safe_io.sha256(temporary / RESULT), **about})
    settle_result(run_folder)
    return run_folder / RESULT


def about_model(recipe: Recipe, classes: Sequence[str], best: Best) -> dict[str, Any]:
    """What ``model.json`` says: all that is needed to use the model."""
    return {
        "backbone": recipe.config.model.backbone,
        "classes": list(classes),
        "preprocessing": asdict(recipe.preprocessing),
        "epoch": best.epoch,
        "metrics": best.metrics,
    }


def _require(run_folder: Path) -> None:
    """The folder of a run is never made anew: where its drive is gone, that would be in another place."""
    if not run_folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run_folder))


def _json(step: int, meta: Mapping[str, Any]) -> bytes:
    return (json.dumps({"format": FORMAT, "step": step, **meta}, indent=2) + "\n").encode()
