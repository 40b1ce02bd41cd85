"""A list of runs reads no events twice, and never tells what was true before."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import subprocess
import sys
import time

import pytest

from tlstudio import faults, safe_io
from tlstudio.api.config import parse_config
from tlstudio.api.errors import UserError
from tlstudio.api.events import EpochDone, RunFinished, StepDone
from tlstudio.runs import lock, store
from tlstudio.runs.lock import HOLDER_FILE, hold, hold_queue, name_holder, queue_holder
from tlstudio.runs.notes import NOTES_FILE, RunNotes, read_notes, write_notes
from tlstudio.runs.recorder import Story, record
from tlstudio.runs.replay import EVENTS_FILE, read_events
from tlstudio.runs.store import create_run, delete_run, find_run, list_runs, read_run, restore_run


@pytest.fixture
def workspace(tlstudio_home):
    return tlstudio_home / "workspace"


def epoch(number, accuracy=0.5):
    return EpochDone(epoch=number, step=number, train={}, val={"accuracy": accuracy}, seconds=1.0, best=True)


def make_run(workspace, *, ended=True):
    _, folder = create_run(workspace, parse_config({}), {})
    events = [StepDone(epoch=0, step=1, steps=1, loss=1.0, lr=0.1, images_per_s=1.0), epoch(0)]
    if ended:
        events.append(
            RunFinished(outcome="completed", metrics={"val_accuracy": 0.5}, best_epoch=0, epochs=1, seconds=1, model="")
        )
    add(folder, *events)
    return folder


def add(folder, *events):
    for _ in record(events, folder):
        pass
    old = time.time() - 1000
    os.utime(folder / "run.json", (old, old))  # its process is gone


@pytest.fixture
def reads(monkeypatch):
    """Folders whose events were read."""
    found, real = [], store.read_events
    monkeypatch.setattr(store, "read_events", lambda folder, **more: found.append(folder) or real(folder, **more))
    return found


def test_events_are_read_once(workspace, reads):
    folders = {make_run(workspace), make_run(workspace, ended=False)}
    first = list_runs(workspace)
    assert set(reads) == folders
    reads.clear()
    assert list_runs(workspace) == first
    assert reads == []
    assert {run.status for run in first} == {"completed", "interrupted"}


def test_what_went_on_is_read_again(workspace, reads):
    folder = make_run(workspace, ended=False)
    list_runs(workspace)
    add(folder, epoch(1, 0.75))
    (run,) = list_runs(workspace)
    assert (run.epochs_done, run.metrics["val_accuracy"]) == (2, 0.75)
    with hold(folder):
        assert list_runs(workspace)[0].status == "running"
        assert read_run(folder).status == "running"


@pytest.mark.parametrize("fault", ["fsync:EIO@1", "append:ENOSPC@1"])
def test_an_event_that_could_not_be_written_at_once_is_there_once(workspace, fault):
    folder = make_run(workspace, ended=False)
    before = list(read_events(folder))

    def patiently(action):
        try:
            action()
        except OSError:
            action()
        return ()

    with faults.injected(fault) as switch:
        list(record([epoch(1)], folder, patiently=patiently))
    assert switch.seen > 1
    assert [event.event for event in list(read_events(folder))[len(before) :]] == ["EpochDone"]


def test_events_are_written_where_the_file_is_when_its_drive_is_back(workspace, monkeypatch):
    """What was open before the drive went is of no use any more."""
    folder, real = make_run(workspace, ended=False), safe_io.append
    before = len(list(read_events(folder)))
    events, tries = [epoch(1), epoch(2)], []

    def append(file, data):
        if len(tries) == 1:
            copy = folder / "copy"
            copy.write_bytes((folder / EVENTS_FILE).read_bytes())
            os.replace(copy, folder / EVENTS_FILE)
        tries.append(file)
        if len(tries) == 2:
            raise OSError(errno.ESTALE, "stale")
        real(file, data)

    def patiently(action):
        with contextlib.suppress(OSError):
            action()
            return ()
        action()
        return ()

    monkeypatch.setattr(safe_io, "append", append)
    assert list(record(events, folder, patiently=patiently)) == events
    assert list(read_events(folder))[before:] == events


def test_a_spoilt_cache_costs_time_alone(workspace, tlstudio_home):
    make_run(workspace)
    first = list_runs(workspace)
    (kept,) = (tlstudio_home / "cache" / "runs").iterdir()
    for spoilt in (b"", b"[]", kept.read_bytes().replace(b'"status"', b'"stature"')):
        kept.write_bytes(spoilt)
        assert list_runs(workspace) == first


def test_notes_are_never_taken_from_the_cache(workspace):
    folder = make_run(workspace)
    list_runs(workspace)
    write_notes(folder, RunNotes(text="ours", tags=("a", " A ", "b, c")))
    (run,) = list_runs(workspace)
    assert (run.notes, run.tags) == ("ours", ("a", "b", "c"))
    (folder / NOTES_FILE).write_text('{"notes": ')
    assert read_notes(folder) == RunNotes()


def test_a_deleted_run_comes_back_with_its_notes(workspace):
    folder = make_run(workspace)
    write_notes(folder, RunNotes(text="mine"))
    (run,) = list_runs(workspace)
    trashed = delete_run(workspace, run)
    assert list_runs(workspace) == []
    assert restore_run(workspace, trashed) == folder
    assert list_runs(workspace)[0].notes == "mine"
    with pytest.raises(UserError, match="no longer in the trash"):
        restore_run(workspace, trashed)


def test_a_run_that_is_going_again_is_not_deleted_though_it_had_ended(workspace):
    folder = make_run(workspace)
    (run,) = list_runs(workspace)
    with hold(folder):
        assert read_run(folder).status == "completed"
        with pytest.raises(UserError, match="still going"):
            delete_run(workspace, run)
        (folder / HOLDER_FILE).unlink()  # nobody says who it is
        with pytest.raises(UserError, match="Another program"):
            delete_run(workspace, run)
    delete_run(workspace, run)
    with pytest.raises(UserError, match="is no run"):
        delete_run(workspace, run)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process can be told from a later one of its number")
def test_the_number_of_a_process_that_died_may_be_another_s_by_now(workspace):
    folder = make_run(workspace, ended=False)
    with hold(folder):
        kept = (folder / HOLDER_FILE).read_text()
        assert read_run(folder).status == "running"
    (folder / HOLDER_FILE).write_text(re.sub(r'"born": ".', '"born": "?', kept))
    assert read_run(folder).status == "interrupted"


@pytest.mark.skipif(sys.platform != "linux", reason="as above")
def test_a_process_that_has_ended_works_on_nothing_though_nobody_has_noticed(workspace):
    folder = make_run(workspace, ended=False)
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    (folder / HOLDER_FILE).write_text(json.dumps({"pid": child.pid, "host": platform.node()}))
    assert read_run(folder).status == "interrupted"
    child.wait()


def test_who_lost_the_lock_with_the_drive_still_holds_the_run(workspace):
    """The kernel forgets the lock where the drive went and came back; the name of who works is still there."""
    folder = make_run(workspace, ended=False)
    name_holder(folder, os.getppid())
    with pytest.raises(UserError, match=f"process {os.getppid()}"), hold(folder):
        pass
    assert read_run(folder).status == "running"


def test_a_name_that_this_process_could_not_take_back_does_not_count(workspace):
    folder = make_run(workspace, ended=False)
    with hold(folder):
        kept = (folder / HOLDER_FILE).read_text()
    (folder / HOLDER_FILE).write_text(kept)
    assert read_run(folder).status == "interrupted"
    assert not (folder / HOLDER_FILE).exists()  # other processes would believe it


def test_a_run_that_is_held_by_another_path_is_held(workspace, tmp_path):
    folder = make_run(workspace, ended=False)
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    with hold(tmp_path / "link"):
        assert read_run(folder).status == "running"


def test_a_run_is_found_by_what_its_folder_is_called_and_no_other_is_read(workspace, reads):
    folders = [make_run(workspace) for _ in range(3)]
    ids = [read_run(folder).id for folder in folders]
    reads.clear()
    for text in (ids[0], ids[0][:7], folders[0].name, str(folders[0])):
        assert find_run(workspace, text).id == ids[0]
    assert set(reads) == {folders[0]}
    renamed = folders[1].rename(folders[1].with_name("best one"))
    assert find_run(workspace, ids[1]).folder == renamed
    assert find_run(workspace, "best").id == ids[1]
    assert find_run(workspace, "") is find_run(workspace, "~nobody/there") is None
    with pytest.raises(UserError, match="is the beginning of 2 runs"):
        find_run(workspace, folders[0].name[:10])


def test_where_numbers_of_processes_tell_nothing_the_lock_does(workspace, monkeypatch):
    """As on Windows, where a run that was killed shall not seem to go on for ever."""
    monkeypatch.setattr(lock, "_born", lambda _pid: "")
    monkeypatch.setattr(safe_io, "is_alive", lambda _pid: True)
    folder = make_run(workspace, ended=False)
    with hold(folder):
        kept = (folder / HOLDER_FILE).read_text()
        assert read_run(folder).status == "running"
        with pytest.raises(UserError, match="Another program"), hold(folder):
            pass
    (folder / HOLDER_FILE).write_text(kept)  # it was killed
    assert read_run(folder).status == "interrupted"
    with hold(folder):
        pass
    name_holder(folder, 1)
    assert read_run(folder).status == "interrupted"  # its heart has not beaten for long
    store.heartbeat(folder)
    assert read_run(folder).status == "running"  # about to begin
    with hold_queue(workspace):
        kept = (workspace / "queue.holder.json").read_text()
        assert queue_holder(workspace)
    (workspace / "queue.holder.json").write_text(kept)
    assert queue_holder(workspace) == ""


def test_how_far_a_story_is_on_the_disk_is_what_the_disk_has(workspace):
    """A drive that went and came back may have lost lines that were not on it yet."""
    folder = make_run(workspace, ended=False)
    file = folder / EVENTS_FILE
    story = Story(folder)
    story.append(b'{"n": 1}\n')
    story.sync()
    kept = file.stat().st_size
    assert story.told() == (kept, b'{"n": 1}\n', b"")
    story.append(b'{"n": 2}\n')
    assert story.told() == (kept, b'{"n": 1}\n', b'{"n": 2}\n')
    os.truncate(file, kept)
    story.append(b'{"n": 3}\n')
    story.sync()
    assert story.told() == (file.stat().st_size, b'{"n": 3}\n', b"")
    story.close()
