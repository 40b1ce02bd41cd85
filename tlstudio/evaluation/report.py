"""How good a trained model is, on images it has not learned from: confusion, figures by class, the worst errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio.api.config import read_config
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import DataError, ImageError, UserError
from tlstudio.data.curation import Curation
from tlstudio.engine.augment import plain_view
from tlstudio.engine.predict import TrainedModel, load_model
from tlstudio.registry.catalog import Catalog

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """Figures of one class; fractions. A figure without any case to count is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class Error:
    """An image the model got wrong; ``probability`` is what it gave to its wrong answer, ``index`` its row in the data."""

    key: str
    index: int
    true: str
    predicted: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """A model judged on one split. ``confusion`` is ``(C, C)`` int64, rows true, columns predicted; worst errors first.

    ``indices``, ``labels`` and ``predicted`` hold, for each image judged, its row in the data and the two classes.
    """

    classes: tuple[str, ...]
    split: str
    confusion: NDArray[np.int64]
    accuracy: float
    loss: float
    per_class: tuple[ClassReport, ...]
    errors: tuple[Error, ...]
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]


def evaluate_run(
    run_folder: Path,
    catalog: Catalog,
    workspace: Path,
    progress: Callable[[int, int], bool] | None = None,
    split: str | None = None,
) -> Report:
    """Judge the model of a run on its test images, or where there are none on its validation images.

    Args:
        progress: ``progress(done, total)``; returning ``False`` ends it early, with what was judged so far.
        split: ``train``, ``val`` or ``test`` instead.

    Raises:
        UserError: the run kept no model or no images to judge it on.
        DataError: the images are gone.
    """
    model = load_model(run_folder, catalog)
    recipe = catalog.resolve(read_config(run_folder / "config.json"), workspace=workspace)
    table = Curation(recipe.open_images(), recipe.config.data, workspace).table
    images = table.taking_part()
    kept = read_split(run_folder)
    name = split or ("test" if kept.get("test") else "val")
    rows = _rows(images, kept.get(name, []), tuple(kept["classes"]))
    if not rows:
        raise UserError(f"The run has no {name} images to judge it on.", hint="Train with a validation share above 0.")
    indices, probabilities = predict_rows(model, images, rows, progress)
    number = {name: label for label, name in enumerate(model.classes)}
    labels = np.array([number[images.classes[images.labels[row]]] for row in indices], np.int64)
    return build_report(model.classes, name, images, indices, labels, probabilities)


def build_report(
    classes: tuple[str, ...],
    split: str,
    images: ImageSet,
    indices: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
) -> Report:
    """The report from labels ``(N,)`` and probabilities ``(N, C)`` of the rows ``indices`` ``(N,)``."""
    predicted = probabilities.argmax(1).astype(np.int64)
    n = len(classes)
    confusion = np.bincount(labels * n + predicted, minlength=n * n).reshape(n, n)
    hits, support, chosen = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    per_class = []
    for i, name in enumerate(classes):
        precision = float(hits[i] / chosen[i]) if chosen[i] else 0.0
        recall = float(hits[i] / support[i]) if support[i] else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        per_class.append(ClassReport(name=name, precision=precision, recall=recall, f1=f1, support=int(support[i])))
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    errors = tuple(
        Error(
            key=images.keys[indices[i]],
            index=int(indices[i]),
            true=classes[labels[i]],
            predicted=classes[predicted[i]],
            probability=float(probabilities[i, predicted[i]]),
        )
        for i in wrong
    )
    likelihood = probabilities[np.arange(len(labels)), labels]
    return Report(
        classes=classes, split=split, confusion=confusion, accuracy=float(hits.sum() / max(1, len(labels))),
        loss=float(-np.log(np.maximum(likelihood, 1e-12)).mean()) if len(labels) else 0.0,
        per_class=tuple(per_class), errors=errors, indices=indices, labels=labels, predicted=predicted,
    )  # fmt: skip


def read_split(run_folder: Path) -> dict[str, Any]:
    """``split.json`` of a run: its classes, and the keys of its images by split; raises `UserError` without it."""
    try:
        kept: dict[str, Any] = json.loads((run_folder / "split.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"split.json of {run_folder.name} cannot be read.", detail=str(error)) from None
    return kept


def _rows(images: ImageSet, keys: list[str], classes: tuple[str, ...]) -> list[int]:
    """Where these images are now; those that lost their class, or have one that the model does not know, cannot be judged."""
    if not set(classes) <= set(images.classes):
        raise DataError(
            "The classes of the images have changed since the run.", detail=f"Then: {classes}\nNow: {images.classes}"
        )
    where = {key: row for row, key in enumerate(images.keys)}
    known = np.array([name in classes for name in images.classes] + [False])
    return [where[key] for key in keys if key in where and known[images.labels[where[key]]]]


def predict_rows(
    model: TrainedModel, images: ImageSet, rows: list[int], progress: Callable[[int, int], bool] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The rows that can be read, and their probabilities ``(N, C)``; ``progress`` as in `evaluate_run`."""
    kept: list[int] = []
    parts = [np.empty((0, len(model.classes)), np.float32)]
    for start in range(0, len(rows), _BATCH):
        pixels = []
        for row in rows[start : start + _BATCH]:
            try:
                pixels.append(plain_view(images.load(row), model.preprocessing))
            except ImageError:
                continue
            kept.append(row)
        parts.append(model.predict_pixels(pixels))
        if progress is not None and not progress(min(start + _BATCH, len(rows)), len(rows)):
            break
    return np.array(kept, dtype=np.int64), np.concatenate(parts)
