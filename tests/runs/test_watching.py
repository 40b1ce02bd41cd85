"""Reading along in the events of another process, and telling it what to do."""

from __future__ import annotations

import json
import os
import platform
import queue as queues

import pytest

from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import Note, RunResumed, StepDone
from tlstudio.runs import wishes
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


def test_a_wish_for_a_process_that_died_is_not_obeyed(folder):
    with hold(folder):
        for pid, host in ((os.getpid() + 1, platform.node()), (os.getpid(), "elsewhere")):
            (folder / "wish.json").write_text(json.dumps({"wish": "cancel", "pid": pid, "host": host}))
            assert wishes.take(folder) is None
        for text in ("", "[]", '{"wish": "dance"}', json.dumps({"wish": "dance", "pid": os.getpid(), "host": platform.node()})):
            (folder / "wish.json").write_text(text)
            assert wishes.take(folder) is None
            assert not wishes.is_unheard(folder)


def test_a_run_that_nobody_trains_cannot_be_steered(folder):
    with hold(folder):
        pass
    with pytest.raises(UserError, match="is not running: it is interrupted"):
        wishes.send(read_run(folder), "stop")
