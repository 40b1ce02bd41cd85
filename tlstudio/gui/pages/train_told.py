"""What a run had told before somebody came to look, added up: a run that goes on is shown as if one had looked all the time.

Reading takes a while for a long run, so it happens in the thread of the run, which yields a `Told` before the events that
follow. Shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tlstudio.api.config import TrainConfig, parse_config, with_overrides
from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Event,
    Note,
    Prepared,
    RunFailed,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    StageState,
    StepDone,
)
from tlstudio.data.moved import relocated
from tlstudio.gui.context import GoOn
from tlstudio.gui.pages.train_progress import RunProgress
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.runs.checkpoints import checkpoint_folder, list_checkpoints, read_meta, step_of
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
    """The events of a run that goes on, after what it had told before its newest checkpoint."""
    checkpoints = list_checkpoints(folder)
    told = told_until(run, folder, checkpoints[-1] if checkpoints else None)
    yield told
    yield from told_anew(events, told)


def told_anew(events: Iterable[Event], told: Told | None = None) -> Iterator[Event | Told]:
    """The events of a run. Where it goes on from another place than where it was, what it had told until there is sent anew.

    So it is where the newest checkpoint turns out to be damaged, and where the images were gone for a while.

    Args:
        told: what was sent of it already.
    """
    where, heard, folder = told.step if told is not None else 0, list[Event](), Path()
    for event in events:
        if isinstance(event, RunStarted):
            folder = Path(event.folder)
        if isinstance(event, RunResumed) and (event.step < where or (told is not None and event.step != told.step)):
            checkpoint = checkpoint_folder(folder, event.step)
            yield told_until(event.run, folder, checkpoint if event.step else None).feed_all(heard)
        if isinstance(event, RunResumed | StepDone | EpochDone):
            where, told = event.step, None
        if isinstance(event, RunPaused):
            heard.clear()
        elif isinstance(event, RunStarted | Prepared | Note) and len(heard) < _MOST_HEARD:
            heard.append(event)
        yield event
