"""Runs that wait: they survive anything, keep their order, and can be taken out."""

from __future__ import annotations

import pytest

from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.runs import queue
from tlstudio.runs.lock import hold, hold_queue, queue_holder
from tlstudio.runs.store import delete_run, list_runs, read_run, restore_run


def add(workspace, name):
    config = TrainConfig.model_validate({"data": {"path": "/photos"}, "run": {"name": name}})
    return queue.enqueue(workspace, config, {})[1]


def names(workspace):
    return [run.name for run in queue.waiting(workspace)]


def test_what_waits_is_a_run_like_others_in_the_order_in_which_it_came(tmp_path):
    for name in "abc":
        add(tmp_path, name)
    assert names(tmp_path) == ["a", "b", "c"]
    assert {run.status for run in list_runs(tmp_path)} == {"queued"}


@pytest.mark.parametrize(("name", "position", "order"), [("c", 1, "cab"), ("a", 2, "bac"), ("a", 99, "bca"), ("b", 2, "abc")])
def test_a_waiting_run_is_moved(tmp_path, name, position, order):
    folders = {name: add(tmp_path, name) for name in "abc"}
    queue.move(tmp_path, read_run(folders[name]), position)
    assert names(tmp_path) == list(order)
    assert names(tmp_path) == list(order)


def test_a_run_that_has_begun_leaves_the_queue_and_cannot_be_moved_or_taken_out(tmp_path):
    first = add(tmp_path, "a")
    add(tmp_path, "b")
    queue.begin(first)
    queue.begin(first)
    assert names(tmp_path) == ["b"]
    for refused in (lambda: queue.move(tmp_path, read_run(first), 1), lambda: queue.cancel(tmp_path, read_run(first))):
        with pytest.raises(UserError, match="does not wait"):
            refused()


def test_taken_out_or_deleted_it_lies_in_the_trash(tmp_path):
    folders = [add(tmp_path, name) for name in "abc"]
    trashed = [queue.cancel(tmp_path, read_run(folders[0])), delete_run(tmp_path, read_run(folders[2]))]
    assert names(tmp_path) == ["b"]
    assert all((folder / "config.json").is_file() for folder in trashed)


def test_one_that_has_just_begun_is_neither_taken_out_nor_put_back(tmp_path):
    """What a list has read a moment ago does not count."""
    runs = [read_run(add(tmp_path, name)) for name in "ab"]
    with hold(runs[0].folder):
        for refused in (queue.cancel, delete_run):
            with pytest.raises(UserError, match=r"working on the run|still going"):
                refused(tmp_path, runs[0])
        queue.begin(runs[0].folder)
        queue.arrange(runs[::-1])
        assert names(tmp_path) == ["b"]
        assert read_run(runs[0].folder).status == "running"
        with pytest.raises(UserError, match="does not wait"):
            queue.cancel(tmp_path, runs[0])


def test_one_that_was_taken_out_cannot_begin_and_comes_back_whole(tmp_path):
    run = read_run(add(tmp_path, "a"))
    trashed = queue.cancel(tmp_path, run)
    with pytest.raises(UserError, match="is no run"), hold(run.folder):
        pass
    assert restore_run(tmp_path, trashed) == run.folder
    assert names(tmp_path) == ["a"]


def test_a_place_that_cannot_be_read_is_the_first(tmp_path):
    add(tmp_path, "a")
    (add(tmp_path, "b") / "queued.json").write_text("torn")
    assert names(tmp_path) == ["b", "a"]


def test_one_works_off_the_queue_at_a_time(tmp_path):
    assert queue_holder(tmp_path) == ""
    with hold_queue(tmp_path):
        assert "process" in queue_holder(tmp_path)
        with pytest.raises(UserError, match="works off the queue already"), hold_queue(tmp_path):
            pass
    assert queue_holder(tmp_path) == ""
