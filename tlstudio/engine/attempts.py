"""What becomes of the events of a run on their way out: errors are caught, observers hear them, the folder keeps them.

A run is usually one attempt. Where the drive with its images goes, the run is held until it is back, and a new attempt goes on
from the newest checkpoint, while the run stays in the same hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import EpochDone, Event, Note, RunFailed, RunPaused, RunResumed, RunStarted, StepDone
from tlstudio.engine.control import Control
from tlstudio.engine.failure import failed
from tlstudio.engine.loader import ImagesGone
from tlstudio.engine.patient import patiently, until_back
from tlstudio.engine.reading import is_gone
from tlstudio.engine.world import World
from tlstudio.registry.catalog import Catalog
from tlstudio.registry.observers import observed
from tlstudio.runs.lock import hold
from tlstudio.runs.recorder import Patiently, Story, record
from tlstudio.runs.wishes import listen


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A run from its beginning, or from a checkpoint.

    Args:
        events: of it.
        config: of the run.
        resumed: whether it goes on from a checkpoint, as `record` understands it.
    """

    events: Iterator[Event]
    config: TrainConfig
    resumed: bool = False


@contextmanager
def held(folder: Path, control: Control) -> Iterator[None]:
    """Nobody else works on the run while it lasts, and others may steer it.

    Raises:
        UserError: somebody does, and it says who.
    """
    with hold(folder), listen(folder, control.obey):
        yield


def guarded(events: Iterator[Event], folder: Path, run_id: str) -> Iterator[Event]:
    """The events of a run, each with its id; any error becomes the last of them."""
    return _guarded(events, folder, run_id, lambda _error: None)


def kept(
    attempt: Attempt, again: Callable[[], Attempt], run_id: str, folder: Path, catalog: Catalog, control: Control
) -> Iterator[Event]:
    """The events of a run to its end, observed and recorded; the caller holds the run.

    Args:
        attempt: the first.
        again: makes the next, from the newest checkpoint.
        run_id: of the run.
        folder: of the run.
        catalog: its observers.
        control: says whether to wait for a drive; held while that is gone.
    """
    gaps, writing = _Gaps(control), _waiting(folder, control, run_id)
    first = True
    while True:
        events = observed(_guarded(attempt.events, folder, run_id, gaps.begins), catalog, attempt.config, folder)
        goes_on = first or not attempt.resumed
        try:
            control.story = Story(folder)
            for event in record(events, folder, resumed=attempt.resumed, patiently=writing, story=control.story):
                gaps.hear(event)
                goes_on = goes_on or isinstance(event, RunResumed)
                if not goes_on and isinstance(event, RunFailed):  # it was not recorded, and is the end of what was
                    yield from record([event], folder, patiently=writing)
                elif first or not isinstance(event, RunStarted):  # who shows the run knows
                    yield event
            return
        except _Gap as gap:
            failure, root, first = gap.failure, gap.root, False
        yield RunPaused(run=run_id, reason=failure.error, hint=failure.hint)
        yield Note(run=run_id, level="warning", text=f"Held: {failure.error} It goes on by itself when they are back.")
        back = until_back(root, control)
        try:
            attempt = again() if back else attempt
        except Exception as error:  # noqa: BLE001 - the run ends in its folder too
            back, failure = False, failed(error, folder).model_copy(update={"run": run_id})
        if not back:
            yield from record([failure], folder, patiently=writing)
            return


class _Gap(Exception):
    """The images are gone, and the run waits for them; ``failure`` is its last event where it waits in vain."""

    def __init__(self, failure: RunFailed, root: Path) -> None:
        super().__init__(failure.error)
        self.failure, self.root = failure, root


class _Gaps:
    """Tells whether an error is a gap: only what a run has learned from can go, else it would wait for what is not the trouble.

    After a gap any error is one while the images are not there: the drive may go again before the run has gone on.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._learned = False
        self._root: Path | None = None

    def hear(self, event: Event) -> None:
        """An event of the run."""
        self._learned = self._learned or isinstance(event, StepDone | EpochDone)

    def begins(self, error: BaseException) -> Path | None:
        """What to wait for; ``None`` where the error is the end of the run."""
        if not isinstance(error, Exception) or not (self._control.waits_for_room and World.here().alone):
            return None
        if isinstance(error, ImagesGone) and self._learned:
            self._root = error.root
        return self._root if self._root is not None and is_gone(self._root) else None


def _guarded(
    events: Iterator[Event], folder: Path, run_id: str, gap_of: Callable[[BaseException], Path | None]
) -> Iterator[Event]:
    try:
        for event in events:
            yield event.model_copy(update={"run": run_id})
    except GeneratorExit:
        raise
    except BaseException as error:
        failure = failed(error, folder).model_copy(update={"run": run_id})
        root = gap_of(error)
        if root is not None:
            raise _Gap(failure, root) from error
        yield failure


def _waiting(folder: Path, control: Control, run_id: str) -> Patiently:
    """Writes events, and waits where they cannot be written."""

    def write(action: Callable[[], object]) -> Iterator[Event]:
        for event in patiently(action, folder, control):
            yield event.model_copy(update={"run": run_id})

    return write
