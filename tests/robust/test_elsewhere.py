"""Runs of other processes: followed, steered, and worked off from the queue."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_photos
from filelock import FileLock
from robust.terminal import terminal
from robust_runs import assert_same_run

import tlstudio
from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.engine import follow
from tlstudio.engine.control import Watcher
from tlstudio.engine.detached import start_detached
from tlstudio.engine.follow import follow_run
from tlstudio.runs.lock import LOCK_FILE
from tlstudio.runs.queue import waiting
from tlstudio.runs.store import list_runs, read_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork")

SETTINGS = (
    "model.backbone=test/tiny", "model.weights=none", "freezing.strategy=freezing/full", "run.batch_size=4",
    "run.plan=reference",
)  # fmt: skip


@pytest.fixture
def line(tmp_path):
    with terminal(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(follow, "_LOOK_SECONDS", 0.02)


def begun(line, *, status="running"):
    """The run of that status, as soon as there is one."""
    while True:
        found = [run for run in list_runs(line.workspace) if run.status == status and (run.folder / "events.jsonl").exists()]
        if found:
            return found[0]


def add(line, photos, name, *settings):
    assert line.call("train", photos, *SETTINGS, f"run.name={name}", *settings, "--queue") == 0


def outcomes(line):
    return {run.name: run.status for run in list_runs(line.workspace)}


def test_a_run_is_watched_left_and_stopped_from_another_process(line, photos):
    child = line.start("train", photos, *SETTINGS, "run.epochs=10000")
    run = begun(line)
    left = Watcher()
    for event in follow_run(run.folder, left):
        if event.event == "StepDone":
            left.leave()
    assert read_run(run.folder).status == "running"

    control, seen = Watcher(), []
    for event in follow_run(run.folder, control):
        seen.append(event)
        if event.event == "StepDone" and event.epoch > 2:
            control.stop()
    assert seen[0].event == "RunStarted"
    assert seen[-1].event == "RunFinished"
    assert seen[-1].outcome == "stopped"
    assert child.wait() == 0
    assert line.call("runs", "follow", run.id) == 0
    assert line.call("runs", "pause", run.id) != 0


@pytest.mark.slow
def test_a_run_in_the_background_ends_while_nobody_looks(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(tlstudio.__file__).parent.parent))  # of whatever tree is tested
    settings = ("freezing.strategy=freezing/head-only", "data.image_size=32", "run.epochs=300", "run.plan=reference")
    words = ["train", str(photos), *settings, "--detach", "--json", "--workspace", str(tmp_path / "workspace")]
    done = subprocess.run([sys.executable, "-m", "tlstudio", *words], capture_output=True, text=True, check=True)
    folder = Path(json.loads(done.stdout)["folder"])  # and the terminal is gone
    left = Watcher()
    for event in follow_run(folder, left):
        if event.event == "EpochDone":
            left.leave()
    with FileLock(folder / LOCK_FILE):  # nobody reads its events any more; held until the process lets go
        run = read_run(folder)
    assert (run.status, run.epochs_done) == ("completed", 300)
    assert run.model_file.is_file()


def test_paused_from_another_process_it_holds_and_goes_on(line, photos):
    child = line.start("train", photos, *SETTINGS, "run.epochs=10000")
    run = begun(line)
    for wish in ("pause", "continue", "cancel"):
        assert line_call(line, child, run, wish) == 0
    assert child.wait() == 0
    assert read_run(run.folder).status == "cancelled"


def line_call(line, child, run, wish):
    """The server forks one child at a time, so this process sends the wish itself, and waits until it was heard."""
    from tlstudio.runs import wishes

    wishes.send(read_run(run.folder), wish)
    while wishes.is_unheard(run.folder) and read_run(run.folder).status == "running":
        pass
    return 0


def test_the_death_of_the_process_is_told(line, photos):
    child = line.start("train", photos, *SETTINGS, "run.epochs=10000")
    run = begun(line)
    events = []
    for event in follow_run(run.folder, Watcher()):
        events.append(event)
        if event.event == "StepDone" and child.pid:
            child.kill()
            child.wait()
            child.pid = 0
    assert events[-1].event == "RunFailed"
    assert f"runs resume {run.id}" in events[-1].hint


def test_the_queue_is_worked_off_in_order_and_a_failure_keeps_nobody_waiting(line, photos, tmp_path):
    gone = make_photos(tmp_path / "gone", {"circles": 8, "stripes": 8})
    add(line, photos, "first", "run.epochs=2")
    add(line, gone, "second", "run.epochs=2")
    add(line, photos, "third", "run.epochs=1")
    shutil.rmtree(gone)
    assert line.call("queue", "move", waiting(line.workspace)[2].id, "1") == 0
    assert line.call("queue", "run") != 0  # one has failed
    assert outcomes(line) == {"first": "completed", "second": "failed", "third": "completed"}
    begun_at = {
        run.name: (run.folder / "split.json").stat().st_mtime for run in list_runs(line.workspace) if run.name != "second"
    }
    assert begun_at["third"] < begun_at["first"]
    assert line.call("queue", "run") == 0

    straight = line.workspace
    line.workspace = tmp_path / "straight"
    assert line.call("train", photos, *SETTINGS, "run.name=first", "run.epochs=2") == 0
    queued = next(run.folder for run in list_runs(straight) if run.name == "first")
    assert_same_run(list_runs(line.workspace)[0].folder, queued)


def test_interrupted_the_queue_keeps_what_waits(line, photos):
    add(line, photos, "long", "run.epochs=10000")
    add(line, photos, "next", "run.epochs=1")
    child = line.start("queue", "run")
    run = begun(line)
    for event in follow_run(run.folder, Watcher()):
        if event.event == "EpochDone" and event.epoch == 0:
            child.kill(signal.SIGINT)
    assert child.wait() == 130
    assert outcomes(line) == {"long": "stopped", "next": "queued"}


def test_what_cannot_begin_waits_on_and_the_others_do_not_wait_for_it(line, photos):
    add(line, photos, "first", "run.epochs=1")
    add(line, photos, "second", "run.epochs=1")
    first = waiting(line.workspace)[0]
    assert line.call("runs", "extend", first.id, "2") != 0  # it has no checkpoint to go on from
    assert outcomes(line) == {"first": "queued", "second": "queued"}
    config = (first.folder / "config.json").read_text()
    (first.folder / "config.json").write_text(config.replace('"epochs"', '"ages"'))
    assert line.call("queue", "run") == 2
    assert outcomes(line) == {"first": "queued", "second": "completed"}
    (first.folder / "config.json").write_text(config)
    assert line.call("queue", "run") == 0
    assert outcomes(line) == {"first": "completed", "second": "completed"}


def test_where_no_process_can_be_started_no_run_is_left(tiny_catalog, photos, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr("tlstudio.engine.detached.subprocess.Popen", refuse)
    config = with_overrides(TrainConfig(), [f"data.path={photos}", *SETTINGS])
    with pytest.raises(OSError, match="too many"):
        start_detached(config, tiny_catalog, tmp_path / "workspace", [])
    assert list_runs(tmp_path / "workspace") == []
