"""What a run needs in order to go on: an intact checkpoint, the same images, and nobody else at work on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading

import pytest
import torch
from conftest import make_photos
from robust_runs import assert_same_run, assert_same_weights, folder_of, newest, resume, story
from training import run

from tlstudio.api.config import DataConfig
from tlstudio.api.errors import ExitCode, UserError
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude
from tlstudio.engine import loop
from tlstudio.engine.control import Control
from tlstudio.runs.checkpoints import list_checkpoints, verify_run
from tlstudio.runs.lock import hold, is_held
from tlstudio.runs.store import delete_run, list_runs, read_run

FULL = ("freezing.strategy=freezing/full", "optim.learning_rate=0.01", "run.batch_size=8")
OFTEN = "run.checkpoint_minutes=0.000001"


@pytest.fixture
def stopped(tiny_catalog, photos, tmp_path):
    """The folder of a run of three epochs that was stopped in the second, with a checkpoint of every step; and a whole one."""
    settings = (f"data.path={photos}", "run.epochs=3", *FULL, OFTEN)
    whole = run(tiny_catalog, tmp_path, *settings)
    events = stopped_after(7, tiny_catalog, tmp_path, *settings)
    assert events[-1].outcome == "stopped"
    return folder_of(events), folder_of(whole)


def stopped_after(step, catalog, workspace, *settings):
    """The events of a run that the user stops when it has been saved after this step."""
    control = Control()

    def stop(event):
        if event.event == "CheckpointSaved" and event.step == step:
            control.stop()

    return run(catalog, workspace, *settings, control=control, on_event=stop)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def only(events, kind):
    return next(event for event in events if event.event == kind)


def test_a_checkpoint_loads_without_pickle(stopped):
    for folder in list_checkpoints(stopped[0]):
        torch.load(folder / "state.pt", weights_only=True)


def test_a_damaged_checkpoint_is_passed_over_and_that_is_told(stopped, tiny_catalog, tmp_path):
    folder, whole = stopped
    flip(list_checkpoints(folder)[-1] / "state.pt")
    intact, damaged = verify_run(folder)
    assert damaged == ["ckpt/step-000000007"]
    assert "ckpt/step-000000006" in intact
    events = resume(tiny_catalog, tmp_path, folder)
    assert only(events, "RunResumed").step == 6
    assert any("step-000000007" in event.text for event in events if event.event == "Note")
    lines = (folder / "events.jsonl").read_text().splitlines()
    kept = [line for line in lines if "Damaged checkpoints" not in line]
    (folder / "events.jsonl").write_text("\n".join(kept) + "\n")
    assert_same_run(whole, folder)
    assert verify_run(folder)[1] == []


def test_without_an_intact_checkpoint_it_begins_anew_in_the_same_folder(stopped, tiny_catalog, tmp_path):
    folder, whole = stopped
    for damaged in list_checkpoints(folder):
        flip(damaged / "state.pt")
    events = resume(tiny_catalog, tmp_path, folder)
    assert (only(events, "RunResumed").step, only(events, "RunResumed").exact) == (0, True)
    assert events[-1].outcome == "completed"
    told = [event for event in story(folder) if "Damaged checkpoints" not in event.get("text", "")]
    assert [event for event in told if event["event"] != "StepDone"] == story(whole, steps=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda photos: (photos / "circles" / "000.png").unlink(), "1 images are gone: circles/000.png"),
        (lambda photos: shutil.copy(photos / "circles/000.png", photos / "circles/x.png"), "1 images are new: circles/x.png"),
        (lambda photos: shutil.move(photos / "circles/000.png", photos / "stripes/900.png"), "are gone"),
        (lambda photos: (photos / "circles" / "000.png").write_bytes(b"?" * 9), "1 images are changed: circles/000.png"),
    ],
)
def test_other_images_are_refused_by_name_and_the_run_stays_as_it_was(stopped, photos, tiny_catalog, tmp_path, change, words):
    folder = stopped[0]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "train.lock"}
    change(photos)
    end = resume(tiny_catalog, tmp_path, folder)[-1]
    assert end.event == "RunFailed"
    assert "have changed" in end.error
    assert words in end.detail
    assert f"runs again {read_run(folder).id}" in end.hint
    assert {path: path.read_bytes() for path in before} == before


def test_what_the_user_edits_later_does_not_concern_a_run_that_has_begun(stopped, photos, tiny_catalog, tmp_path):
    data = DataConfig(path=str(photos))
    curation = Curation(tiny_catalog.open_images(data), data, tmp_path)
    curation.add(Exclude(keys=curation.original.keys[:5]))
    folder, whole = stopped
    assert resume(tiny_catalog, tmp_path, folder)[-1].outcome == "completed"
    assert_same_run(whole, folder)


def test_a_run_that_has_lost_its_story_goes_on_from_its_checkpoint_all_the_same(stopped, tiny_catalog, tmp_path):
    folder, whole = stopped
    (folder / "events.jsonl").unlink()
    events = resume(tiny_catalog, tmp_path, folder)
    assert only(events, "RunResumed").step == 7
    assert_same_weights(whole, folder)


def test_a_finished_run_is_only_extended_and_says_what_that_means(stopped, tiny_catalog, tmp_path):
    whole = stopped[1]
    refused = resume(tiny_catalog, tmp_path, whole)[-1]
    assert "is finished" in refused.error
    assert read_run(whole).status == "completed"
    events = resume(tiny_catalog, tmp_path, whole, epochs=2)
    resumed = only(events, "RunResumed")
    assert (resumed.epoch, resumed.epochs, resumed.exact) == (3, 5, False)
    assert any("2 epochs more, 5 in all" in event.text for event in events if event.event == "Note")
    assert [event.epoch for event in events if event.event == "EpochDone"] == [3, 4]
    info = read_run(whole)
    assert (info.status, info.epochs_done, info.config["run"]["epochs"]) == ("completed", 5, 5)
    assert verify_run(whole)[1] == []


def test_a_killed_run_that_only_missed_its_end_gets_it(stopped, tiny_catalog, tmp_path):
    whole = stopped[1]
    before = story(whole)
    lines = (whole / "events.jsonl").read_text().splitlines(keepends=True)
    (whole / "events.jsonl").write_text("".join(lines[:-1]))
    (whole / "model.safetensors").unlink()
    assert read_run(whole).status == "interrupted"
    assert resume(tiny_catalog, tmp_path, whole)[-1].outcome == "completed"
    assert story(whole) == before
    assert verify_run(whole)[1] == []


def test_two_cannot_work_on_one_run(stopped, tiny_catalog, tmp_path):
    folder = stopped[0]
    script = "import sys; from pathlib import Path; from tlstudio.runs.lock import hold\n"
    script += "with hold(Path(sys.argv[1])): print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"1\n"
        end = resume(tiny_catalog, tmp_path, folder)[-1]
        assert f"process {other.pid} on " in end.error
        other.kill()
    assert resume(tiny_catalog, tmp_path, folder)[-1].outcome == "completed"
    with hold(folder), pytest.raises(UserError, match=str(os.getpid())), hold(folder):
        pass


def test_a_held_run_is_saved_once(tiny_catalog, photos, tmp_path, monkeypatch):
    control, saved = Control(), []
    real = loop.take_step

    def then_pause(*arguments, **named):
        real(*arguments, **named)
        if len(saved) == 0:
            control.pause()
            threading.Timer(0.2, control.resume).start()
            saved.append(None)

    monkeypatch.setattr(loop, "take_step", then_pause)
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", *FULL, control=control)
    assert [event.step for event in events if event.event == "CheckpointSaved"] == [1, 10]


def test_what_is_no_number_is_never_saved(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "freezing.strategy=freezing/full", "optim.optimizer=sgd", "optim.learning_rate=10")
    settings += (
        OFTEN,
        "optim.schedule=constant",
        "freezing.options.stage_factor=10",
        "run.batch_size=1",
        "optim.weight_decay=1",
    )
    events = run(tiny_catalog, tmp_path, *settings, "run.epochs=60")
    assert events[-1].exit_code == ExitCode.DIVERGED
    folder = folder_of(events)
    assert list_checkpoints(folder)
    for saved in list_checkpoints(folder):
        state = torch.load(saved / "state.pt", weights_only=True)
        assert all(torch.isfinite(value).all() for value in state["model"].values() if value.is_floating_point())


def test_another_version_is_told_and_goes_on(stopped, tiny_catalog, tmp_path, monkeypatch):
    monkeypatch.setattr("tlstudio.engine.run.versions", lambda: {"tlstudio": "9", "python": "3", "torch": "99"})
    events = resume(tiny_catalog, tmp_path, stopped[0])
    resumed = only(events, "RunResumed")
    assert not resumed.exact
    assert "torch was" in resumed.why
    assert events[-1].outcome == "completed"


def test_the_weights_and_their_pull_are_those_of_the_beginning(tiny_catalog, photos, tmp_path):
    """L2-SP from the result of another run, whose folder is gone when this one goes on."""
    first = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", *FULL)
    settings = (f"data.path={photos}", "run.epochs=2", "freezing.strategy=freezing/l2-sp", "run.batch_size=8", OFTEN,
                f"model.weights={first[0].run}")  # fmt: skip
    whole = run(tiny_catalog, tmp_path, *settings)
    broken = stopped_after(3, tiny_catalog, tmp_path, *settings)
    shutil.rmtree(folder_of(first))
    events = resume(tiny_catalog, tmp_path, folder_of(broken))
    assert only(events, "Prepared").weights == f"run {first[0].run}"
    assert_same_run(folder_of(whole), folder_of(broken))


def test_frozen_tensors_are_kept_once(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1")
    state, _ = newest(folder_of(events))
    assert "conv1.weight" in state["best"]["weights"]["same"]


def test_the_folder_of_a_run_that_is_none(tiny_catalog, tmp_path):
    end = resume(tiny_catalog, tmp_path, make_photos(tmp_path / "x", {"a": 1}))[-1]
    assert end.event == "RunFailed"
    assert "is no run" in end.error


FROM_THE_DRIVE = ("run.epochs=3", "run.cache=off", "run.cache_gigabytes=0", *FULL, OFTEN)


@pytest.fixture
def away(photos, tmp_path, monkeypatch):
    """``away(True)`` unplugs the drive with the photos, ``away(False)`` plugs it in; what was read is not kept."""
    monkeypatch.setattr("tlstudio.engine.loader._MEMORY_BUDGET", 0)
    there, elsewhere = photos, tmp_path / "away"

    def plug(out):
        if out and there.exists():
            there.rename(elsewhere)
        elif not out and elsewhere.exists():
            elsewhere.rename(there)

    return plug


def unplugs(away, event):
    if event.event == "EpochDone" and event.epoch == 0:
        away(True)


@pytest.mark.parametrize("waits", [True, False])
def test_a_drive_that_goes_is_waited_for_and_nothing_of_the_gap_is_kept(tiny_catalog, photos, tmp_path, away, waits):
    """The run goes on exactly, by itself or when it is resumed, as if all images had been there all the time."""
    settings = (f"data.path={photos}", *FROM_THE_DRIVE)
    whole = run(tiny_catalog, tmp_path, *settings)

    def plug(event):
        unplugs(away, event)
        if event.event == "RunPaused" and waits:
            away(False)

    events = run(tiny_catalog, tmp_path, *settings, control=Control(waits_for_room=waits), on_event=plug)
    folder = folder_of(events)
    if waits:
        assert "can no longer be read" in only(events, "RunPaused").reason
    else:
        assert events[-1].exit_code == ExitCode.RETRY
        assert "does not exist" in resume(tiny_catalog, tmp_path, folder)[-1].error
        away(False)
        events = resume(tiny_catalog, tmp_path, folder)
    assert only(events, "RunResumed").exact
    assert events[-1].event == "RunFinished", events[-1]
    assert_same_run(folder_of(whole), folder)


@pytest.mark.parametrize(("end", "status"), [("back", "completed"), ("stop", "failed"), ("changed", "failed")])
def test_while_its_drive_is_gone_a_run_stays_in_its_hands_and_has_not_failed(tiny_catalog, photos, tmp_path, away, end, status):
    control, seen = Control(), []

    def plug(event):
        unplugs(away, event)
        if event.event != "RunPaused":
            return
        (info,) = list_runs(tmp_path)
        seen.append((info.status, is_held(info.folder)))
        with pytest.raises(UserError, match="still going"):
            delete_run(tmp_path, info)
        if end == "stop":
            control.stop()
            return
        away(False)
        if end == "changed":
            (photos / "circles" / "000.png").unlink()

    events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FROM_THE_DRIVE, control=control, on_event=plug)
    assert seen == [("running", True)]
    folder = folder_of(events)
    assert [event.event for event in events].count("RunStarted") == 1
    assert (is_held(folder), control.paused, read_run(folder).status) == (False, False, status)
    assert [line["event"] for line in story(folder)].count("RunFailed") == (status == "failed")


def test_a_drive_that_goes_again_before_the_run_has_gone_on_is_waited_for_again(
    tiny_catalog, photos, tmp_path, away, monkeypatch
):
    looks = []

    def look(*_):
        looks.append(photos.exists())
        away(len(looks) == 1)  # the first time it was there for a moment
        return True

    monkeypatch.setattr("tlstudio.engine.attempts.until_back", look)
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", *FROM_THE_DRIVE, on_event=lambda event: unplugs(away, event))
    assert looks == [False, False]
    assert events[-1].event == "RunFinished", events[-1]
    assert [event.event for event in events].count("RunPaused") == 2
