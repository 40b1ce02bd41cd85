"""Bad input gets a clear error that names the thing and says what to do; nothing is lost and nothing hostile is run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile

import pytest
import torch
from PIL import Image

from tlstudio import faults


def test_all_wrong_settings_are_named_at_once(cli, photos):
    result = cli(
        "train", photos, "run.epochs=0", "optim.lr=0.1", "model.backbone=resnet81", "freezing.options.k=two",
        "freezing.strategy=last-stages", "run.batch_size=many", "colour", "--json",
    )  # fmt: skip
    assert result.code == 2
    [event] = result.events
    assert event["event"] == "RunFailed"
    for field in ("run.epochs", "optim.lr", "model.backbone", "freezing.options.k", "run.batch_size", "colour"):
        assert f"{field}:" in event["detail"], field
    text = cli("train", photos, "run.epoch=3")
    assert text.code == 2
    assert "run.epoch: unknown setting; did you mean run.epochs?" in text.err
    assert text.out == ""


def test_a_broken_configuration_file(cli, tmp_path):
    file = tmp_path / "config.json"
    assert "cannot be read" in cli("train", file).err
    file.write_text('{"run": {"epochs": "lots", "seed": -1}, "optimizer": {}}')
    result = cli("train", file)
    assert result.code == 2
    for field in ("run.epochs", "run.seed", "optimizer"):
        assert field in result.err
    file.write_bytes(b"\0" * 100)
    assert cli("train", file).code == 2


def test_nothing_there(cli, tmp_path):
    result = cli("train", tmp_path / "missing")
    assert result.code == 4
    assert str(tmp_path / "missing") in result.err
    assert cli("data", "scan", tmp_path / "missing").code == 4


def test_an_empty_folder(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in (["train"], ["data", "scan"]):
        result = cli(*command, tmp_path / "empty")
        assert result.code == 4
        assert str(tmp_path / "empty") in result.err


def test_one_class(cli, tmp_path):
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (32, 32), (i * 40, 0, 0)).save(tmp_path / "photos" / "cats" / f"{i}.png")
    for command in (["train"], ["data", "scan"]):
        result = cli(*command, tmp_path / "photos")
        assert result.code == 4
        assert "class" in result.err
        assert "Traceback" not in result.err


def test_no_readable_image(cli, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "photos" / name / f"{i}.jpg").write_bytes(b"\xff\xd8 not much")
    result = cli("data", "scan", tmp_path / "photos")
    assert result.code == 4
    assert "None of the images can be read." in result.err
    assert "a/0.jpg" in result.out
    result = cli("train", tmp_path / "photos", "run.epochs=1")
    assert result.code == 4
    assert "can be read" in result.err


def test_a_missing_run(cli):
    for command in (["evaluate", "nope"], ["predict", "nope", "x.png"], ["export", "nope", "x.pth"], ["runs", "show", "nope"]):
        result = cli(*command)
        assert result.code == 2
        assert "nope" in result.err
    assert cli("evaluate", "nope", "--json").json["exit_code"] == 2


class _Hostile:
    """Pickles into a call that would leave a file behind."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_a_hostile_pickle_is_never_run(cli, tmp_path, photos, form):
    marker = tmp_path / "executed"
    file = tmp_path / "weights.pth"
    if form == "pickle":
        file.write_bytes(pickle.dumps({"conv1.weight": _Hostile(marker)}))
    else:
        torch.save({"conv1.weight": _Hostile(marker)}, file)
    for command in (
        ["weights", "check", file],
        ["weights", "check", file, "--model", "resnet18"],
        ["train", photos, "model.backbone=resnet18", f"model.weights={file}", "run.epochs=1"],
    ):
        result = cli(*command)
        assert result.code == 3
        assert "weights.pth" in result.err
    assert not marker.exists()


