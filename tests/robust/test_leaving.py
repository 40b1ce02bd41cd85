"""A run that is left because the program closes saves itself at once, wherever it is, and ends later as if nothing had been."""

from __future__ import annotations

import pytest
from robust_runs import assert_same_run, folder_of, resume
from training import run

from tlstudio.engine import loop
from tlstudio.engine.control import Control
from tlstudio.runs.checkpoints import list_checkpoints, step_of
from tlstudio.runs.store import read_run

SETTINGS = ("run.epochs=3", "run.batch_size=8", "freezing.strategy=freezing/full", "optim.learning_rate=0.01")
KINDS = {
    "full": (),
    "averaged": ("optim.ema_decay=0.9", "freezing.options.norm_stats=recalibrated"),
    "accumulated": ("optim.accumulate=3",),
}
MOMENTS = (
    ("full", "take_step", 1, 0), ("full", "_validate", 2, 1), ("averaged", "_validate", 1, 0),
    ("averaged", "_recalibrate", 2, 1), ("accumulated", "take_step", 3, 1), ("accumulated", "_ended", 1, 0),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_SECONDS", 0.0)


def leaves(monkeypatch, name, nth, control):
    """Leave when the engine comes to this function for the n-th time."""
    real, calls = getattr(loop, name), []

    def counted(*arguments, **named):
        calls.append(name)
        if len(calls) == nth:
            control.leave()
        return real(*arguments, **named)

    monkeypatch.setattr(loop, name, counted)


@pytest.mark.parametrize(("kind", "name", "nth", "epochs"), MOMENTS)
def test_it_saves_without_measuring_and_goes_on_to_the_last_bit(
    gradual_catalog, photos, tmp_path, monkeypatch, kind, name, nth, epochs
):
    settings = (f"data.path={photos}", *SETTINGS, *KINDS[kind])
    whole = run(gradual_catalog, tmp_path, *settings)
    control = Control()
    with monkeypatch.context() as patch:
        leaves(patch, name, nth, control)
        left = run(gradual_catalog, tmp_path, *settings, control=control)
    folder = folder_of(left)
    assert control.leaving
    assert (left[-1].event, left[-1].outcome, left[-1].epochs) == ("RunFinished", "stopped", epochs)
    assert (read_run(folder).status, read_run(folder).epochs_done) == ("stopped", epochs)
    last = max(event.step for event in left if event.event == "StepDone")
    assert step_of(list_checkpoints(folder)[-1]) == last
    resume(gradual_catalog, tmp_path, folder)
    assert_same_run(folder_of(whole), folder)


def test_left_while_the_images_are_read_it_is_stopped_and_begins_anew(tiny_catalog, photos, tmp_path):
    control = Control()
    settings = (f"data.path={photos}", "run.epochs=1")
    left = run(tiny_catalog, tmp_path, *settings, control=control, on_event=lambda _: control.leave())
    assert (left[-1].outcome, left[-1].model) == ("stopped", "")
    assert resume(tiny_catalog, tmp_path, folder_of(left))[-1].outcome == "completed"


@pytest.mark.parametrize("name", ["take_step", "_validate"])
def test_a_run_that_is_held_is_saved_wherever_it_was(tiny_catalog, photos, tmp_path, monkeypatch, name):
    control, saved = Control(), []
    real = getattr(loop, name)

    def held_in(*arguments, **named):
        if not saved:
            control.pause()
        return real(*arguments, **named)

    def hear(event):
        if event.event == "CheckpointSaved" and control.paused:
            saved.append(event.step)
            control.resume()

    monkeypatch.setattr(loop, name, held_in)
    settings = (f"data.path={photos}", *SETTINGS, "run.epochs=2")
    done = run(tiny_catalog, tmp_path, *settings, control=control, on_event=hear)
    assert (done[-1].outcome, saved) == ("completed", [1 if name == "take_step" else 5])
