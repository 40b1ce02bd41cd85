"""Uses a trained model: from images to class probabilities, prepared exactly as in training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tlstudio import safe_io
from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import RunConfig
from tlstudio.api.errors import UserError, WeightsError
from tlstudio.engine.augment import plain_view
from tlstudio.engine.device import choose_place
from tlstudio.engine.split import SplitModel
from tlstudio.registry.catalog import Catalog

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A network with its classes and preprocessing, ready to use on the CPU."""

    network: SplitModel
    classes: tuple[str, ...]
    preprocessing: Preprocessing

    def predict(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Class probabilities ``(N, C)`` float32 for RGB images of any size; rows sum to 1."""
        return self.predict_pixels([plain_view(image, self.preprocessing) for image in images])

    @torch.no_grad()
    def predict_pixels(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The same for views that are already cut, each ``(S, S, 3)`` uint8."""
        parts = [np.empty((0, len(self.classes)), np.float32)]
        mean = torch.tensor(self.preprocessing.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.preprocessing.std).view(1, 3, 1, 1)
        for start in range(0, len(pixels), _BATCH):
            batch = torch.from_numpy(np.stack(pixels[start : start + _BATCH])).permute(0, 3, 1, 2).float()
            logits = self.network.suffix(self.network.prefix((batch / 255.0 - mean) / std))
            parts.append(torch.softmax(logits.float(), 1).numpy())
        return np.concatenate(parts)


def load_model(run_folder: Path, catalog: Catalog) -> TrainedModel:
    """The model that a run kept.

    Raises:
        UserError: the run kept none, or its backbone's plugin is not here.
        WeightsError: the file is damaged.
    """
    about = read_result(run_folder)
    spec = catalog.backbones.get(about["backbone"])
    if spec is None:
        raise UserError(f"The plugin for {about['backbone']} is not loaded.", hint="See the plugins page for why.")
    backbone = spec.build(len(about["classes"]))
    from safetensors.torch import load_file

    try:
        backbone.module.load_state_dict(load_file(run_folder / "model.safetensors"), strict=True)
    except Exception as error:
        raise WeightsError(f"The model of {run_folder.name} does not fit {spec.title}.", detail=str(error)) from error
    backbone.module.eval().to(memory_format=torch.channels_last)
    backbone.head.eval()
    place = choose_place(RunConfig(device="cpu"))
    network = SplitModel(backbone, len(backbone.stages), place)  # nothing learns here: all of it runs the fast way
    return TrainedModel(network=network, classes=tuple(about["classes"]), preprocessing=Preprocessing(**about["preprocessing"]))


def read_result(run_folder: Path) -> dict[str, Any]:
    """``model.json`` of a run, after its weights have been found intact.

    Raises:
        UserError: the run kept no model.
        WeightsError: the weights are not as they were written.
    """
    try:
        about: dict[str, Any] = json.loads((run_folder / "model.json").read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"The run {run_folder.name} kept no model.",
            hint="Keep what it has learned so far (tlstudio runs keep RUN), or choose one that finished or was stopped.",
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"model.json of {run_folder.name} cannot be read.", detail=str(error)) from None
    weights = run_folder / "model.safetensors"
    if not weights.is_file() or safe_io.sha256(weights) != about.get("sha256"):
        raise WeightsError(
            f"The model of {run_folder.name} is damaged.",
            detail=f"{weights} is not as it was written (SHA-256 differs).",
            hint="Train again, or restore the folder from a backup.",
        )
    about["preprocessing"] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in about["preprocessing"].items()
    }
    return about