def test_files_that_are_no_weights(cli, tmp_path):
    for name, data in {"empty.pth": b"", "page.pth": b"<!DOCTYPE html><html></html>", "x.safetensors": b"\xff" * 64}.items():
        (tmp_path / name).write_bytes(data)
        result = cli("weights", "check", tmp_path / name)
        assert result.code == 3
        assert name in result.err
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as file:
        file.writestr("readme.txt", "hello")
    assert cli("weights", "check", tmp_path / "zip.pth").code == 3
    assert cli("weights", "check", tmp_path / "absent.pth", "--json").json["exit_code"] == 3


def test_weights_for_another_architecture(cli, tmp_path, photos):
    from torchvision.models import alexnet

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in alexnet(num_classes=2).state_dict().items()}
    small = {name: torch.zeros(shape if len(shape) < 2 else (1, *shape[1:])) for name, shape in shapes.items()}
    torch.save(small, tmp_path / "alexnet.pth")
    result = cli("weights", "check", tmp_path / "alexnet.pth", "--model", "resnet18")
    assert result.code == 3
    assert "alexnet.pth is not for ResNet-18" in result.err
    result = cli("train", photos, "model.backbone=resnet18", f"model.weights={tmp_path / 'alexnet.pth'}", "--json")
    assert result.code == 3
    assert result.events[-1]["event"] == "RunFailed"
    result = cli("weights", "check", tmp_path / "alexnet.pth", "--model", "resnet81")
    assert result.code == 2
    assert "Did you mean" in result.err


def test_weights_that_are_not_here(cli, photos):
    result = cli("train", photos, "model.backbone=resnet18", "model.weights=IMAGENET1K_V1", "run.epochs=1")
    assert result.code == 3
    assert "not on this machine" in result.err
    assert cli("train", photos, "model.weights=no-such-file.pth").code == 3


def test_an_unexpected_exception_is_logged_not_shown(cli, monkeypatch, tlstudio_home):
    import tlstudio.runs.store as store

    def fail(workspace):
        raise RuntimeError("boom")

    monkeypatch.setattr(store, "list_runs", fail)
    result = cli("runs", "list")
    assert result.code == 1
    assert "boom" in result.err
    assert "Traceback" not in result.err
    [log] = (tlstudio_home / "logs").glob("*.log")
    [line] = [json.loads(line) for line in log.read_text().splitlines()]  # as the window writes it
    assert (line["level"], line["from"]) == ("ERROR", "tlstudio.cli")
    assert "Traceback" in line["text"]
    monkeypatch.setenv("TLSTUDIO_DEBUG", "1")
    assert "Traceback" in cli("runs", "list").err
    assert json.loads(cli("runs", "list", "--json").out)["exit_code"] == 1


@pytest.mark.parametrize(("fault", "code", "words"), [("ENOSPC", 28, "disk is full"), ("EIO", 75, "cannot be reached"),
                                                      ("EROFS", 2, "No permission")])  # fmt: skip
def test_what_cannot_be_written_is_said_in_words(cli, photos, fault, code, words):
    with faults.injected(f"write:{fault}@1"):
        result = cli("train", photos, "--queue")
    assert result.code == code
    assert words in result.err
    with faults.injected(f"write:{fault}@1"):
        assert json.loads(cli("train", photos, "--queue", "--json").out)["exit_code"] == code


def test_a_bad_plugin_stops_nothing(cli, tlstudio_home, photos):
    folder = tlstudio_home / "plugins" / "bad"
    (folder / "bad_plugin_of_a_test").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "bad"\nversion = "1"\n[project.entry-points."tlstudio.plugins"]\nbad = "bad_plugin_of_a_test"\n'
    )
    (folder / "bad_plugin_of_a_test" / "__init__.py").write_text("raise RuntimeError('broken at import')\n")
    rows = {row["name"]: row for row in cli("plugins", "list", "--json").json}
    assert rows["bad"]["status"] == "failed"
    assert "broken at import" in rows["bad"]["error"]
    assert "RuntimeError" in rows["bad"]["details"]
    assert rows["datasets"]["status"] == "loaded"
    assert cli("data", "scan", photos).code == 0
    assert "bad failed" in cli("doctor").out
    assert cli("plugins", "list", "--json", "--no-plugins").json[0]["status"] == "off"
