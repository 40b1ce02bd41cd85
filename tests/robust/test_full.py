"""A disk that is full holds the run and loses nothing; it goes on when there is room."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import torch
from robust.terminal import terminal
from robust_runs import assert_same_weights, folder_of, resume, story
from training import run

from tlstudio import faults, safe_io
from tlstudio.api.errors import ExitCode
from tlstudio.api.events import Note
from tlstudio.engine import checkpoint, loop, patient, session
from tlstudio.engine.control import Control
from tlstudio.runs.checkpoints import list_checkpoints, newest_intact, read_meta, step_of, verify_run
from tlstudio.runs.spool import fetch, found, make_room, waiting_folder
from tlstudio.runs.standing import standing_of
from tlstudio.runs.store import list_runs

FULL = ("freezing.strategy=freezing/full", "optim.learning_rate=0.01", "run.batch_size=8", "run.epochs=3",
        "run.checkpoint_minutes=0.000001")  # fmt: skip


def without_the_hold(folder):
    """Nor the warning that there is little room."""
    told = ("Held:", "GB free")
    return [line for line in story(folder, steps=False)
            if line["event"] != "RunPaused" and not any(words in line.get("text", "") for words in told)]  # fmt: skip


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


def test_a_workspace_that_is_taken_away_is_waited_for_and_not_made_anew(tiny_catalog, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(patient, "_AGAIN", 0.0)
    settings = (f"data.path={photos}", *FULL, "run.observers=false")
    whole = folder_of(run(tiny_catalog, tmp_path, *settings))
    place, elsewhere = tmp_path / "drive", tmp_path / "elsewhere"
    reasons = []

    def plug(event):
        if event.event == "EpochDone" and event.epoch == 0:
            place.rename(elsewhere)
        if event.event == "RunPaused":
            reasons.append(event.reason)
            assert not place.exists()
            elsewhere.rename(place)

    events = run(tiny_catalog, place, *settings, on_event=plug)
    assert events[-1].event == "RunFinished", events[-1]
    assert len(reasons) == 1
    assert "is not there any more" in reasons[0]
    assert without_the_hold(folder_of(events)) == story(whole, steps=False)
    assert_same_weights(folder_of(events), whole)


@pytest.mark.parametrize("when", ["StepDone", "EpochDone", "CheckpointSaved"])
def test_the_program_ends_while_its_workspace_is_away_and_nothing_is_lost(tiny_catalog, photos, tmp_path, monkeypatch, when):
    monkeypatch.setattr(loop, "_REPORT_SECONDS", 0.0)
    settings = [f"data.path={photos}", *FULL, "run.observers=false"]
    if when != "CheckpointSaved":  # there, the checkpoint is what cannot be written; else, what the run tells
        settings.append("run.checkpoint_minutes=100")
    whole = folder_of(run(tiny_catalog, tmp_path, *settings))
    place, elsewhere = tmp_path / "drive", tmp_path / "elsewhere"
    done = []

    def unplug(event):
        done.append(getattr(event, "step", 0))
        if event.event == when and event.step > 5 and place.exists():
            place.rename(elsewhere)
        if event.event == "RunPaused":
            raise SystemExit  # nobody hears the run any more

    with pytest.raises(SystemExit):
        run(tiny_catalog, place, *settings, on_event=unplug)
    elsewhere.rename(place)
    (saved,) = list_runs(place)
    before = newest_intact(saved.folder)[0]
    standing = standing_of(saved)
    events = resume(tiny_catalog, place, saved.folder)
    (resumed,) = [event for event in events if event.event == "RunResumed"]
    assert resumed.exact
    assert resumed.step == standing.step >= max(done) > (step_of(before) if before else 0)
    assert_same_weights(whole, saved.folder)
    assert without_the_hold(saved.folder) == story(whole, steps=False)
    assert not waiting_folder(saved.folder).exists()


def put_aside(folder, step=None, **meta):
    """What would wait for a run whose checkpoint of one step later could not be written."""
    newest = list_checkpoints(folder)[-1]
    about = read_meta(newest)
    lines = (folder / "events.jsonl").read_bytes()[: about["events"]].splitlines(keepends=True)
    meta = {**about, "last": lines[-1].decode(), "untold": "", **meta}
    checkpoint.save_checkpoint(make_room(folder), step or step_of(newest) + 1, checkpoint.load_state(newest), meta)


def test_a_run_that_went_on_elsewhere_takes_no_state_of_another_story(tiny_catalog, photos, tmp_path):
    folder = folder_of(run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL))
    newest = list_checkpoints(folder)[-1]
    put_aside(folder)
    assert found(folder)
    put_aside(folder, last='{"event": "Note", "text": "told otherwise"}\n')
    assert found(folder) is None
    events = resume(tiny_catalog, tmp_path, folder, epochs=1)
    assert next(event for event in events if event.event == "RunResumed").step == step_of(newest)
    assert not waiting_folder(folder).exists()


def test_what_waits_is_taken_also_where_the_newest_checkpoint_of_the_folder_is_lost(tiny_catalog, photos, tmp_path):
    folder = folder_of(run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL))
    put_aside(folder)
    step = step_of(list_checkpoints(folder)[-1]) + 1
    shutil.rmtree(list_checkpoints(folder)[-1])
    fetch(folder)
    assert step_of(newest_intact(folder)[0]) == step
    assert not waiting_folder(folder).exists()


def test_what_waits_for_a_folder_that_is_not_there_waits_on(tiny_catalog, photos, tmp_path):
    folder = folder_of(run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL))
    put_aside(folder)
    folder.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        fetch(folder)
    assert not folder.exists()
    (tmp_path / "away").rename(folder)
    assert found(folder)


def test_a_line_that_can_be_written_again_takes_nothing_away_while_the_run_cannot_be_saved(
    tiny_catalog, photos, tmp_path, monkeypatch
):
    """The hold is told as well, and that may fail once and succeed while there is still no room for a checkpoint."""
    monkeypatch.setattr(patient, "_AGAIN", 0.0)
    real, full, waits = checkpoint.save_checkpoint, [0], []

    def save(folder, step, *given, **more):
        if folder.parent.name == "runs" and step > 4 and full[0] < 3:
            full[0] += 1
            waits.append(bool(full[0] == 1 or found(folder)))
            faults_once.append(1)
            raise OSError(errno.ENOSPC, "full")
        return real(folder, step, *given, **more)

    faults_once, append = [], safe_io.append

    def append_once(file, data):
        if faults_once == [1] and b"RunPaused" in data:
            faults_once.append(2)
            raise OSError(errno.ENOSPC, "full")
        append(file, data)

    monkeypatch.setattr(checkpoint, "save_checkpoint", save)
    monkeypatch.setattr(safe_io, "append", append_once)
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL)
    assert events[-1].event == "RunFinished"
    assert 2 in faults_once
    assert waits == [True, True, True]
    assert not waiting_folder(folder_of(events)).exists()


@pytest.mark.parametrize("event", ["Note", "EpochDone"])
def test_an_epoch_is_told_whatever_could_not_be_told_after_it(tiny_catalog, photos, tmp_path, monkeypatch, event):
    settings = [f"data.path={photos}", *FULL, "run.observers=false", "run.checkpoint_minutes=100"]
    monkeypatch.setattr(loop, "_lost", lambda *_: iter([Note(text="Some images are gone.")]))
    whole = folder_of(run(tiny_catalog, tmp_path, *settings))
    append, real_lines = safe_io.append, []

    def full(file, data):
        real_lines.append(data)
        if any(b'"EpochDone"' in line for line in real_lines) and f'"{event}"'.encode() in data:
            raise OSError(errno.ENOSPC, "full")
        append(file, data)

    def end(told):
        if told.event == "RunPaused":
            raise SystemExit

    monkeypatch.setattr(safe_io, "append", full)
    with pytest.raises(SystemExit):
        run(tiny_catalog, tmp_path / "other", *settings, on_event=end)
    monkeypatch.setattr(safe_io, "append", append)
    (saved,) = list_runs(tmp_path / "other")
    resume(tiny_catalog, tmp_path / "other", saved.folder)
    assert_same_weights(whole, saved.folder)
    done, meant = ([line for line in story(folder) if line["event"] == "EpochDone"] for folder in (saved.folder, whole))
    assert done == meant


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


@pytest.mark.parametrize(("free", "warns"), [(600 * 2**20, True), (2**40, False)])
def test_a_disk_without_room_for_the_checkpoints_is_told_before_the_first_epoch(
    tiny_catalog, photos, tmp_path, monkeypatch, free, warns
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FULL, "run.epochs=2")
    before = itertools.takewhile(lambda event: event.event != "EpochStarted", events)
    told = [event.text for event in before if event.event == "Note" and "0.6 GB free" in event.text]
    assert len(told) == warns
    again = resume(tiny_catalog, tmp_path, folder_of(events), epochs=1)
    assert not [event for event in again if event.event == "Note" and "GB free" in event.text]


@pytest.mark.parametrize("settings", [FULL, (*FULL, "optim.ema_decay=0.9"), ("freezing.strategy=freezing/head-only",)])
def test_what_a_checkpoint_takes_is_known_before(tiny_catalog, photos, tmp_path, monkeypatch, settings):
    sizes = []
    real = session.most_bytes
    monkeypatch.setattr(session, "most_bytes", lambda *given: sizes.append(real(*given)) or sizes[0])
    folder = folder_of(run(tiny_catalog, tmp_path, f"data.path={photos}", *settings, "run.epochs=2"))
    largest = max(tensor_bytes(torch.load(saved / "state.pt", weights_only=True)) for saved in list_checkpoints(folder))
    assert 0.7 * sizes[0] < largest <= 1.02 * sizes[0]


def tensor_bytes(state):
    if isinstance(state, torch.Tensor):
        return state.nbytes
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return sum(map(tensor_bytes, inside))


def test_the_terminal_ends_with_28_where_it_shall(photos, tmp_path):
    settings = ("model.backbone=test/tiny", "model.weights=none", *FULL)
    with terminal(tmp_path / "workspace") as line:
        assert line.call("train", photos, *settings, "--on-full", "exit", fault="write:ENOSPC@30") == 28
        (info,) = list_runs(line.workspace)
        assert info.status == "failed"
        assert line.call("runs", "resume", info.folder) == 0
