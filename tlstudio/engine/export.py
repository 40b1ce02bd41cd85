"""Gives a trained model away as a file of weights under the names of its library."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tlstudio import safe_io
from tlstudio.api.errors import UserError
from tlstudio.engine.predict import read_result


def export_model(run_folder: Path, target: Path) -> None:
    """Write the weights of a run to ``.pth`` (a plain state dict) or ``.safetensors`` (classes in its metadata).

    Either loads with ``strict=True`` into the library's own network with as many classes.

    Raises:
        UserError: the run kept no model, or the ending is another.
        WeightsError: the run's file is damaged.
    """
    from safetensors.torch import load_file, save

    about = read_result(run_folder)
    tensors = load_file(run_folder / "model.safetensors")
    try:
        if target.suffix.lower() in {".pth", ".pt"}:
            safe_io.atomic_write(target, lambda file: torch.save(tensors, file))
        elif target.suffix.lower() == ".safetensors":
            metadata = {"backbone": about["backbone"], "classes": json.dumps(about["classes"])}
            safe_io.write_bytes(target, save(tensors, metadata=metadata))
        else:
            raise UserError(f"{target.name}: the ending must be .pth or .safetensors.")
    except OSError as error:
        raise safe_io.as_user_error(error, target.parent) or UserError(
            f"{target} cannot be written.", detail=str(error)
        ) from None
