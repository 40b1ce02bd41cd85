"""A run read back from its folder so that it can go on: settings, images, splits, the newest intact checkpoint. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio import safe_io
from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import TrainConfig, read_config
from tlstudio.api.dataset import NO_SPLIT, ImageSet
from tlstudio.api.errors import UserError
from tlstudio.data.edits import JOURNAL, Journal, apply
from tlstudio.engine.fingerprint import Taken
from tlstudio.registry.catalog import Catalog, Recipe
from tlstudio.registry.weights import ResolvedWeights
from tlstudio.runs.checkpoints import FORMAT, newest_intact, read_meta, step_of
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import SPLIT_FILE, RunInfo, read_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEW_RUN = "Begin a new run from what this one has learned: tlstudio runs again {run}"


@dataclass(frozen=True, kw_only=True)
class SavedRun:
    """What lies in a run's folder.

    Args:
        config: as the run goes on, with the epochs it shall have now.
        taken: the images that it learns from; ``None`` where it had not come so far.
        checkpoint: the newest intact one; ``None`` where there is none, and the run begins anew.
        meta: what that says of itself.
        damaged: newer ones that are not intact.
        added: epochs that the run shall have in addition.
    """

    info: RunInfo
    config: TrainConfig
    taken: Taken | None
    checkpoint: Path | None
    meta: Mapping[str, Any]
    damaged: tuple[Path, ...]
    added: int

    @property
    def new_run(self) -> str:
        """The hint for who cannot go on with this one."""
        return _NEW_RUN.format(run=self.info.id)

    def recipe(self, catalog: Catalog, workspace: Path) -> Recipe:
        """The configuration resolved, with the weights and preprocessing of the checkpoint, whatever has become of the file."""
        if self.checkpoint is None:
            return catalog.resolve(self.config, workspace=workspace)
        nowhere = self.config.model_copy(update={"model": self.config.model.model_copy(update={"weights": "none"})})
        recipe = catalog.resolve(nowhere, workspace=workspace)
        kept = self.meta["weights"]
        weights = ResolvedWeights(title=kept["title"], path=Path(kept["path"]) if kept["path"] else None,
                                  sha256=kept["sha256"], parent=kept["parent"])  # fmt: skip
        preprocessing: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.meta["preprocessing"].items()
        }
        return replace(recipe, config=self.config, weights=weights, preprocessing=Preprocessing(**preprocessing))

    def images(self, recipe: Recipe) -> tuple[ImageSet, NDArray[np.int8]]:
        """The table with the edits that the run began with, and the splits ``(N,)`` int8 that it has."""
        assert self.taken is not None
        path = self.info.folder / JOURNAL
        edits = Journal(path).done if path.exists() else []
        images = apply(recipe.open_images(), edits, lambda some: np.full(len(some), NO_SPLIT, np.int8)).taking_part()
        splits = np.full(len(images), NO_SPLIT, np.int8)
        for split, rows in self.taken.rows(images).items():
            splits[rows] = split
        return images, splits


def open_saved(folder: Path, *, epochs: int | None) -> SavedRun:
    """Read a run's folder, and clear away what dead processes have left half done there; the caller holds the run's lock.

    Args:
        folder: of the run.
        epochs: how many more it shall have; ``None`` to go on as it was meant.

    Raises:
        UserError: it is no run, there is nothing left to do, or what lies there is damaged or of another version.
        ConfigError: its settings are not valid any more.
        OSError: it cannot be read.
    """
    info = read_run(folder)
    if info is None:
        raise UserError(f"{folder} is no run.", hint="`tlstudio runs list` shows them.")
    if epochs is None and info.status == "completed":
        raise UserError(f"The run {info.id} is finished.", hint=f"Give it more epochs: tlstudio runs extend {info.id} N.")
    for place in (folder.parent, folder, folder / "ckpt"):
        safe_io.remove_leftovers(place)
    checkpoint, damaged = newest_intact(folder)
    meta = read_meta(checkpoint) if checkpoint is not None else {}
    if checkpoint is None and epochs is not None:
        raise UserError(f"The run {info.id} has no intact checkpoint to go on from.", hint=_NEW_RUN.format(run=info.id))
    if meta and meta.get("format") != FORMAT:
        raise UserError(f"The checkpoints of the run {info.id} are of another version.", hint=_NEW_RUN.format(run=info.id))
    config = read_config(folder / "config.json")
    if epochs is not None:
        total = config.run.epochs + epochs
        config = TrainConfig.model_validate({**config.model_dump(), "run": {**config.run.model_dump(), "epochs": total}})
    taken = _taken(folder)
    if checkpoint is not None and (taken is None or taken.fingerprint != meta["data"]):
        raise UserError(f"split.json of the run {info.id} is damaged: nobody knows which images it learns from.",
                        hint=_NEW_RUN.format(run=info.id))  # fmt: skip
    return SavedRun(info=info, config=config, taken=taken, checkpoint=checkpoint, meta=meta, damaged=tuple(damaged),
                    added=epochs or 0)  # fmt: skip


def go_on(saved: SavedRun) -> None:
    """The run goes on from its checkpoint: forget what it told after that, and what is damaged; raises `OSError`."""
    folder = saved.info.folder
    safe_io.shorten(folder / EVENTS_FILE, int(saved.meta.get("events", 0)))
    if untold := saved.meta.get("untold"):  # the checkpoint had waited elsewhere: what was told then follows
        safe_io.append_line(folder / EVENTS_FILE, untold.rstrip("\n").encode())
    for damaged in saved.damaged:
        safe_io.remove_folder(damaged)
    if saved.added:
        safe_io.write_json(folder / "config.json", saved.config.model_dump(mode="json"))


def told(saved: SavedRun) -> str:
    """A sentence about what is not as usual with the checkpoint; empty where nothing is."""
    if not saved.damaged:
        return ""
    names = ", ".join(folder.name for folder in saved.damaged)
    ending = "training begins anew" if saved.checkpoint is None else f"the one of step {step_of(saved.checkpoint)} is used"
    return f"Damaged checkpoints were passed over ({names}): {ending}."


def _taken(folder: Path) -> Taken | None:
    try:
        return Taken.read(json.loads((folder / SPLIT_FILE).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
