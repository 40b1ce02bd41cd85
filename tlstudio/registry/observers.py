"""Lets observer plugins hear a run. One that raises is left out from then on; the run goes on, and a note says so.

The last fault of each is also kept in a file beside the logs, until it hears a run without one: `tlstudio plugins list` is a
process of its own. Nothing is remembered as switched off.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tlstudio import paths, safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.api.events import Event, Note, RunFailed, RunFinished
from tlstudio.api.observers import Observer
from tlstudio.registry.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What an observer did wrong: ``error`` in one line, ``details`` the traceback, ``run`` its id, ``time`` since 1970."""

    observer: str
    run: str
    time: float
    error: str
    details: str


def observed(events: Iterable[Event], catalog: Catalog, config: TrainConfig, folder: Path) -> Iterator[Event]:
    """Pass the events of a run on, and tell them to the observers; the last event stays the last.

    Args:
        events: of one run.
        catalog: its observers; those that raise are noted in its ``observer_faults``.
        config: says whether observers may hear this run.
        folder: of the run.
    """
    hearing = _Hearing(catalog, folder) if config.run.observers else None
    if hearing is None or not hearing.wanted:
        yield from events
        return
    try:
        for event in events:
            last = isinstance(event, RunFinished | RunFailed)
            if not last:
                yield event
            yield from hearing.tell(event)
            if last:
                yield from hearing.close(event.run)
                yield event
    finally:
        for _ in hearing.close(""):
            pass  # the run was abandoned: nobody is there to read a note


def read_faults() -> dict[str, Fault]:
    """The last fault of each observer that did not hear a run in peace since, by qualified name."""
    try:
        return {str(item["observer"]): Fault(**item) for item in json.loads(_file().read_bytes())}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class _Hearing:
    """The observers of one run."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog = catalog
        self._folder = folder
        self._open: dict[str, Observer] = {}
        self._started = False
        self.wanted = [
            name for name, spec in catalog.observers.items() if not spec.missing and name not in catalog.observer_faults
        ]

    def tell(self, event: Event) -> Iterator[Note]:
        """Tell an event to all; a note for each that raises, which the others hear too."""
        if not self._started:
            self._started = True
            for name in self.wanted:
                try:
                    self._open[name] = self._catalog.observers[name].open(self._folder)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever a plugin does, the run goes on
                    yield self._left_out(name, event.run, error)
        waiting: deque[Event] = deque([event])
        while waiting:
            told = waiting.popleft()
            for name, observer in list(self._open.items()):
                try:
                    observer.on_event(told)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - the same
                    note = self._left_out(name, event.run, error)
                    waiting.append(note)
                    yield note

    def close(self, run: str) -> Iterator[Note]:
        """Close all that are still open."""
        in_peace = []
        while self._open:
            name, observer = self._open.popitem()
            try:
                observer.close()
                in_peace.append(name)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - the same
                yield self._left_out(name, run, error)
        if in_peace:
            _keep({name: fault for name, fault in read_faults().items() if name not in in_peace})

    def _left_out(self, name: str, run: str, error: BaseException) -> Note:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        details = "".join(traceback.format_exception(error))
        fault = Fault(observer=name, run=run, time=time.time(), error=said, details=details)
        self._catalog.observer_faults[name] = fault
        _keep({**read_faults(), name: fault})
        observer = self._open.pop(name, None)
        if observer is not None:
            with contextlib.suppress(Exception):  # it has failed already
                observer.close()
        title = self._catalog.observers[name].title
        return Note(
            run=run,
            level="warning",
            text=f"The observer {title} ({name}) failed and hears nothing more in this session: {said}. The run goes on. "
            "The Plugins page and `tlstudio plugins list` have the details.",
        )


def _file() -> Path:
    return paths.logs() / "observers.json"


def _keep(faults: dict[str, Fault]) -> None:
    """Write the faults down where they differ; a log that cannot be written is no reason to fail."""
    if faults == read_faults():
        return
    with contextlib.suppress(OSError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        safe_io.write_json(_file(), [asdict(fault) for fault in faults.values()])
