"""A run from a configuration to a folder with its result, as a generator of events. It never raises.

The terminal, the window's thread and the tests all do ``for event in start_run(...)``. Images are read here, while torch is
imported in the background; what then needs torch is `tlstudio.engine.session`.
"""

from __future__ import annotations

import importlib
import json
import platform
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio import paths, safe_io
from tlstudio.api.config import TrainConfig, read_config
from tlstudio.api.dataset import TEST, TRAIN, VAL, ImageSet
from tlstudio.api.errors import UserError
from tlstudio.api.events import Event, Note, Progress, RunFinished, RunStarted
from tlstudio.data.curation import Curation, identity
from tlstudio.data.edits import Table
from tlstudio.data.index import Index
from tlstudio.data.scan import known_alike
from tlstudio.engine.about import plugin_versions, versions
from tlstudio.engine.attempts import Attempt, guarded, held, kept
from tlstudio.engine.control import Control
from tlstudio.engine.failure import failed as _failed
from tlstudio.engine.loader import ImageSource, open_pictures
from tlstudio.engine.saved import SavedRun, go_on, open_saved
from tlstudio.engine.world import World
from tlstudio.registry.catalog import Catalog, Recipe
from tlstudio.registry.presets import Situation, preset_for, why
from tlstudio.runs import queue, spool
from tlstudio.runs.checkpoints import list_checkpoints
from tlstudio.runs.queue import enqueue
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import create_run, read_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlstudio.engine.device import Place

Decide = Callable[..., Recipe]
"""The configuration resolved again, once it is known which ``situation`` the choice of what learns can go by."""


def start_run(
    config: TrainConfig, catalog: Catalog, workspace: Path, control: Control, group: Mapping[str, Any] | None = None
) -> Iterator[Event]:
    """Train as configured; the last event is `RunFinished` or `RunFailed`.

    Of several processes that train together (`World`), the first keeps the run; the others yield events that nobody needs.

    Args:
        config: what to do.
        catalog: where its names are looked up.
        workspace: the run's folder is made below its ``runs``.
        control: asked between steps whether to go on.
        group: of which repetitions it is one (`tlstudio.runs.groups`), for ``run.json``.
    """
    world = World.here()
    try:
        decide = partial(catalog.resolve, config, workspace=workspace)
        recipe = decide()
        curation = _curation(recipe, workspace)
        about = about_run(recipe, catalog, group)
        workspace.mkdir(parents=True, exist_ok=True)
        if not world.first:
            yield from guarded(_run(recipe, curation, workspace, control, decide, about), workspace, "")
            return
        run_id, folder = create_run(workspace, recipe.config, about)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one funnel: every error becomes an event
        yield _failed(error, workspace)
        return
    try:
        with held(folder, control):
            first = Attempt(events=_run(recipe, curation, folder, control, decide, about), config=recipe.config)
            again = partial(_from_checkpoint, folder, catalog, workspace, control)
            yield from kept(first, again, run_id, folder, catalog, control)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the events themselves could not be written
        yield _failed(error, folder).model_copy(update={"run": run_id})


def make_run(
    config: TrainConfig, catalog: Catalog, workspace: Path, *, waits: bool, group: Mapping[str, Any] | None = None
) -> tuple[str, Path]:
    """The folder of a run that `resume_run` begins later, perhaps in another process; returns its id and the folder.

    Args:
        waits: whether it is put at the end of the queue.
        group: as for `start_run`.

    Raises:
        UserError: a name or an option is wrong.
        OSError: the workspace cannot be written.
    """
    recipe = catalog.resolve(config, workspace=workspace)
    about = about_run(recipe, catalog, group)
    return (enqueue if waits else create_run)(workspace, recipe.config, about)


