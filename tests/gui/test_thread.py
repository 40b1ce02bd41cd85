"""The thread emits what the generator yields, and never lets an exception escape."""

from __future__ import annotations

import threading

import pytest

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import Note, RunFailed, RunFinished, RunStarted
from tlstudio.engine.control import Control
from tlstudio.gui.thread import TrainThread

STARTED = RunStarted(run="r1", folder="x", config={}, epochs=1)
FINISHED = RunFinished(run="r1", outcome="completed", metrics={}, best_epoch=0, epochs=1, seconds=1, model="m")


@pytest.fixture
def run(qtbot, tmp_path):
    def start(runner, control=None):
        thread = TrainThread(runner, TrainConfig(), None, tmp_path, control or Control())
        received = []
        thread.event.connect(lambda event: received.append((event, threading.current_thread())))
        with qtbot.waitSignal(thread.finished, timeout=10_000):
            thread.start()
        assert thread.wait(5000)
        qtbot.waitUntil(lambda: bool(received))
        assert all(where is threading.main_thread() for _, where in received)
        return [event for event, _ in received]

    return start


def test_all_events_arrive_in_order_in_the_main_thread(run):
    seen = []

    def runner(config, catalog, workspace, control):
        seen.append(threading.current_thread())
        yield STARTED
        for i in range(500):
            yield Note(run="r1", text=str(i))
        yield FINISHED

    events = run(runner)
    assert [event.text for event in events[1:-1]] == [str(i) for i in range(500)]
    assert (events[0], events[-1]) == (STARTED, FINISHED)
    assert seen[0] is not threading.main_thread()


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_whatever_the_runner_raises_becomes_a_last_event(run, error):
    def runner(config, catalog, workspace, control):
        yield STARTED
        raise error

    events = run(runner)
    assert isinstance(events[-1], RunFailed)
    assert events[-1].run == "r1"
    assert type(error).__name__ in events[-1].error
    assert "Traceback" in events[-1].detail


def test_a_runner_that_fails_before_its_first_event(run):
    def runner(config, catalog, workspace, control):
        raise ImportError("no torch")

    assert [type(event) for event in run(runner)] == [RunFailed]


def test_a_run_that_just_ends_is_not_taken_for_a_success(run):
    def runner(config, catalog, workspace, control):
        yield STARTED

    assert isinstance(run(runner)[-1], RunFailed)


def test_control_reaches_the_run(run):
    control = Control()
    control.stop()

    def runner(config, catalog, workspace, given):
        assert given is control
        yield STARTED
        yield FINISHED.model_copy(update={"outcome": "stopped" if given.checkpoint() == "stop" else "completed"})

    assert run(runner, control)[-1].outcome == "stopped"
