"""``train --repeat`` and ``--folds``: several runs, one result; what is done is not done again."""

from __future__ import annotations

import json

import pytest

from tlstudio.api.events import RunFailed, RunFinished
from tlstudio.runs import queue
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run


@pytest.fixture
def fake_engine(monkeypatch):
    """Replaces the engine by one that keeps runs with an accuracy of 90 % plus the seed; a seed in ``fails`` fails."""
    import tlstudio.engine.run as engine

    seeds, fails = [], set()

    def start_run(config, catalog, workspace, control, group=None):
        seed = config.run.seed
        seeds.append(seed)
        run_id, folder = create_run(workspace, config, {"group": dict(group)})
        end = RunFailed(run=run_id, error="Too bad.", exit_code=5)
        if seed not in fails:
            end = RunFinished(run=run_id, outcome="completed", metrics={"val_accuracy": 0.9 + seed / 100}, best_epoch=0,
                              epochs=1, seconds=1.0, model="m")  # fmt: skip
        yield from record([end], folder)

    monkeypatch.setattr(engine, "start_run", start_run)
    return seeds, fails


def test_the_result_of_several_seeds(cli, fake_engine, photos):
    seeds, _ = fake_engine
    done = cli("train", photos, "--repeat", 3)
    assert done.code == 0, done.err
    assert seeds == [0, 1, 2]
    assert "Run 2 of 3, seed 1:" in done.out
    assert "Accuracy 91.0 % on average of 3 runs, standard deviation 1.0 points." in done.out
    assert "95 % interval of the mean: 88.5 % to 93.5 % (Student's t, 2 degrees of freedom)." in done.out
    [found] = cli("runs", "group", "--json").json
    assert found == cli("runs", "group", found["group"][:7], "--json").json
    assert found["accuracy"]["mean"] == pytest.approx(0.91)
    assert [run["number"] for run in found["runs"]] == [0, 1, 2]
    assert found["group"] in cli("runs", "group").out
    assert cli("runs", "list").out.count(found["group"]) == 3
    assert "There is no group" in cli("runs", "group", "folds").err


def test_after_a_failure_the_same_command_goes_on_and_more_can_be_asked_for(cli, fake_engine, photos):
    seeds, fails = fake_engine
    fails.add(1)
    done = cli("train", photos, "--repeat", 3)
    assert done.code == 5
    assert "The same command goes on" in done.out
    fails.clear()
    done = cli("train", photos, "--repeat", 3, "--json")
    assert [event["event"] for event in done.events] == ["RunFinished", "RunFinished", "GroupDone"]
    assert done.events[-1]["accuracy"]["n"] == 3
    assert len(done.events[-1]["not_counted"]) == 1
    done = cli("train", photos, "--repeat", 4)
    assert seeds == [0, 1, 1, 2, 3]
    assert "seed 0: done before as" in done.out


def test_seeds_and_folds_exclude_each_other(cli, fake_engine, photos):
    assert cli("train", photos, "--repeat", 2, "--folds", 2).code == 2
    assert cli("train", photos, "--repeat", 1).code == 2
    assert not fake_engine[0]


def test_they_wait_in_the_queue_each_once(cli, fake_engine, photos, monkeypatch):
    seeds, _ = fake_engine
    assert cli("train", photos, "--repeat", 2).code == 0
    done = cli("train", photos, "--repeat", 4, "--queue", "--json")
    assert done.code == 0, done.err
    assert [run["number"] for run in done.json["runs"]] == [2, 3]
    assert [run["id"] for run in cli("queue", "list", "--json").json] == [run["run"] for run in done.json["runs"]]
    said = cli("train", photos, "--repeat", 5, "--queue").out
    assert "1 of 5 runs added to the queue" in said
    assert "seed 4:" in said
    assert "The others are done, wait or are going." in said
    begun = []

    def resume_run(folder, catalog, workspace, control):
        begun.append(folder.name[-8:])
        queue.begin(folder)
        end = RunFinished(outcome="completed", metrics={"val_accuracy": 0.9}, best_epoch=0, epochs=1, seconds=1.0, model="m")
        yield from record([end], folder)

    monkeypatch.setattr("tlstudio.engine.run.resume_run", resume_run)
    result = cli("train", photos, "--repeat", 4)
    assert "seed 2, which waited as" in result.out
    assert begun == [run["run"] for run in done.json["runs"]], "those that waited had their turn, and no others"
    assert seeds == [0, 1]
    assert "on average of 4 runs" in result.out
    assert len(cli("queue", "list", "--json").json) == 1


def test_in_the_background_one_run_trains(cli, fake_engine, photos):
    refused = cli("train", photos, "--repeat", 2, "--detach")
    assert refused.code == 2
    assert "queue run --detach" in refused.err
    assert not fake_engine[0]


def test_under_torchrun_it_says_what_to_do_instead(cli, fake_engine, photos, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    done = cli("train", photos, "--repeat", 2)
    assert done.code == 2
    assert "Under torchrun a command trains once" in done.err
    assert not fake_engine[0]


def test_over_folds_each_image_measures_once(cli, photos, tmp_path):
    wish = ("train", photos, "--folds", 2, "model.backbone=torchvision/resnet18", "model.weights=none", "data.image_size=32",
            "freezing.strategy=freezing/head-only", "run.epochs=1")  # fmt: skip
    [_, second] = cli(*wish, "--queue", "--json").json["runs"]
    assert cli("queue", "cancel", second["run"]).code == 0
    assert cli("queue", "run").code == 0
    done = cli(*wish)
    assert done.code == 0, done.err
    assert "fold 0: done before as" in done.out
    assert "standard deviation" in done.out
    assert "share training images" in done.out
    measured = [json.loads(file.read_text()) for file in (tmp_path / "workspace" / "runs").glob("*/split.json")]
    assert len(measured) == 2
    keys = [key for kept in measured for key in kept["val"]]
    assert len(keys) == len(set(keys)) == 48
    assert all(not set(kept["val"]) & set(kept["train"]) for kept in measured)
    [found] = cli("runs", "group", "--json").json
    assert cli("runs", "extend", found["runs"][0]["id"], 1).code == 0
    assert "differ in run.epochs" in cli("runs", "group", "folds").out
