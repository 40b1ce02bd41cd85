"""How like a set of images is to what the weights of a network were trained on, as that network itself sees them.

The measure is the mean of the highest class probability that the pretrained classifier gives (Hendrycks and Gimpel 2017, A
baseline for detecting misclassified and out-of-distribution examples in neural networks): it is sure of photographs of things
it knows, and of nothing in textiles or microscopy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import RunConfig
from tlstudio.api.dataset import TRAIN, ImageSet
from tlstudio.api.errors import ImageError
from tlstudio.data.advice import far_from_photographs
from tlstudio.engine.augment import plain_view, reduced
from tlstudio.engine.device import choose_place
from tlstudio.engine.predict import TrainedModel
from tlstudio.engine.split import SplitModel
from tlstudio.engine.weights import load_weights
from tlstudio.registry.catalog import Recipe
from tlstudio.registry.presets import Situation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 24


def look_at(recipe: Recipe, images: ImageSet, splits: NDArray[np.int8]) -> Situation:
    """The situation that these images and the weights of a recipe make.

    Reads some two dozen training images and, where these alone do not tell, runs the pretrained network on them.

    Args:
        splits: ``(N,)`` int8 of `TRAIN` and the others.
    """
    rows = np.flatnonzero((splits == TRAIN) & (images.labels >= 0))
    counts = np.bincount(images.labels[rows], minlength=len(images.classes))
    plain = Situation(
        images=len(rows), a_class=int(np.median(counts)) if len(counts) else 0, pretrained=recipe.weights.path is not None
    )
    if not plain.pretrained or not len(rows):
        return plain
    some = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(int)]
    seen = _as_trained(recipe)
    pictures = _readable(images, some.tolist(), seen)
    signs = far_from_photographs((Image.fromarray(picture) for picture in pictures), seen.image_size)
    likeness = None if signs or not pictures else likeness_of(recipe, pictures)
    return replace(plain, signs=signs, likeness=likeness)


def likeness_of(recipe: Recipe, pictures: Sequence[NDArray[np.uint8]]) -> float | None:
    """Mean of the highest class probability, 0 to 1, over pictures ``(H, W, 3)`` uint8.

    They are looked at as in the training of the weights, whatever the run's image size: at a smaller one a classifier is sure
    of the wrong things.

    ``None`` where the weights bring no classifier that is known, such as those of a run of the user's.
    """
    published = recipe.weights.spec
    if published is None or published.num_classes < 2:
        return None
    with torch.random.fork_rng(devices=[]):  # its random values are replaced; those of others must not move
        backbone = recipe.backbone.build(published.num_classes)
    load_weights(backbone, recipe.backbone, recipe.weights)
    backbone.module.eval().to(memory_format=torch.channels_last)
    network = SplitModel(backbone, len(backbone.stages), choose_place(RunConfig(device="cpu")))
    classes = tuple(str(number) for number in range(published.num_classes))
    model = TrainedModel(network=network, classes=classes, preprocessing=_as_trained(recipe))
    probabilities = model.predict_pixels([plain_view(picture, model.preprocessing) for picture in pictures])
    return float(probabilities.max(1).mean())


def _as_trained(recipe: Recipe) -> Preprocessing:
    """How images were prepared when the weights were trained."""
    return recipe.weights.preprocessing or recipe.preprocessing


def _readable(images: ImageSet, rows: Sequence[int], preprocessing: Preprocessing) -> list[NDArray[np.uint8]]:
    pictures = []
    for row in rows:
        try:
            pictures.append(reduced(images.load(row), preprocessing))
        except ImageError:
            continue  # told when all images are read
    return pictures
