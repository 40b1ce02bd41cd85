"""What a run had told before somebody came to look, added up: a run that goes on is shown as if one had looked all the time.

Reading takes a while for a long run, so it happens in the thread of the run, which yields a `Told` before the events that
follow. Shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlstudio.api.config import TrainConfig, parse_config, with_overrides
from tlstudio.api.events import EpochStarted, Event, Note, Prepared, RunFailed, RunFinished, RunResumed, RunStarted, StageState
from tlstudio.data.moved import relocated
from tlstudio.gui.context import GoOn
from tlstudio.gui.pages.train_progress import RunProgress
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.runs.checkpoints import list_checkpoints, read_meta, step_of
from tlstudio.runs.replay import read_events

_MOST_HEARD = 100  # events until a run goes on


@dataclass(kw_only=True)
class Told:
    """The events of a run so far: its curves, its progress, its notes, and what learns in the epoch that goes on.

    Args:
        step: optimiser steps that are done.
    """

    run: str
    step: int = 0
    curves: CurveData = field(default_factory=CurveData)
    progress: RunProgress = field(default_factory=RunProgress)
    notes: list[Note] = field(default_factory=list)
    stages: tuple[StageState, ...] = ()

    def feed_all(self, events: Iterable[Event]) -> Told:
        """Take these events, but for how the run ended; returns itself."""
        for event in events:
            if isinstance(event, RunFinished | RunFailed):
                continue
            self.curves.feed(event)
            self.progress.feed(event)
            if isinstance(event, Prepared | EpochStarted):
                self.stages = event.stages
            elif isinstance(event, Note):
                self.notes.append(event)
        return self


def config_of(wish: GoOn, workspace: Path) -> TrainConfig:
    """The settings with which a run goes on, for the form; raises `ConfigError`."""
    config = parse_config(wish.run.config)
    config = config.model_copy(update={"data": relocated(config.data, workspace)})
    return with_overrides(config, [f"run.epochs={config.run.epochs + wish.epochs}"]) if wish.epochs else config


def told_until(run: str, folder: Path, checkpoint: Path | None) -> Told:
    """What a run had told when this checkpoint of it was taken; nothing without one, for then it begins anew."""
    if checkpoint is None:
        return Told(run=run)
    try:
        until = int(read_meta(checkpoint)["events"])
    except (OSError, ValueError, KeyError, TypeError):
        return Told(run=run)
    told = Told(run=run, step=step_of(checkpoint)).feed_all(read_events(folder, until=until))
    told.progress.folder = str(folder)  # it may have been moved since
    return told


def with_what_was_told(run: str, folder: Path, events: Iterable[Event]) -> Iterator[Event | Told]:
    """The events of a run that goes on, after what it had told before.

    Where it goes on is the newest checkpoint, unless that turns out to be damaged: then what was told is sent anew.
    """
    checkpoints = list_checkpoints(folder)
    told = told_until(run, folder, checkpoints[-1] if checkpoints else None)
    yield told
    heard: list[Event] = []
    for event in events:
        if isinstance(event, RunResumed) and event.step != told.step:
            told = told_until(run, folder, next((path for path in checkpoints if step_of(path) == event.step), None))
            yield told.feed_all(heard)
        if isinstance(event, RunStarted | Prepared | Note) and len(heard) < _MOST_HEARD:
            heard.append(event)
        yield event
