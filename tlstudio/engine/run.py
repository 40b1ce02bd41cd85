"""A run from a configuration to a folder with its result, as a generator of events. It never raises.

The terminal, the window's thread and the tests all do ``for event in start_run(...)``.
"""

from __future__ import annotations

import contextlib
import platform
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import tlstudio
from tlstudio import safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.api.dataset import SPLIT_NAMES, TEST, TRAIN, VAL, ImageSet
from tlstudio.api.errors import DataError, ExitCode, UserError
from tlstudio.api.events import (
    CheckpointSaved,
    EpochDone,
    Event,
    Note,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunStarted,
)
from tlstudio.api.images import printable
from tlstudio.data.advice import far_from_photographs
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Table
from tlstudio.data.index import Index
from tlstudio.data.scan import known_alike
from tlstudio.engine import checkpoint
from tlstudio.engine.augment import effective_preset
from tlstudio.engine.control import Control
from tlstudio.engine.device import Place, choose_place, settings_for
from tlstudio.engine.freeze import apply_plan, make_plan, stage_infos, states
from tlstudio.engine.loader import ImageSource
from tlstudio.engine.loop import Training, labelled_rows, train, training_state
from tlstudio.engine.model import build_model
from tlstudio.registry.catalog import Catalog, Recipe
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHECKPOINT_SECONDS = 60.0
_SAMPLE = 32
_LISTED = 1000
_WELL_ABOVE = 0.98


def start_run(config: TrainConfig, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event]:
    """Train as configured; the last event is `RunFinished` or `RunFailed`.

    Args:
        config: what to do.
        catalog: where its names are looked up.
        workspace: the run's folder is made below its ``runs``.
        control: asked between steps whether to go on.
    """
    try:
        recipe = catalog.resolve(config, workspace=workspace)
        images = recipe.open_images()
        index = Index(recipe.config.data)
        curation = Curation(images, recipe.config.data, workspace, alike=lambda: known_alike(images, index))
        about = {"versions": _versions(), "machine": platform.node(), "plugins": _plugin_versions(catalog)}
        workspace.mkdir(parents=True, exist_ok=True)
        run_id, folder = create_run(workspace, recipe.config, about)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one funnel: every error becomes an event
        yield _failed(error, workspace)
        return
    try:
        yield from record(_guarded(recipe, curation, folder, control, run_id), folder)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the events themselves could not be written
        yield _failed(error, folder).model_copy(update={"run": run_id})


def _guarded(recipe: Recipe, curation: Curation, folder: Path, control: Control, run_id: str) -> Iterator[Event]:
    """The events of a run, each with its id; any error becomes the last of them."""
    try:
        for event in _run(recipe, curation, folder, control):
            yield event.model_copy(update={"run": run_id})
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one funnel
        yield _failed(error, folder).model_copy(update={"run": run_id})


def _run(recipe: Recipe, curation: Curation, folder: Path, control: Control) -> Iterator[Event]:
    began = time.monotonic()
    config = recipe.config
    yield RunStarted(folder=str(folder), config=config.model_dump(mode="json"), epochs=config.run.epochs)
    curation.fix_splits()
    curation.copy_edits(folder)
    images, splits = curation.table.taking_part(), curation.table.splits
    for text in (*images.notes, *_edit_notes(curation.table)):
        yield Note(text=text)
    place = choose_place(config.run)
    yield from _data_notes(images, splits)
    source = ImageSource(images, recipe.preprocessing, augment=config.augment, seed=config.run.seed)
    try:
        with settings_for(place):
            yield from _read_images(source, splits, control)
            if control.wish == "go":
                training = yield from _prepare(recipe, images, splits, source, place, control, folder)
                try:
                    yield from train(training, after_epoch=_Checkpoints(training, folder))
                except BaseException:
                    with contextlib.suppress(Exception):  # the first error is the one to tell
                        _save_best(training, folder)
                    raise
                yield from _finish(training, folder, began)
            else:
                yield RunFinished(outcome="cancelled", metrics={}, best_epoch=-1, epochs=0,
                                  seconds=time.monotonic() - began, model="")  # fmt: skip
    finally:
        source.close()


def _read_images(source: ImageSource, splits: NDArray[np.int8], control: Control) -> Iterator[Event]:
    rows = np.flatnonzero((source.images.labels >= 0) & (splits != TEST))
    for done in source.read_all(rows):
        yield Progress(task="Reading images", done=done, total=len(rows))
        if control.checkpoint() != "go":
            return


