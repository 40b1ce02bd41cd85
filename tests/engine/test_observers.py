"""Observer plugins hear every run; whatever one does, the run is the run that it would have been."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from training import run

from tlstudio.api import ObserverSpec
from tlstudio.registry.observers import read_faults
from tlstudio.runs.replay import read_events

_SHORT = ("run.epochs=2", "data.image_size=32")


class Listener:
    """Keeps what it hears; raises, or exits, at an event of the kind that it is told."""

    heard: ClassVar[list] = []

    def __init__(self, folder, *, fails_at="", error=ValueError):
        self.folder, self.fails_at, self.error = folder, fails_at, error
        self.events, self.closed = [], 0
        if fails_at == "open":
            raise error("no room")
        Listener.heard.append(self)

    def on_event(self, event):
        self.events.append(event)
        if event.event == self.fails_at:
            raise self.error("no ear for it")

    def close(self):
        self.closed += 1
        if self.fails_at == "close":
            raise self.error("stuck")


@pytest.fixture
def observed(tiny_catalog):
    """``observed(fails_at=…)``: a catalog with two observers, of which the first may fail."""
    Listener.heard = []

    def make(**faulty):
        def opening(folder):
            return Listener(folder, **faulty)

        specs = {
            "test/first": ObserverSpec(name="first", title="First", about="", open=opening),
            "test/second": ObserverSpec(name="second", title="Second", about="", open=Listener),
            "test/idle": ObserverSpec(name="idle", title="Idle", about="", open=None, missing="install it"),
        }
        return replace(tiny_catalog, observers=specs, observer_faults={})

    return make


def warnings_of(events):
    return [event for event in events if event.event == "Note" and event.text.startswith("The observer")]


def test_observers_hear_every_event_of_a_run_in_order_and_are_closed(observed, photos, tmp_path):
    events = run(observed(), tmp_path, f"data.path={photos}", *_SHORT)
    first, second = Listener.heard
    assert first.events == second.events == events
    assert first.closed == second.closed == 1
    assert str(first.folder) == events[0].folder
    assert not read_faults()


@pytest.mark.parametrize(
    ("fails_at", "error"),
    [("open", ValueError), ("RunStarted", ValueError), ("EpochDone", SystemExit), ("RunFinished", ValueError),
     ("close", ValueError)],
)  # fmt: skip
def test_one_that_fails_is_left_out_for_the_session_and_the_run_goes_on(observed, photos, tmp_path, fails_at, error):
    catalog = observed(fails_at=fails_at, error=error)
    events = run(catalog, tmp_path, f"data.path={photos}", *_SHORT)
    assert (events[0].event, events[-1].event, events[-1].outcome) == ("RunStarted", "RunFinished", "completed")
    [note] = warnings_of(events)
    assert note.level == "warning"
    assert "First (test/first)" in note.text
    assert note in list(read_events(next((tmp_path / "runs").iterdir())))
    other = Listener.heard[-1]
    assert [event.event for event in other.events if event.event != "Note"] == [e.event for e in events if e.event != "Note"]
    assert other.closed == 1
    fault = read_faults()["test/first"]
    assert fault.run == events[0].run
    assert error.__name__ in fault.error
    assert "Traceback" in fault.details
    Listener.heard = []
    again = run(catalog, tmp_path, f"data.path={photos}", *_SHORT)
    assert not warnings_of(again)
    assert len(Listener.heard) == 1
    assert set(read_faults()) == {"test/first"}


def test_a_fault_is_forgotten_once_the_observer_has_heard_a_run_in_peace(observed, photos, tmp_path):
    run(observed(fails_at="EpochDone"), tmp_path, f"data.path={photos}", *_SHORT)
    assert read_faults()
    run(observed(), tmp_path, f"data.path={photos}", *_SHORT)
    assert not read_faults()


def test_a_run_may_do_without_observers(observed, photos, tmp_path):
    run(observed(), tmp_path, f"data.path={photos}", *_SHORT, "run.observers=false")
    assert not Listener.heard


def test_they_are_closed_where_nobody_pulls_the_events_any_more(observed, photos, tmp_path):
    from tlstudio.api import TrainConfig
    from tlstudio.api.config import with_overrides
    from tlstudio.engine.control import Control
    from tlstudio.engine.run import start_run

    config = with_overrides(TrainConfig(), [f"data.path={photos}", "model.backbone=test/tiny", "model.weights=none", *_SHORT])
    events = start_run(config, observed(), tmp_path, Control())
    while next(events).event != "Prepared":
        pass
    events.close()
    assert [listener.closed for listener in Listener.heard] == [1, 1]
