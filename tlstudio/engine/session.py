"""The part of a run that needs torch: from images that are read to a trained model and its files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tlstudio import paths, safe_io
from tlstudio.api.dataset import SPLIT_NAMES, TEST, TRAIN, VAL, ImageSet
from tlstudio.api.errors import DataError
from tlstudio.api.events import CheckpointSaved, EpochDone, Event, Note, Prepared, RunFinished
from tlstudio.api.images import printable
from tlstudio.data.advice import far_from_photographs
from tlstudio.data.curation import identity
from tlstudio.engine import checkpoint
from tlstudio.engine.about import versions
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place, settings_for
from tlstudio.engine.freeze import apply_plan, make_plan, stage_infos, states
from tlstudio.engine.loader import ImageSource
from tlstudio.engine.loop import train
from tlstudio.engine.model import build_model
from tlstudio.engine.remarks import remarks
from tlstudio.engine.training import Training, labelled_rows, training_state
from tlstudio.registry.catalog import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHECKPOINT_SECONDS = 60.0
_SAMPLE = 32
_LISTED = 1000
_WELL_ABOVE = 0.98


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a run has when its images are read.

    Args:
        splits: ``(N,)`` int8 of `TRAIN`, `VAL`, `TEST` or `NO_SPLIT`.
        folder: of the run.
        began: when the run began, of `time.monotonic`.
    """

    recipe: Recipe
    images: ImageSet
    splits: NDArray[np.int8]
    source: ImageSource
    place: Place
    control: Control
    folder: Path
    began: float


def run_session(given: Given) -> Iterator[Event]:
    """Train on images that are read, from `Prepared` to `RunFinished`.

    Raises:
        UserError: in words; anything else is a fault.
    """
    with settings_for(given.place, given.recipe.config.run):
        training = yield from _prepare(given)
        try:
            yield from train(training, after_epoch=_Checkpoints(training, given.folder))
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                _save_best(training, given.folder)
            raise
        finally:
            training.cut.close()
        yield from _finish(training, given.folder, given.began)


def _prepare(given: Given) -> Generator[Event, None, Training]:
    recipe, images, source = given.recipe, given.images, given.source
    config = recipe.config
    bad = np.fromiter(source.unreadable, dtype=np.int64)
    rows = {split: np.setdiff1d(labelled_rows(images, given.splits, split), bad) for split in (TRAIN, VAL, TEST)}
    _require_enough(images, rows[TRAIN], len(bad))
    backbone, report = build_model(recipe, len(images.classes))
    plan = make_plan(recipe.strategy, recipe.strategy_options, stage_infos(backbone), epoch=0, epochs=config.run.epochs,
                     pretrained=recipe.weights.path is not None)  # fmt: skip
    training = Training(recipe, images, rows[TRAIN], rows[VAL], backbone, source, given.place, given.control,
                        features=(paths.cache() / "features", identity(config.data)),
                        loaded=frozenset(() if report is None else report.matched))  # fmt: skip
    excluded = {images.keys[row]: reason for row, reason in sorted(source.unreadable.items())}
    if training.world.first:
        _write_split(given.folder, images, rows, excluded)
    yield Prepared(
        classes=images.classes,
        images={name: len(rows[split]) for split, name in enumerate(SPLIT_NAMES)},
        excluded={printable(key): reason for key, reason in list(excluded.items())[:_LISTED]},
        stages=states(plan, stage_infos(backbone), apply_plan(backbone, plan)),
        device=given.place.title,
        weights=recipe.weights.title,
        steps_per_epoch=training.steps_per_epoch,
    )
    if report is None:
        yield Note(level="warning", text="The network starts from random values, not from trained weights: expect to need "
                   "many images and epochs.")  # fmt: skip
    else:
        yield Note(text=f"Weights {recipe.weights.title}: {report.summary}.")
        if report.missing:
            names = ", ".join(report.missing[:3]) + (", …" if len(report.missing) > 3 else "")
            yield Note(level="warning", text="Some layers are not in the weights and start from random values: let them learn "
                       f"({names}).")  # fmt: skip
    if excluded:
        first = ", ".join(f"{printable(key)} ({reason})" for key, reason in list(excluded.items())[:3])
        yield Note(level="warning", text=f"{len(excluded)} images cannot be read and are left out: {first}"
                   + (", …" if len(excluded) > 3 else ""))  # fmt: skip
    yield from remarks(training, plan)
    yield from _distance_advice(training)
    return training


