"""A run that goes on: its network and all that it holds are put where its checkpoint was taken."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from tlstudio import paths
from tlstudio.api.errors import DataError
from tlstudio.api.events import Event, Note, RunResumed
from tlstudio.data.curation import identity
from tlstudio.engine.checkpoint import load_state
from tlstudio.engine.describe import build_with
from tlstudio.engine.fingerprint import Taken
from tlstudio.engine.freeze import plan_at, stage_infos
from tlstudio.engine.given import Given, prepared
from tlstudio.engine.keeper import Keeper
from tlstudio.engine.machine import differences, machine
from tlstudio.engine.saved import SavedRun, go_on, told
from tlstudio.engine.schedule import schedule_factor
from tlstudio.engine.state import restore_training
from tlstudio.engine.training import Training
from tlstudio.engine.world import World
from tlstudio.runs.checkpoints import step_of

__all__ = ["restarted", "resumed"]


def resumed(given: Given) -> Generator[Event, None, tuple[Training, Keeper]]:
    """From the checkpoint that it has, to the last bit where nothing is in the way; tells what is.

    Raises:
        DataError: the images are others now.
    """
    saved = given.saved
    assert saved is not None
    assert saved.checkpoint is not None
    assert saved.taken is not None
    _require_same_images(given, saved, saved.taken)
    run = _rebuilt(given, saved.taken)
    restore_training(run, load_state(saved.checkpoint))
    here = machine(given.place, run.world)
    versions = given.about["versions"]
    same = saved.meta["machine"] == here and saved.meta["versions"]["torch"] == versions["torch"]
    run.cut.restore(saved.meta["cut"], same=run.world.from_first(same))
    why = _not_exact(given, saved)
    if saved.added:
        run.patience.waited = 0
    plan = plan_at(given.recipe, stage_infos(run.backbone), 0)
    yield prepared(run, saved.taken, plan, {})
    if run.world.first:
        go_on(saved)
    yield RunResumed(folder=str(given.folder), epochs=given.recipe.config.run.epochs, epoch=len(run.history), step=run.step,
                     exact=not why, why=why)  # fmt: skip
    if text := told(saved):
        yield Note(level="warning", text=text)
    if saved.added:
        yield Note(text=_about_more_epochs(run, saved))
    about = {**given.about, "data": saved.taken.fingerprint}
    return run, Keeper(run, given.folder, about, given.began, resumed_from=step_of(saved.checkpoint))


def restarted(given: Given, saved: SavedRun, taken: Taken) -> Iterator[Event]:
    """A run without an intact checkpoint begins anew, in its folder and with its settings."""
    change = saved.taken.difference(taken) if saved.taken is not None else ""
    yield RunResumed(folder=str(given.folder), epochs=given.recipe.config.run.epochs, epoch=0, step=0, exact=not change,
                     why=change)  # fmt: skip
    if text := told(saved):
        yield Note(level="warning", text=text)


def _rebuilt(given: Given, taken: Taken) -> Training:
    """The network without its weights, which are in the checkpoint, and all that a run holds."""
    recipe = given.recipe
    backbone = build_with(recipe.backbone, len(given.images.classes), recipe.strategy, recipe.strategy_options)
    train_rows, val_rows, _ = taken.rows(given.images).values()
    return Training(recipe, given.images, train_rows, val_rows, backbone, given.source, given.place, given.control,
                    features=(paths.cache() / "features", identity(recipe.config.data)))  # fmt: skip


def _require_same_images(given: Given, saved: SavedRun, taken: Taken) -> None:
    now = Taken.of(given.images, taken.rows(given.images), given.source.sizes)
    change = taken.difference(now)
    if change:
        raise DataError(
            f"The images of the run {saved.info.id} have changed: it cannot go on as it was.", detail=change,
            hint=saved.new_run,
        )  # fmt: skip


def _not_exact(given: Given, saved: SavedRun) -> str:
    """Why the run may end otherwise than without the break; empty where nothing is known that speaks for it."""
    meta, here = saved.meta, machine(given.place, World.here())
    reasons = [f"it has {saved.added} epochs more than before"] if saved.added else []
    if meta["lost"]:
        reasons.append(f"{meta['lost']} images could not be read before it was saved")
    reasons += differences(meta["machine"], here)
    reasons += differences(meta["versions"], given.about["versions"])
    reasons += [f"plugin {text}" for text in differences(meta["plugins"], given.about["plugins"])]
    device = given.place.device.type
    if device != "cpu" and not (device == "cuda" and given.recipe.config.run.deterministic):
        reasons.append("a GPU does not add up in the same order every time (run.deterministic=true lets it)")
    return "; ".join(reasons)


def _about_more_epochs(run: Training, saved: SavedRun) -> str:
    """What more epochs mean for a schedule and a strategy that go by how many there are."""
    optim, epochs, each = run.recipe.config.optim, run.recipe.config.run.epochs, run.steps_per_epoch
    before, after = epochs - saved.added, max(0, run.step - 1)
    last = schedule_factor(optim, after, each * before, each, run.history) * (optim.learning_rate or 0.0)
    now = schedule_factor(optim, run.step, each * epochs, each, run.history) * (optim.learning_rate or 0.0)
    return (
        f"{saved.added} epochs more, {epochs} in all. The schedule and what learns go by the length of a run: the learning "
        f"rate had come to {last:.2g} and goes on at {now:.2g}. A run of {epochs} epochs from the start would differ."
    )
