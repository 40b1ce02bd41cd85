"""From photos to predictions in the terminal, with the bundled backbone and the real engine."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

_HEAD_ONLY = "freezing.strategy=freezing/head-only"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with one finished run, the photos it learned from, and the events that the command printed."""
    from conftest import make_photos

    place = tmp_path_factory.mktemp("trained")
    photos = make_photos(place / "Fotos, größer & schön", {"kreise ○": 10, "streifen": 10})
    (photos / "streifen" / "kaputt.png").write_bytes(b"\x89PNG, but not for long")
    command = [
        sys.executable,
        "-m",
        "tlstudio",
        "train",
        str(photos),
        "freezing.strategy=freezing/head-only",
        "run.epochs=2",
        "--json",
        "--workspace",
        str(place / "w"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / "w", photos, [json.loads(line) for line in done.stdout.splitlines()]


def test_events_are_printed_to_the_last(trained):
    _, _, events = trained
    assert [event["event"] for event in events[:1] + events[-1:]] == ["RunStarted", "RunFinished"]
    assert events[-1]["outcome"] == "completed"
    assert events[-1]["metrics"]["val_accuracy"] >= 0.9
    prepared = next(event for event in events if event["event"] == "Prepared")
    assert prepared["classes"] == ["kreise ○", "streifen"]
    assert list(prepared["excluded"]) == ["streifen/kaputt.png"]


def test_runs(cli, trained):
    workspace, _, events = trained
    [info] = cli("runs", "list", "--json", workspace=workspace).json
    assert (info["id"], info["status"]) == (events[-1]["run"], "completed")
    shown = cli("runs", "show", info["id"][:5], "--json", workspace=workspace).json
    assert [epoch["epoch"] for epoch in shown["history"]] == [0, 1]
    assert shown["config"]["run"]["epochs"] == 2
    assert info["id"] in cli("runs", "list", workspace=workspace).out
    assert "val accuracy" in cli("runs", "show", info["folder"]).out


def test_find_rate(cli, trained):
    """It prints a table and a setting to copy, or one JSON value; and it makes no run."""
    workspace, photos, events = trained
    shown = cli("find-rate", photos, _HEAD_ONLY, workspace=workspace).out
    assert "learning rate" in shown
    setting = shown.splitlines()[-1].removeprefix("Suggestion: ")
    found = cli("find-rate", photos, _HEAD_ONLY, "--json", workspace=workspace).json
    assert setting == f"optim.learning_rate={found['rate']:.1e}"
    assert len(found["points"]) > 20
    assert found["points"][0]["rate"] < found["rate"] <= found["lowest"]
    assert [info["id"] for info in cli("runs", "list", "--json", workspace=workspace).json] == [events[-1]["run"]]
    wrong = cli("find-rate", photos, "optim.optimizer=best", "augment.erase=2", "--json", workspace=workspace)
    assert wrong.code == 2
    assert [problem["field"] for problem in wrong.json["problems"]] == ["optim.optimizer", "augment.erase"]


def test_evaluate(cli, trained):
    workspace, _, events = trained
    report = cli("evaluate", events[-1]["run"], "--json", workspace=workspace).json
    assert report["split"] == "val"
    assert report["accuracy"] == pytest.approx(events[-1]["metrics"]["val_accuracy"])
    assert sum(map(sum, report["confusion"])) == report["images"] == 4
    text = cli("evaluate", events[-1]["run"], workspace=workspace).out
    assert "precision" in text
    assert "streifen" in text


def test_predict(cli, trained, tmp_path):
    workspace, photos, events = trained
    target = tmp_path / "answers.csv"
    result = cli("predict", events[-1]["run"], photos / "streifen", "--csv", target, "--json", "--top", 1, workspace=workspace)
    assert result.code == 0
    answers = {row["path"]: row for row in result.json}
    assert len(answers) == 11
    broken = answers.pop(str(photos / "streifen" / "kaputt.png"))
    assert broken["error"]
    assert all(row["top"][0]["class"] == "streifen" for row in answers.values())
    rows = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    assert {row["class_1"] for row in rows} == {"streifen", ""}
    assert cli("predict", events[-1]["run"], photos / "streifen" / "kaputt.png", workspace=workspace).code == 4
    assert cli("predict", events[-1]["run"], tmp_path / "absent.png", workspace=workspace).code == 4


def test_export(cli, trained, tmp_path):
    workspace, _, events = trained
    for name in ("model.pth", "model.safetensors"):
        assert cli("export", events[-1]["run"], tmp_path / name, workspace=workspace).code == 0
    state = torch.load(tmp_path / "model.pth", weights_only=True)
    assert set(state) == set(load_file(tmp_path / "model.safetensors"))
    check = cli("weights", "check", tmp_path / "model.pth", "--model", "timm/tf_efficientnet_lite0", "--json").json
    assert check["missing"] == check["unexpected"] == []
    result = cli("export", events[-1]["run"], tmp_path / "model.docx", workspace=workspace)
    assert result.code == 2
    assert ".safetensors" in result.err


def test_the_configuration_of_a_run_repeats_it(cli, trained, tmp_path):
    workspace, _, events = trained
    folder = events[0]["folder"]
    result = cli("train", f"{folder}/config.json", "run.epochs=1", "--json", workspace=tmp_path / "again")
    assert result.code == 0
    first = [next(e for e in found if e["event"] == "EpochDone")["train"]["loss"] for found in (events, result.events)]
    assert first[0] == pytest.approx(first[1], rel=1e-3)
    del workspace


def test_delete_moves_to_the_trash(cli, photos, tmp_path):
    result = cli("train", photos, "run.epochs=1", "model.backbone=torchvision/resnet18", "model.weights=none", _HEAD_ONLY,
                 "data.image_size=32")  # fmt: skip
    assert result.code == 0, result.err
    assert "random values" in result.out
    [info] = cli("runs", "list", "--json").json
    [moved] = cli("runs", "delete", info["id"], "--json").json
    assert moved["id"] == info["id"]
    assert cli("runs", "list", "--json").json == []
    assert (tmp_path / "workspace" / "trash").is_dir()


def test_a_preset_is_taken_by_its_name(cli, photos):
    done = cli("train", photos, "--preset", "scratch", "run.epochs=1", "data.image_size=32", "--json")
    assert done.code == 0, done.err
    assert done.events[0]["config"]["freezing"]["strategy"] == "freezing/full"
    assert done.events[0]["config"]["model"]["weights"] == "none"


def test_an_unknown_preset_is_answered_with_those_that_there_are(cli, photos):
    done = cli("train", photos, "--preset", "nothing")
    assert done.code == 2
    assert "many-far: " in done.err