def _distance_advice(run: Training) -> Iterator[Event]:
    if run.recipe.weights.path is None or _will_learn_stages(run):
        return
    rows = run.train_rows[:: max(1, len(run.train_rows) // _SAMPLE)][:_SAMPLE]
    reason = far_from_photographs((Image.fromarray(run.source.picture(int(row))) for row in rows),
                                  run.recipe.preprocessing.image_size)  # fmt: skip
    if reason:
        yield Note(level="advice", text=f"These images are far from the photographs the weights were trained on: {reason}. "
                   "Only the head learns now; let the last stages learn too (“What learns”) for a better model.")  # fmt: skip


def _will_learn_stages(run: Training) -> bool:
    """Whether any epoch's plan lets more than the head learn, as far as the strategy says so beforehand."""
    recipe, infos = run.recipe, stage_infos(run.backbone)
    epochs = recipe.config.run.epochs
    return any(
        make_plan(recipe.strategy, recipe.strategy_options, infos, epoch=epoch, epochs=epochs, pretrained=True).learns_stages
        for epoch in dict.fromkeys((0, epochs // 2, epochs - 1))
    )


def _require_enough(images: ImageSet, rows: NDArray[np.int64], bad: int) -> None:
    if not len(rows):
        reason = f"None of the {bad} images can be read." if bad else "No training image has a label."
        raise DataError(reason, hint="Open the images with another program to see whether they are damaged.")
    present = np.unique(images.labels[rows])
    if len(present) < 2:
        raise DataError(
            f"All training images are of one class ({images.classes[int(present[0])]}).",
            hint="A classifier needs images of at least two classes.",
        )


class _Checkpoints:
    """Saves after an epoch, at most once a minute, and always after the last."""

    def __init__(self, run: Training, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._saved = time.monotonic()

    def __call__(self, done: EpochDone, last: bool) -> Iterator[Event]:
        if not last and time.monotonic() - self._saved < _CHECKPOINT_SECONDS:
            return
        self._saved = time.monotonic()
        run = self._run
        if not run.world.first:
            return
        meta = {"epoch": done.epoch, "classes": list(run.images.classes), "config": run.recipe.config.model_dump(mode="json"),
                "versions": versions()}  # fmt: skip
        path = checkpoint.save_checkpoint(self._folder, done.step, training_state(run), meta, best=run.best.step)
        yield CheckpointSaved(epoch=done.epoch, step=done.step, path=str(path))


def _finish(run: Training, folder: Path, began: float) -> Iterator[Event]:
    wish = run.control.wish
    cancelled = wish == "cancel" or run.best.epoch < 0
    model = "" if cancelled else str(_save_best(run, folder) or "")
    prefix = "val" if len(run.val_rows) else "train"
    metrics = {f"{prefix}_{name}": value for name, value in run.best.metrics.items()}
    yield from _underfit_advice(run, prefix)
    if wish == "stop" and cancelled:
        yield Note(level="warning", text="Stopped before the first epoch ended: there is no model to keep.")
    yield RunFinished(
        outcome="cancelled" if cancelled else "stopped" if wish == "stop" else "completed",
        metrics={} if cancelled else metrics,
        best_epoch=run.best.epoch,
        epochs=len(run.history),
        seconds=time.monotonic() - began,
        model=model,
    )


def _save_best(run: Training, folder: Path) -> Path | None:
    """Write the best epoch's model, if any epoch was finished."""
    if run.best.epoch < 0 or not run.world.first:
        return None
    about = {
        "backbone": run.recipe.config.model.backbone,
        "classes": list(run.images.classes),
        "preprocessing": asdict(run.recipe.preprocessing),
        "epoch": run.best.epoch,
        "metrics": run.best.metrics,
    }
    return checkpoint.save_result(folder, run.best.weights, about)


def _underfit_advice(run: Training, prefix: str) -> Iterator[Event]:
    accuracy = run.best.metrics.get("accuracy", 1.0)
    frozen = not any(p.requires_grad for stage in run.backbone.stages.values() for p in stage.parameters())
    if (
        prefix == "val"
        and frozen
        and accuracy < _WELL_ABOVE
        and run.recipe.weights.path is not None
        and run.control.wish == "go"
    ):
        yield Note(
            level="advice",
            text=f"The head alone reaches {100 * accuracy:.1f} % on images it has not seen. Train again with the last stages "
            "learning to see whether the images need it.",
        )


def _write_split(folder: Path, images: ImageSet, rows: dict[int, NDArray[np.int64]], excluded: dict[str, str]) -> None:
    keys = {SPLIT_NAMES[split]: [images.keys[row] for row in part] for split, part in rows.items()}
    safe_io.write_json(folder / "split.json", {"classes": list(images.classes), **keys, "excluded": excluded})
