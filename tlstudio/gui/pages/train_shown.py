"""Shows on the Train page what a run tells: its curves and bars, what learns, and the settings that the engine refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from tlstudio.api.errors import Problem
from tlstudio.api.events import (
    CheckpointSaved,
    EpochDone,
    EpochStarted,
    Event,
    Prepared,
    RunFailed,
    RunResumed,
    RunStarted,
    StepDone,
)
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.train_told import Told

if TYPE_CHECKING:
    from tlstudio.gui.pages.train import TrainPage

_OF_GOING_ON = (RunResumed, CheckpointSaved, EpochStarted, StepDone, EpochDone)
"""Events that a run which is held for want of room, or of its images, tells once it goes on."""
_FIELD_LINE = re.compile(r"^([a-z_]+(?:\.[a-z0-9_]+)+): (.+)$")


class RunShown(QObject):
    """Hands each event of a run to the parts of the page, and then to the other pages."""

    def __init__(self, page: TrainPage, context: AppContext) -> None:
        super().__init__(page)
        self._page, self._context = page, context
        self._told: Told | None = None

    def begin(self, *, patience: int) -> None:
        """Make room for a run that begins.

        Args:
            patience: epochs without progress after which it ends.
        """
        self._told = None
        self._page.curves.clear()
        self._page.monitor.begin(patience=patience)

    @Slot(object)
    def feed(self, event: Event | Told) -> None:
        """Show what has happened."""
        if isinstance(event, Told):
            self._show_told(event)
            return
        page, monitor = self._page, self._page.monitor
        if isinstance(event, RunStarted):
            self._context.runs_changed.emit()
        page.curves.feed(event)
        if monitor.state == "held" and isinstance(event, _OF_GOING_ON):
            monitor.set_state("paused" if page.session.paused else "running")
        monitor.feed(event)
        if isinstance(event, Prepared | EpochStarted):
            self._show_stages(event)
        elif isinstance(event, RunFailed):
            page.form.show_problems(field_problems(event))
        self._context.run_event.emit(event)

    def _show_told(self, told: Told) -> None:
        """What a run told before one looked; its events follow without a seam."""
        self._told = told
        page = self._page
        page.curves.set_data(told.curves)
        page.monitor.show_told(told.progress, told.notes)
        if told.stages:
            page.network.show_states(told.stages, running=True, epoch=max(0, told.progress.epoch))
            page.network.preview.follow(page.form, [told.stages])

    def _show_stages(self, event: Prepared | EpochStarted) -> None:
        """What learns now; in an epoch that goes on, what the epoch began with."""
        if isinstance(event, EpochStarted):
            self._page.network.show_states(event.stages, running=True, epoch=event.epoch)
        elif self._told is None or not self._told.stages:
            self._page.network.show_states(event.stages, running=True, epoch=None)


def field_problems(event: RunFailed) -> list[Problem]:
    """The problems of a configuration that the engine found, from the lines of its message."""
    lines = (_FIELD_LINE.match(line) for line in event.detail.splitlines())
    return [Problem(field=found[1], message=found[2]) for found in lines if found]