def _prepare(
    recipe: Recipe,
    images: ImageSet,
    splits: NDArray[np.int8],
    source: ImageSource,
    place: Place,
    control: Control,
    folder: Path,
) -> Generator[Event, None, Training]:
    config = recipe.config
    bad = np.fromiter(source.unreadable, dtype=np.int64)
    rows = {split: np.setdiff1d(labelled_rows(images, splits, split), bad) for split in (TRAIN, VAL, TEST)}
    _require_enough(images, rows[TRAIN], len(bad))
    backbone, report = build_model(recipe, len(images.classes))
    plan = make_plan(recipe.strategy, recipe.strategy_options, stage_infos(backbone), epoch=0, epochs=config.run.epochs,
                     pretrained=recipe.weights.path is not None)  # fmt: skip
    learns = any(factor > 0.0 for factor in plan.lr.values())
    source.preset = effective_preset(config.augment, learns_stages=learns)
    training = Training(recipe, images, rows[TRAIN], rows[VAL], backbone, source, place, control)
    excluded = {images.keys[row]: reason for row, reason in sorted(source.unreadable.items())}
    _write_split(folder, images, rows, excluded)
    yield Prepared(
        classes=images.classes,
        images={name: len(rows[split]) for split, name in enumerate(SPLIT_NAMES)},
        excluded={printable(key): reason for key, reason in list(excluded.items())[:_LISTED]},
        stages=states(plan, stage_infos(backbone), apply_plan(backbone, plan)),
        device=place.title,
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
    yield from _distance_advice(training, learns)
    return training


def _distance_advice(run: Training, learns_stages: bool) -> Iterator[Event]:
    if learns_stages or run.recipe.weights.path is None:
        return
    rows = run.train_rows[:: max(1, len(run.train_rows) // _SAMPLE)][:_SAMPLE]
    reason = far_from_photographs((run.images.load(int(row)) for row in rows), run.recipe.preprocessing.image_size)
    if reason:
        yield Note(level="advice", text=f"These images are far from the photographs the weights were trained on: {reason}. "
                   "Only the head learns now; let the last stages learn too (“What learns”) for a better model.")  # fmt: skip


def _data_notes(images: ImageSet, splits: NDArray[np.int8]) -> Iterator[Event]:
    for split, name in ((TRAIN, "training"), (VAL, "validation")):
        counts = np.bincount(images.labels[(splits == split) & (images.labels >= 0)], minlength=len(images.classes))
        empty = [images.classes[i] for i in np.flatnonzero(counts == 0)]
        if empty and counts.sum():
            yield Note(level="warning", text=f"No {name} images of: {', '.join(empty[:10])}.")
    if not (splits == VAL).any():
        yield Note(level="warning", text="There are no validation images: the last epochs cannot be told from the best.")


def _edit_notes(table: Table) -> Iterator[str]:
    if table.excluded.any():
        yield f"{int(table.excluded.sum()):,} images are left out, as you decided."
    changed = int((table.edited & ~table.excluded).sum())
    if changed:
        yield f"{changed:,} images differ from what the data say, by your edits."


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
        meta = {"epoch": done.epoch, "classes": list(run.images.classes), "config": run.recipe.config.model_dump(mode="json"),
                "versions": _versions()}  # fmt: skip
        path = checkpoint.save_checkpoint(self._folder, done.step, training_state(run), meta, best=run.best.step)
        yield CheckpointSaved(epoch=done.epoch, step=done.step, path=str(path))


def _finish(run: Training, folder: Path, began: float) -> Iterator[Event]:
    wish = run.control.wish
    cancelled = wish == "cancel" or run.best.epoch < 0
    model = "" if cancelled else str(_save_best(run, folder))
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
    if run.best.epoch < 0:
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


def _failed(error: BaseException, folder: Path) -> RunFailed:
    """Any error as an event: what happened, and what to do."""
    if isinstance(error, UserError):
        return RunFailed(error=error.title, detail=error.detail, hint=error.hint, exit_code=int(error.exit_code))
    if isinstance(error, KeyboardInterrupt):
        return RunFailed(error="Interrupted.", exit_code=int(ExitCode.INTERRUPTED))
    storage = safe_io.as_user_error(error, folder)
    if storage is not None:
        return _failed(storage, folder)
    if _is_out_of_memory(error):
        return RunFailed(
            error="There is not enough memory for this batch size.",
            detail=str(error).splitlines()[0],
            hint="Use a smaller batch size or a smaller image size.",
        )
    return RunFailed(
        error=f"{type(error).__name__}: {error}",
        detail=traceback.format_exc(),
        hint="This is a fault in tlstudio or in a plugin. Help > Copy diagnostics has what is needed to report it.",
    )


def _is_out_of_memory(error: BaseException) -> bool:
    signs = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
    )


def _versions() -> dict[str, str]:
    return {"tlstudio": tlstudio.__version__, "python": platform.python_version(), "torch": str(torch.__version__)}


def _plugin_versions(catalog: Catalog) -> dict[str, str]:
    return {plugin.name: plugin.version for plugin in catalog.plugins if plugin.status == "loaded"}
