"""Reading along in the events of another process, and telling it what to do."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import platform
import queue as queues
import threading

import pytest

from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import Note, RunFailed, RunResumed, StepDone
from tlstudio.engine.control import Control, Watcher
from tlstudio.engine.follow import follow_run
from tlstudio.runs import queue, wishes
from tlstudio.runs.lock import hold
from tlstudio.runs.store import create_run, read_run
from tlstudio.runs.tail import Tail


@pytest.fixture
def folder(tmp_path):
    return create_run(tmp_path, TrainConfig(), {})[1]


def step(number, time):
    return StepDone(epoch=0, step=number, steps=100, loss=1.0, lr=0.1, images_per_s=1.0, time=time)


def lines(*events):
    return b"".join(event.model_dump_json().encode() + b"\n" for event in events)


def append(folder, data):
    with (folder / "events.jsonl").open("ab") as file:
        file.write(data)


def test_what_is_appended_comes_once_and_whole(folder):
    tail = Tail(folder)
    assert tail.read() == []
    whole = lines(step(1, 1.0), step(2, 2.0))
    append(folder, whole[:-10])
    assert [event.step for event in tail.read()] == [1]
    append(folder, whole[-10:])
    assert [event.step for event in tail.read()] == [2]
    assert tail.read() == []


def test_of_a_run_that_went_on_from_a_checkpoint_only_what_is_new_comes(folder):
    tail = Tail(folder)
    append(folder, lines(step(1, 1.0), step(2, 2.0), step(3, 3.0)))
    assert len(tail.read()) == 3
    shorter = folder / "shorter"
    shorter.write_bytes(lines(step(1, 1.0), RunResumed(epoch=0, step=1, exact=True, time=4.0), step(2, 5.0)))
    os.replace(shorter, folder / "events.jsonl")
    assert [event.event for event in tail.read()] == ["RunResumed", "StepDone"]
    append(folder, lines(step(3, 6.0)))
    assert [event.step for event in tail.read()] == [3]


def test_a_long_run_is_thinned_out_at_the_first_look_alone(folder):
    append(folder, lines(Note(text="first"), *(step(number, float(number)) for number in range(1, 1001)), Note(text="last")))
    tail = Tail(folder, steps=10)
    events = tail.read()
    assert [event.text for event in events if event.event == "Note"] == ["first", "last"]
    assert [event.step for event in events if event.event == "StepDone"] == list(range(100, 1001, 100))
    append(folder, lines(*(step(number, float(number)) for number in range(1001, 1021))))
    assert len(tail.read()) == 20


def test_a_wish_reaches_the_process_that_works_on_the_run(folder, monkeypatch):
    monkeypatch.setattr(wishes, "_LOOK_SECONDS", 0.01)
    heard = queues.Queue()
    with hold(folder), wishes.listen(folder, heard.put):
        for wish in ("pause", "continue", "stop"):
            wishes.send(read_run(folder), wish)
            assert heard.get(timeout=20) == wish
    assert not wishes.is_unheard(folder)


def test_wishes_that_come_quickly_are_all_heard_in_their_order(folder):
    heard = []
    with hold(folder):
        for wish in ("pause", "continue", "stop", "pause"):
            wishes.send(read_run(folder), wish)
        for wish in wishes.take(folder):
            heard.append(wish)
            if wish == "stop":
                wishes.send(read_run(folder), "cancel")  # while one is taken
        assert heard == ["pause", "continue", "stop", "pause"]
        assert list(wishes.take(folder)) == ["cancel"]
        assert not wishes.is_unheard(folder)


def test_a_run_that_had_ended_and_goes_on_hears_wishes(folder):
    append(folder, lines(RunFailed(error="Too bad.")))
    with hold(folder):
        assert read_run(folder).status == "failed"  # it has not said yet that it goes on
        wishes.send(read_run(folder), "stop")
        assert list(wishes.take(folder)) == ["stop"]


def test_what_was_wished_just_before_leaving_is_passed_on(folder):
    append(folder, lines(step(1, 1.0)))
    control = Watcher()
    with hold(folder):
        for _ in follow_run(folder, control):
            control.stop()
            control.leave()
        assert list(wishes.take(folder)) == ["stop"]


def test_a_wish_for_a_run_that_waits_is_heard_when_it_begins(tmp_path, monkeypatch):
    folder = queue.enqueue(tmp_path, TrainConfig(), {})[1]
    control, looks = Watcher(), iter(range(100))
    control.stop()

    def look(_seconds):
        if next(looks) == 1:  # it had no one to tell so far
            queue.begin(folder)
            working.enter_context(hold(folder))
        if wishes.is_unheard(folder):
            control.leave()

    monkeypatch.setattr("tlstudio.engine.follow.time.sleep", look)
    with contextlib.ExitStack() as working:
        assert list(follow_run(folder, control)) == []
        assert list(wishes.take(folder)) == ["stop"]


def test_a_folder_that_cannot_be_reached_is_said_once(folder, monkeypatch, caplog):
    monkeypatch.setattr(wishes, "_LOOK_SECONDS", 0.0)
    looks, enough = itertools.count(), threading.Event()

    def gone(_folder):
        if next(looks) > 20:
            enough.set()
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(wishes, "take", gone)
    with hold(folder), wishes.listen(folder, print):
        assert enough.wait(20)
    assert caplog.text.count("cannot be read") == 1


def test_a_wish_to_hold_does_not_hold_up_an_end():
    control = Control()
    control.stop()
    control.pause()
    assert control.checkpoint() == "stop"


def test_a_wish_for_a_process_that_died_is_not_obeyed(folder):
    with hold(folder):
        here = {"pid": os.getpid(), "host": platform.node()}
        odd = (
            json.dumps({"wish": "cancel", **here, "pid": os.getpid() + 1}), json.dumps({"wish": "cancel", **here, "host": "x"}),
            "", "[]", '{"wish": "dance"}', json.dumps({"wish": "dance", **here}),
        )  # fmt: skip
        for number, text in enumerate(odd):
            (folder / f"wish-{number}-00.json").write_text(text)
        assert list(wishes.take(folder)) == []
        assert not wishes.is_unheard(folder)


def test_a_run_that_nobody_trains_cannot_be_steered(folder):
    with hold(folder):
        pass
    with pytest.raises(UserError, match="is not running: it is interrupted"):
        wishes.send(read_run(folder), "stop")
