"""A read that does not come back: the run passes it over or waits for the drive, and the user is heard meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from robust_runs import assert_same_run, folder_of, resume
from training import run

import tlstudio
from tlstudio import faults
from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.engine import loader, reading
from tlstudio.engine.control import Control
from tlstudio.runs.store import read_run

FROM_THE_DRIVE = ("run.epochs=3", "run.batch_size=8", "run.cache=off", "run.cache_gigabytes=0", "run.plan=reference",
                  "freezing.strategy=freezing/full", "optim.learning_rate=0.01")  # fmt: skip
IN_TRAINING = "read:HANG@190"  # in the third epoch; each reads 38 images and measures 10, and 80 reads come before
MEASURED = "read:HANG@122"


@pytest.fixture(autouse=True)
def _nothing_is_kept(monkeypatch):
    monkeypatch.setattr(loader, "_MEMORY_BUDGET", 0)


def when_struck(fault, action):
    """Do it while the read hangs, as the window does: from another thread."""

    def wait():
        fault.struck.wait()
        action()

    threading.Thread(target=wait).start()


def test_who_reads_ahead_when_all_has_ended_does_not_wait_for_ever(tiny_catalog, photos, tmp_path):
    config = with_overrides(TrainConfig(), [f"data.path={photos}", "model.backbone=test/tiny", "model.weights=none"])
    recipe = tiny_catalog.resolve(config, workspace=tmp_path)
    source = loader.ImageSource(recipe.open_images(), recipe.preprocessing)
    source.close()
    with pytest.raises(CancelledError):
        source.batch([0, 1])


@pytest.mark.parametrize("wish", ["stop", "leave", "cancel"])
def test_the_user_is_heard_and_the_run_is_saved_at_the_end_of_its_last_step(tiny_catalog, photos, tmp_path, wish):
    settings = (f"data.path={photos}", *FROM_THE_DRIVE)
    control = Control()
    with faults.injected(IN_TRAINING) as fault:
        when_struck(fault, getattr(control, wish))
        events = run(tiny_catalog, tmp_path, *settings, control=control)
    assert (events[-1].event, events[-1].outcome) == ("RunFinished", "cancelled" if wish == "cancel" else "stopped")
    if wish != "cancel":
        whole = run(tiny_catalog, tmp_path, *settings)
        resume(tiny_catalog, tmp_path, folder_of(events))
        assert_same_run(folder_of(whole), folder_of(events))


@pytest.mark.parametrize(("fault", "settings"), [(MEASURED, ()), ("read:HANG@140", ("optim.accumulate=3",))])
def test_stopped_while_it_is_measured_or_in_the_middle_of_a_step_it_goes_on_to_the_last_bit(
    tiny_catalog, photos, tmp_path, fault, settings
):
    settings = (f"data.path={photos}", *FROM_THE_DRIVE, *settings)
    control = Control()
    with faults.injected(fault) as switch:
        when_struck(switch, control.stop)
        events = run(tiny_catalog, tmp_path, *settings, control=control)
    assert read_run(folder_of(events)).status in {"stopped", "cancelled"}
    resume(tiny_catalog, tmp_path, folder_of(events))
    assert_same_run(folder_of(run(tiny_catalog, tmp_path, *settings)), folder_of(events))


@pytest.mark.parametrize(("fault", "where"), [("worker:HANG@5", "before"), (IN_TRAINING, "while")])
def test_a_file_that_gives_no_answer_is_named_and_left_out(tiny_catalog, photos, tmp_path, monkeypatch, fault, where):
    monkeypatch.setattr(loader, "_HANGS_SECONDS", 2.0)
    with faults.injected(fault) as switch:
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FROM_THE_DRIVE)
        assert not switch.over.is_set()  # it hangs to this moment
    assert (events[-1].event, events[-1].outcome) == ("RunFinished", "completed"), events[-1]
    (told,) = [event.text for event in events if event.event == "Note" and "no answer in 2 seconds" in event.text]
    assert told.startswith("1 images can")
    assert any(str(path.relative_to(photos)) in told for path in photos.rglob("*.png"))
    excluded = next(event.excluded for event in events if event.event == "Prepared")
    assert len(excluded) == (1 if where == "before" else 0)


def test_every_thread_may_hang(tiny_catalog, photos, tmp_path, monkeypatch):
    """More files than there are threads give no answer: the others are read all the same."""
    monkeypatch.setattr(loader, "_HANGS_SECONDS", 2.0)
    over = threading.Event()
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    load = loader.reduced
    seen = []

    def hang(picture, preprocessing):
        seen.append(1)
        if len(seen) in {5, 20, 21}:
            over.wait()
        return load(picture, preprocessing)

    monkeypatch.setattr(loader, "reduced", hang)
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FROM_THE_DRIVE)
    over.set()
    assert events[-1].outcome == "completed"
    assert len(next(event.excluded for event in events if event.event == "Prepared")) == 3


def test_a_drive_that_hangs_is_waited_for_and_nothing_is_lost(tiny_catalog, photos, tmp_path, monkeypatch):
    settings = (f"data.path={photos}", *FROM_THE_DRIVE)
    whole = run(tiny_catalog, tmp_path, *settings)
    monkeypatch.setattr(loader, "_HANGS_SECONDS", 2.0)
    monkeypatch.setattr(reading, "_ROOT_SECONDS", 0.2)
    look = reading._look

    def answer_later(root, found):
        fault.over.wait()
        look(root, found)

    monkeypatch.setattr(reading, "_look", answer_later)

    def plug(event):
        if event.event == "RunPaused":
            assert "does not answer" in event.reason
            paused.append(event)
            fault.over.set()

    paused = []
    with faults.injected(IN_TRAINING) as fault:
        events = run(tiny_catalog, tmp_path, *settings, on_event=plug)
    assert len(paused) == 1
    assert events[-1].event == "RunFinished", events[-1]
    assert next(event for event in events if event.event == "RunResumed").exact
    assert_same_run(folder_of(whole), folder_of(events))


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
def test_the_process_ends_while_a_read_hangs(photos, tmp_path):
    words = ["train", str(photos), "model.weights=none", "data.image_size=32", "--json", "--workspace", str(tmp_path)]
    environment = {**os.environ, "TLSTUDIO_FAULT": "read:HANG@3", "PYTHONPATH": str(Path(tlstudio.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-m", "tlstudio", *words], stdout=subprocess.PIPE, text=True, env=environment
    ) as one:
        while json.loads(one.stdout.readline())["event"] != "Progress":
            pass
        one.terminate()
        for _ in one.stdout:
            pass
        assert one.wait(timeout=60) == 143