def about_run(recipe: Recipe, catalog: Catalog, group: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ``run.json`` keeps of the circumstances of a run."""
    about: dict[str, Any] = {"versions": versions(), "machine": platform.node(), "plugins": plugin_versions(catalog)}
    about["weights"] = {"title": recipe.weights.title, "sha256": recipe.weights.sha256}
    if recipe.weights.parent:
        about["parent"] = {"run": recipe.weights.parent, "sha256": recipe.weights.sha256}
    if group:
        about["group"] = dict(group)
    return about


def resume_run(folder: Path, catalog: Catalog, workspace: Path, control: Control, epochs: int | None = None) -> Iterator[Event]:
    """Go on with a run where its newest intact checkpoint is; without one, its training begins anew in the same folder.

    One that was made by `make_run` and has never begun begins, as by `start_run`; if it waits in the queue, it leaves that.
    `RunStarted` and `Prepared` are sent for who shows the run, but not recorded again; `RunResumed` says where it goes on, and
    what follows is as it would have been. Before that, nothing in the run's folder is changed. The last event is `RunFinished`
    or `RunFailed`; as `start_run`, it never raises. One that cannot go on stays in the queue if it waits there.

    Args:
        folder: of the run.
        catalog: where its names are looked up.
        workspace: of the run.
        control: asked between steps whether to go on.
        epochs: how many more a finished run shall have.
    """
    run_id, first = "", World.here().first
    try:
        with held(folder, control) if first else nullcontext():
            again = partial(_from_checkpoint, folder, catalog, workspace, control)
            run_id = read_id(folder)
            begun = (folder / EVENTS_FILE).exists() or list_checkpoints(folder)
            if run_id and epochs is None and World.here().alone and not begun:
                config = read_config(folder / "config.json")
                attempt = Attempt(events=_first(config, folder, catalog, workspace, control), config=config)
            else:
                attempt = again(epochs)
            if not first:
                yield from guarded(attempt.events, folder, run_id)
                return
            queue.begin(folder)
            yield from kept(attempt, again, run_id, folder, catalog, control)
    except GeneratorExit:
        raise
    except BaseException as error:  # noqa: BLE001 - the one funnel
        yield _failed(error, folder).model_copy(update={"run": run_id})


def _from_checkpoint(folder: Path, catalog: Catalog, workspace: Path, control: Control, epochs: int | None = None) -> Attempt:
    """To go on where the newest intact checkpoint is; raises as `open_saved`, and `OSError`."""
    if World.here().alone:
        spool.fetch(folder)
    elif spool.found(folder) is not None:
        raise UserError(f"The newest checkpoint of {folder.name} waits on another disk of this machine.",
                        hint=f"Fetch it by going on in one process first: tlstudio runs resume {folder.name}")  # fmt: skip
    saved = open_saved(folder, epochs=epochs)
    about = {"versions": versions(), "plugins": plugin_versions(catalog)}
    if saved.checkpoint is None and World.here().first:
        go_on(saved)
    events = _resume(saved, catalog, workspace, control, about)
    return Attempt(events=events, config=saved.config, resumed=saved.checkpoint is not None)


def _run(
    recipe: Recipe, curation: Curation, folder: Path, control: Control, decide: Decide, about: dict[str, Any]
) -> Iterator[Event]:
    began = time.monotonic()
    config, world = recipe.config, World.here()
    yield _started(folder, config)
    if not world.alone:
        world.join(_import_torch(config, world)[1].device)
    if not world.first:
        world.wait()
    curation.fix_splits()
    if world.first:
        curation.copy_edits(folder)
        world.wait()
    images, splits = curation.table.taking_part(), curation.table.splits
    for text in (*images.notes, *_edit_notes(curation.table)):
        yield Note(text=text)
    yield from _data_notes(images, splits)
    yield from _trained(recipe, images, splits, folder, control, decide, about, began)


def _first(config: TrainConfig, folder: Path, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event]:
    """A run whose folder was made before, by `make_run`."""
    decide = partial(catalog.resolve, config, workspace=workspace)
    recipe = decide()
    about = about_run(recipe, catalog)
    said = json.loads((folder / "run.json").read_bytes())
    safe_io.write_json(folder / "run.json", {**said, **about})  # the program may be a newer one by now
    saved = open_saved(folder, epochs=None)
    if saved.taken is not None:  # it is to have the images of another run
        yield _started(folder, config)
        images, splits = saved.images(recipe)
        yield from _trained(recipe, images, splits, folder, control, decide, about, time.monotonic())
        return
    yield from _run(recipe, _curation(recipe, workspace), folder, control, decide, about)


def _resume(saved: SavedRun, catalog: Catalog, workspace: Path, control: Control, about: dict[str, Any]) -> Iterator[Event]:
    """A run whose folder is there: from its checkpoint, or from the beginning with the images that it had."""
    began = time.monotonic() - float(saved.meta.get("seconds", 0.0))
    recipe, folder, world = saved.recipe(catalog, workspace), saved.info.folder, World.here()
    yield _started(folder, recipe.config)
    if not world.alone:
        world.join(_import_torch(recipe.config, world)[1].device)
    if saved.taken is None:
        curation = _curation(recipe, workspace)
        curation.fix_splits()
        if world.first:
            curation.copy_edits(folder)
        images, splits = curation.table.taking_part(), curation.table.splits
    else:
        images, splits = saved.images(recipe)
    decide = partial(catalog.resolve, saved.config, workspace=workspace)
    yield from _trained(recipe, images, splits, folder, control, decide, about, began, saved=saved)


def _curation(recipe: Recipe, workspace: Path) -> Curation:
    images, index = recipe.open_images(), Index(recipe.config.data)
    return Curation(images, recipe.config.data, workspace, alike=lambda: known_alike(images, index))


def _started(folder: Path, config: TrainConfig) -> RunStarted:
    return RunStarted(folder=str(folder), config=config.model_dump(mode="json"), epochs=config.run.epochs)


def _trained(
    recipe: Recipe, images: ImageSet, splits: NDArray[np.int8], folder: Path, control: Control, decide: Decide,
    about: dict[str, Any], began: float, *, saved: SavedRun | None = None,
) -> Iterator[Event]:  # fmt: skip
    """Read the images, while torch is imported, and train."""
    config, world = recipe.config, World.here()
    if not world.first:
        world.wait()  # until the first has read the images and kept them
    source = _source(recipe, images)
    with ThreadPoolExecutor(1, thread_name_prefix="import") as pool:
        try:
            torch_side = pool.submit(_import_torch, config, world)
            yield from _read_images(source, splits, control, torch_side)
            if world.first:
                world.wait()
            source.unreadable = world.from_first(source.unreadable)
            if world.from_first(control.wish) == "go":
                session, place = torch_side.result()
                if recipe.undecided:
                    recipe = yield from _decided(recipe, images, splits, decide, folder)
                yield from session.run_session(session.Given(
                    recipe=recipe, images=images, splits=splits, source=source, place=place, control=control, folder=folder,
                    began=began, about=about, saved=saved,
                ))  # fmt: skip
            else:
                yield RunFinished(outcome="stopped" if control.leaving else "cancelled", metrics={}, best_epoch=-1, epochs=0,
                                  seconds=time.monotonic() - began, model="")  # fmt: skip
        finally:
            source.close()
            world.leave()


def _decided(
    recipe: Recipe, images: ImageSet, splits: NDArray[np.int8], decide: Decide, folder: Path
) -> Generator[Event, None, Recipe]:
    """Choose what learns, by the images and what the network sees in them; say why, and keep the choice with the run."""
    world = World.here()
    look = importlib.import_module("tlstudio.engine.likeness").look_at
    found: Situation | None = look(recipe, images, splits) if world.first else None
    situation = world.from_first(found)
    assert situation is not None
    chosen = decide(situation=situation)
    if world.first:
        safe_io.write_json(folder / "config.json", chosen.config.model_dump(mode="json"))
    yield Note(text=f"Chosen: {chosen.strategy.title}. {why(situation)} {preset_for(situation).about}")
    return chosen


def _source(recipe: Recipe, images: ImageSet) -> ImageSource:
    config = recipe.config
    budget = int(config.run.cache_gigabytes * 2**30)
    store = None
    if budget and images.read is None:
        store = open_pictures(paths.cache() / "pictures", identity(config.data), recipe.preprocessing, budget)
    return ImageSource(images, recipe.preprocessing, augment=config.augment, seed=config.run.seed, store=store)


def _import_torch(config: TrainConfig, world: World) -> tuple[Any, Place]:
    """The part of the engine that needs torch, and the device that the configuration asks for."""
    place = importlib.import_module("tlstudio.engine.device").choose_place(config.run, world.local_rank)
    return importlib.import_module("tlstudio.engine.session"), place


def _read_images(
    source: ImageSource, splits: NDArray[np.int8], control: Control, torch_side: Future[tuple[Any, Place]]
) -> Iterator[Event]:
    rows = np.flatnonzero((source.images.labels >= 0) & (splits != TEST))
    for done in source.read_all(rows):
        yield Progress(task="Reading images", done=done, total=len(rows))
        if control.checkpoint() != "go":
            return
        if torch_side.done():
            torch_side.result()  # the device is not there: say so now


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
