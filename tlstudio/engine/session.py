"""The part of a run that needs torch: from images that are read to a trained model and its files."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tlstudio import paths, safe_io
from tlstudio.api.dataset import TEST, TRAIN, VAL, ImageSet
from tlstudio.api.errors import DataError
from tlstudio.api.events import Event, Note, RunFinished
from tlstudio.api.freezing import FreezePlan
from tlstudio.api.images import printable
from tlstudio.data.advice import far_from_photographs
from tlstudio.data.curation import identity
from tlstudio.engine.checkpoint import MOST, about_model, save_result
from tlstudio.engine.control import nowhere
from tlstudio.engine.device import settings_for
from tlstudio.engine.fingerprint import Taken
from tlstudio.engine.freeze import plan_at, stage_infos
from tlstudio.engine.given import Given, prepared
from tlstudio.engine.keeper import Keeper
from tlstudio.engine.loop import train
from tlstudio.engine.machine import machine
from tlstudio.engine.model import build_model
from tlstudio.engine.patient import patiently
from tlstudio.engine.plans import keep_with_run
from tlstudio.engine.reading import Abandoned
from tlstudio.engine.remarks import remarks
from tlstudio.engine.resume import restarted, resumed
from tlstudio.engine.state import most_bytes
from tlstudio.engine.training import Training, labelled_rows
from tlstudio.runs.store import SPLIT_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 32
_WELL_ABOVE = 0.98
_SPARE = 2**30  # bytes on the disk that a run shall not use up


def run_session(given: Given) -> Iterator[Event]:
    """Train on images that are read, from `Prepared` to `RunFinished`.

    Raises:
        UserError: in words; anything else is a fault.
    """
    with settings_for(given.place, given.recipe.config.run):
        training, keeper = yield from _prepare(given)
        here = {**machine(given.place, training.world), "torch": given.about["versions"]["torch"]}
        keep_with_run(training.cut, given.folder, here, training.world)
        given.control.aside = keeper.aside
        try:
            yield from train(training, keeper)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                _save_best(training, given.folder)
            raise
        finally:
            given.control.aside = nowhere
            training.cut.close()
        yield from _finish(training, given.folder, given.began)


def _prepare(given: Given) -> Generator[Event, None, tuple[Training, Keeper]]:
    """The run as it is before its first step, or as its checkpoint has it."""
    if given.saved is not None and given.saved.checkpoint is not None:
        return (yield from resumed(given))
    training, taken = yield from _begun(given)
    if given.saved is not None:
        yield from restarted(given, given.saved, taken)
    about = {**given.about, "data": taken.fingerprint}
    return training, Keeper(training, given.folder, about, given.began)


def _begun(given: Given) -> Generator[Event, None, tuple[Training, Taken]]:
    recipe, images, source = given.recipe, given.images, given.source
    config = recipe.config
    bad = np.fromiter(source.unreadable, dtype=np.int64)
    rows = {split: np.setdiff1d(labelled_rows(images, given.splits, split), bad) for split in (TRAIN, VAL, TEST)}
    _require_enough(images, rows[TRAIN], len(bad))
    taken = Taken.of(images, rows, source.sizes)
    backbone, report = build_model(recipe, len(images.classes))
    plan = plan_at(recipe, stage_infos(backbone), 0)
    training = Training(recipe, images, rows[TRAIN], rows[VAL], backbone, source, given.place, given.control,
                        features=(paths.cache() / "features", identity(config.data)),
                        loaded=frozenset(() if report is None else report.matched))  # fmt: skip
    excluded = {images.keys[row]: reason for row, reason in sorted(source.unreadable.items())}
    if training.world.first:
        safe_io.write_json(given.folder / SPLIT_FILE, {**taken.record(), "excluded": excluded})
    yield prepared(training, taken, plan, excluded)
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
    yield from _room(training, given.folder)
    yield from remarks(training, plan)
    with contextlib.suppress(Abandoned):  # training does not begin then
        yield from _distance_advice(training)
    return training, taken


def _distance_advice(run: Training) -> Iterator[Event]:
    if run.recipe.weights.path is None or _will_learn_stages(run):
        return
    rows = run.train_rows[:: max(1, len(run.train_rows) // _SAMPLE)][:_SAMPLE]
    pictures = (Image.fromarray(picture) for picture in run.source.pictures(rows) if picture is not None)
    reason = far_from_photographs(pictures, run.recipe.preprocessing.image_size)
    if reason:
        yield Note(level="advice", text=f"These images are far from the photographs the weights were trained on: {reason}. "
                   "Only the head learns now; let the last stages learn too (“What learns”) for a better model.")  # fmt: skip


def _will_learn_stages(run: Training) -> bool:
    """Whether any epoch's plan lets more than the head learn, as far as the strategy says so beforehand."""
    return any(plan.learns_stages for plan in _plans(run))


def _plans(run: Training) -> Iterator[FreezePlan]:
    """What the strategy says beforehand of the first epoch, one in the middle and the last."""
    infos, epochs = stage_infos(run.backbone), run.recipe.config.run.epochs
    return (plan_at(run.recipe, infos, epoch) for epoch in dict.fromkeys((0, epochs // 2, epochs - 1)))


def _room(run: Training, folder: Path) -> Iterator[Event]:
    """Warn before the first epoch where the disk has no room for the checkpoints of the run."""
    learning = {name for plan in _plans(run) for name in run.backbone.stages if plan.factor(name) > 0.0}
    needed = (MOST + 1) * most_bytes(run, learning) + _SPARE  # one more while the next is written
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < needed:
            free_text, needed_text = (f"{size / 2**30:.1f} GB" for size in (free, needed))
            yield Note(level="warning", text=f"The disk with {folder} has {free_text} free; the checkpoints of this run may "
                       f"need {needed_text}. Free some space: without it the run cannot be saved.")  # fmt: skip


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


def _finish(run: Training, folder: Path, began: float) -> Iterator[Event]:
    wish = run.control.wish
    cancelled = wish == "cancel" or run.best.epoch < 0
    model = "" if cancelled else str((yield from patiently(lambda: _save_best(run, folder), folder, run.control)) or "")
    prefix = "val" if len(run.val_rows) else "train"
    metrics = {f"{prefix}_{name}": value for name, value in run.best.metrics.items()}
    yield from _underfit_advice(run, prefix)
    if wish == "stop" and cancelled and not run.control.leaving:
        yield Note(level="warning", text="Stopped before the first epoch ended: there is no model to keep.")
    yield RunFinished(
        outcome="cancelled" if cancelled and not run.control.leaving else "stopped" if wish == "stop" else "completed",
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
    return save_result(folder, run.best.weights, about_model(run.recipe, run.images.classes, run.best))


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
