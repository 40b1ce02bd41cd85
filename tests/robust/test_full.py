"""A disk that is full holds the run and loses nothing; it goes on when there is room."""

from __future__ import annotations

import os
import subprocess

import pytest
from robust.terminal import terminal
from robust_runs import assert_same_weights, folder_of, story
from training import run

from tlstudio import faults
from tlstudio.api.errors import ExitCode
from tlstudio.engine import patient
from tlstudio.engine.control import Control
from tlstudio.runs.checkpoints import newest_intact, verify_run
from tlstudio.runs.store import list_runs

FULL = ("freezing.strategy=freezing/full", "optim.learning_rate=0.01", "run.batch_size=8", "run.epochs=3",
        "run.checkpoint_minutes=0.000001")  # fmt: skip


def without_the_hold(folder):
    return [line for line in story(folder, steps=False) if line["event"] != "RunPaused" and "Held:" not in line.get("text", "")]


@pytest.mark.parametrize("fault", ["write:ENOSPC@30", "write:EIO@200", "append:ENOSPC@4", "rename:EROFS@20", "mkdir:EACCES@4"])
def test_what_cannot_be_written_is_tried_again_and_nothing_is_lost(tiny_catalog, photos, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(patient, "_AGAIN", 0.0)
    settings = (f"data.path={photos}", *FULL)
    whole = folder_of(run(tiny_catalog, tmp_path, *settings))
    with faults.injected(fault) as switch:
        events = run(tiny_catalog, tmp_path, *settings)
    assert switch.seen > int(fault.partition("@")[2])
    assert events[-1].event == "RunFinished", events[-1]
    paused = [event for event in events if event.event == "RunPaused"]
    assert len(paused) == 1
    assert paused[0].hint
    folder = folder_of(events)
    assert verify_run(folder)[1] == []
    assert without_the_hold(folder) == story(whole, steps=False)
    assert_same_weights(folder, whole)


def test_the_user_says_go_on_or_stop(tiny_catalog, photos, tmp_path):
    """Nobody waits for half a minute."""
    control = Control()

    def say(event):
        if event.event == "RunPaused":
            control.stop()

    with faults.injected("write:ENOSPC@30"):
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL, control=control, on_event=say)
    assert events[-1].outcome == "stopped"


def test_a_script_may_want_an_end_instead(tiny_catalog, photos, tmp_path):
    with faults.injected("write:ENOSPC@30"):
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL, control=Control(waits_for_room=False))
    assert events[-1].event == "RunFailed"
    assert events[-1].exit_code == ExitCode.DISK_FULL
    assert not newest_intact(folder_of(events))[1]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_small_disk_runs_full_and_is_freed(tiny_catalog, photos, tmp_path, monkeypatch):
    disk, filler = tmp_path / "disk", tmp_path / "disk" / "filler"
    disk.mkdir()
    settings = (f"data.path={photos}", *FULL, "run.observers=false")  # those that write to the disk would fail, and say so
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        whole = folder_of(run(tiny_catalog, tmp_path, *settings))
        monkeypatch.setattr(patient, "_AGAIN", 0.0)
        held = []

        def fill_and_free(event):
            if event.event == "CheckpointSaved" and event.step == 4:
                with pytest.raises(OSError), filler.open("wb", buffering=0) as file:  # noqa: PT012
                    while True:
                        file.write(bytes(1024))
            if event.event == "RunPaused":
                held.append(event)
                filler.unlink(missing_ok=True)

        events = run(tiny_catalog, disk, *settings, on_event=fill_and_free)
        assert held
        assert "disk is full" in held[0].reason
        assert events[-1].event == "RunFinished", events[-1]
        assert without_the_hold(folder_of(events)) == story(whole, steps=False)
        assert verify_run(folder_of(events))[1] == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_the_terminal_ends_with_28_where_it_shall(photos, tmp_path):
    settings = ("model.backbone=test/tiny", "model.weights=none", *FULL)
    with terminal(tmp_path / "workspace") as line:
        assert line.call("train", photos, *settings, "--on-full", "exit", fault="write:ENOSPC@30") == 28
        (info,) = list_runs(line.workspace)
        assert info.status == "failed"
        assert line.call("runs", "resume", info.folder) == 0
