"""Notes, tags, differences and tables of runs in the terminal."""

from __future__ import annotations

import csv
import errno

import pytest

from tlstudio.api.config import parse_config
from tlstudio.api.events import EpochDone, Prepared, RunFinished
from tlstudio.runs.lock import hold_queue
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run, find_run


def make_run(workspace, accuracy=0.9, **optim):
    config = parse_config({"data": {"path": "/data/bees"}, "optim": optim})
    run, folder = create_run(workspace, config, {})
    val = {"accuracy": accuracy, "loss": 0.5}
    for _ in record([
        Prepared(run=run, classes=("a", "b"), images={"train": 80, "val": 20}, stages=(), device="CPU", weights="x",
                 steps_per_epoch=3),
        EpochDone(run=run, epoch=0, step=3, train={"loss": 0.4}, val=val, seconds=4.0, best=True),
        RunFinished(run=run, outcome="completed", metrics={"val_accuracy": accuracy, "val_loss": 0.5}, best_epoch=0, epochs=1,
                    seconds=5.0, model=""),
    ], folder):  # fmt: skip
        pass
    return run


@pytest.fixture
def workspace(tmp_path, tlstudio_home):
    return tmp_path / "workspace"


def test_notes_and_tags_are_kept_with_the_run(cli, workspace):
    run, other = make_run(workspace), make_run(workspace)
    assert cli("runs", "note", run, "blurred, try again").code == 0
    assert cli("runs", "tag", run, "good", "to repeat, Good").out == "good, to repeat\n"
    assert cli("runs", "tag", run, "--remove", "GOOD").out == "to repeat\n"
    listed = {item["id"]: (item["notes"], item["tags"]) for item in cli("runs", "list", "--json").json}
    assert listed == {run: ("blurred, try again", ["to repeat"]), other: ("", [])}
    shown = cli("runs", "show", run)
    assert "Notes: blurred, try again" in shown.out
    assert "Tags: to repeat" in shown.out
    assert cli("runs", "note", run, "").code == 0
    assert cli("runs", "note", run, "--json").json == {"id": run, "notes": "", "tags": ["to repeat"]}


def test_two_runs_differ_in_these_settings_alone(cli, workspace):
    first, second = make_run(workspace), make_run(workspace, accuracy=0.8, learning_rate=0.02)
    found = cli("runs", "diff", first, second, "--json").json
    assert found["settings"] == {"optim.learning_rate": [None, 0.02]}
    assert found["figures"]["val_accuracy"] == [0.9, 0.8]
    assert found["figures"]["images_per_s"] == [20.0, 20.0]
    text = cli("runs", "diff", first, second).out
    assert "optim.learning_rate" in text
    assert "90.0 %" in text
    assert "All settings are the same." in cli("runs", "diff", first, first).out
    assert cli("runs", "diff", first).code == 2


def test_the_table_is_written_for_a_spreadsheet(cli, workspace, tmp_path):
    run = make_run(workspace)
    make_run(workspace)
    cli("runs", "note", run, 'she said "no", twice')
    assert cli("runs", "export", tmp_path / "all.csv", "--json").json["runs"] == 2
    with (tmp_path / "all.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert rows[run]["notes"] == 'she said "no", twice'
    assert (rows[run]["val_accuracy"], rows[run]["best_epoch"]) == ("0.9", "1")
    cli("runs", "export", tmp_path / "one.csv", run, "--columns", "id,status")
    assert (tmp_path / "one.csv").read_text(encoding="utf-8-sig") == f"id,status\n{run},completed\n"
    assert cli("runs", "export", tmp_path / "x.csv", "--columns", "colour").code == 2
    assert "cannot be written" in cli("runs", "export", tmp_path / "nowhere" / "x.csv").err


def test_runs_are_deleted_once_though_they_are_named_twice(cli, workspace):
    first, second = make_run(workspace), make_run(workspace)
    done = cli("runs", "delete", first, first[:6], second)
    assert done.code == 0, done.err
    assert done.out.count("Moved") == 2
    third = make_run(workspace)
    assert cli("runs", "delete", third, "no-such-run").code == 2
    assert [item["id"] for item in cli("runs", "delete", third, third, "--json").json] == [third]
    assert cli("queue", "cancel", make_run(workspace)).code == 2


def test_a_queue_that_is_worked_off_already_says_so_at_once(cli, workspace):
    with hold_queue(workspace):
        for how in ((), ("--detach",)):
            done = cli("queue", "run", *how)
            assert done.code == 2
            assert "works off the queue already" in done.err
    assert not (workspace / "queue.log").exists()


def test_a_run_that_has_nothing_to_verify_yet_is_not_damaged(cli, workspace):
    run = make_run(workspace)
    done = cli("runs", "verify", run)
    assert (done.code, "no checkpoint and no model yet" in done.out) == (0, True)
    (find_run(workspace, run).folder / "ckpt" / "step-000000001").mkdir(parents=True)
    done = cli("runs", "verify", run)
    assert (done.code, "Nothing of the run" in done.out) == (4, True)


def test_a_workspace_where_nothing_can_be_moved_says_so(cli, workspace, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EROFS, "Read-only file system", str(source))

    run = make_run(workspace)
    monkeypatch.setattr("tlstudio.runs.store.shutil.move", refuse)
    done = cli("runs", "delete", run)
    assert done.code == 2
    assert "No permission to write" in done.err
