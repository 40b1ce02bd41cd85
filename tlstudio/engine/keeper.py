"""Saves checkpoints while a run trains: every few minutes, after epochs, when it is held, and when it is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlstudio import safe_io
from tlstudio.api.events import CheckpointSaved, EpochDone, Event
from tlstudio.engine import checkpoint
from tlstudio.engine.machine import machine
from tlstudio.engine.patient import patiently
from tlstudio.engine.state import is_finite, training_state
from tlstudio.engine.training import Training
from tlstudio.runs import spool
from tlstudio.runs.replay import EVENTS_FILE

_AFTER_EPOCH = 60.0  # seconds at least between checkpoints after epochs,
_TIMES_COST = 50.0  # and so many times what the last one took: 2 % of the run


class Keeper:
    """Of one run.

    Args:
        run: what trains.
        folder: of the run.
        about: what else ``meta.json`` says: the data's fingerprint, versions.
        began: when the run began, of `time.monotonic`, less what it had taken before it was resumed.
        resumed_from: step of the checkpoint that it goes on from, which stays.
    """

    def __init__(
        self, run: Training, folder: Path, about: Mapping[str, Any], began: float, *, resumed_from: int | None = None
    ) -> None:
        self._run, self._folder, self._about, self._began = run, folder, about, began
        self._resumed_from = resumed_from
        self._unreadable = len(run.source.unreadable)
        self._saved = time.monotonic()
        self._step = run.step if resumed_from is not None else 0  # at which it was saved last
        self._put_aside = -1  # at which it was saved elsewhere
        self._every = 60.0 * run.recipe.config.run.checkpoint_minutes
        self._cost = 0.0

    def due(self) -> bool:
        """Whether the time has come; the engine asks before every batch."""
        return time.monotonic() - self._saved >= self._every

    def now(self) -> Iterator[Event]:
        """Save the run as it is at the end of a step, unless that is done, or what it has learned is no number."""
        run, began = self._run, time.monotonic()
        if run.step == self._step or not is_finite(run):
            return
        run.source.check_losses(self._unreadable, len(run.train_rows))  # of a drive that is gone nothing shall be kept
        state = training_state(run)
        if run.world.first:
            keep = {run.best.step} | ({self._resumed_from} if self._resumed_from is not None else set())
            path = yield from patiently(
                lambda: checkpoint.save_checkpoint(self._folder, run.step, state, self._meta(self._synced()), keep=keep),
                self._folder, run.control,
            )  # fmt: skip
            self._saved = time.monotonic()
            self._cost = self._saved - began
            self._step = run.step
            yield CheckpointSaved(epoch=len(run.history), step=run.step, path=str(path))
        self._step = run.step

    def aside(self) -> Callable[[], None] | None:
        """Save the run on a disk of this machine, from where it is fetched when it is resumed; returns what takes that away.

        Nothing is saved, and ``None`` returned, where nothing is new, nobody could go on from it, or that disk is no better.
        When the folder can be written again, the run is saved there after the next step.
        """
        run, story = self._run, self._run.control.story
        between_steps = run.world.alone and not run.begun and run.cut.model is not None
        if story is None or not between_steps or run.step in (self._step, self._put_aside):
            return None
        told = story.told()
        about = {"last": told.last.decode(), "untold": told.since.decode()}
        try:
            if not is_finite(run):
                return None
            state, meta = training_state(run), {**self._meta(told.size), **about}
            checkpoint.save_checkpoint(spool.make_room(self._folder), run.step, state, meta)
        except Exception:  # noqa: BLE001 - torch has errors of its own for a full disk; that the run is held is told already
            return None
        self._put_aside = run.step
        return self._forget

    def _forget(self) -> None:
        """The folder can be written again: what was put aside is not needed, and the run is saved there after the next step."""
        spool.drop(self._folder)
        self._put_aside, self._saved = -1, -math.inf

    def after_epoch(self, done: EpochDone, last: bool) -> Iterator[Event]:
        """Save, where the last time is long enough ago, and always after the last epoch."""
        pause = max(min(_AFTER_EPOCH, self._every), _TIMES_COST * self._cost)
        if last or self._run.world.from_first(self.due() or time.monotonic() - self._saved >= pause):
            yield from self.now()

    def _synced(self) -> int:
        """Bytes of the events until now, which are on the disk then; raises `OSError` where they are gone."""
        return safe_io.sync_file(self._folder / EVENTS_FILE)

    def _meta(self, events: int) -> dict[str, Any]:
        run = self._run
        return {
            **self._about,
            "epoch": len(run.history),
            "batch": run.batch,
            "lost": len(run.source.unreadable) - self._unreadable,
            "classes": list(run.images.classes),
            "config": run.recipe.config.model_dump(mode="json"),
            "machine": machine(run.place, run.world),
            "cut": run.cut.record(),
            "weights": {"title": run.recipe.weights.title, "path": _text(run.recipe.weights.path),
                        "sha256": run.recipe.weights.sha256, "parent": run.recipe.weights.parent},
            "preprocessing": asdict(run.recipe.preprocessing),
            "events": events,
            "seconds": time.monotonic() - self._began,
        }  # fmt: skip


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
