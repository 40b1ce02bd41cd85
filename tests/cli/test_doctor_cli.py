"""``tlstudio doctor --bundle``: what a report needs is in one file, and what is nobody's business is not."""

from __future__ import annotations

import getpass
import json
import zipfile
from pathlib import Path

import pytest

from tlstudio import paths, safe_io
from tlstudio.api.config import parse_config
from tlstudio.api.events import EpochDone, Prepared, RunFailed, RunStarted, StepDone
from tlstudio.registry.diagnostics import without_names
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run


@pytest.fixture
def workspace(tmp_path):
    """With a run that failed, of images in the user's folder, and a log that is longer than what is wanted of it."""
    workspace = tmp_path / "workspace"
    config = parse_config({"data": {"path": str(Path.home() / "patients")}, "model": {"backbone": "test/net"}})
    run, folder = create_run(workspace, config, {"machine": "annas-laptop", "versions": {"torch": "2"}})
    story = [
        RunStarted(run=run, folder=str(folder), config=config.model_dump(mode="json"), epochs=2),
        Prepared(run=run, classes=("healthy", "anna"), images={"train": 9}, excluded={"anna/1.png": "empty"}, stages=(),
                 device="CPU", weights="none", steps_per_epoch=500),
        *(StepDone(run=run, epoch=0, step=step, steps=500, loss=1.0, lr=0.1, images_per_s=1.0) for step in range(500)),
        EpochDone(run=run, epoch=0, step=500, train={}, val={}, seconds=1.0, best=True),
        RunFailed(run=run, error="ValueError: odd", detail=f"File {Path.home() / 'plugin.py'}"),
    ]  # fmt: skip
    list(record(story, folder))
    paths.logs().mkdir(parents=True)
    safe_io.write_text(paths.logs() / "tlstudio.log", "first line\n" + "another line\n" * 40_000 + "last line\n")
    return workspace


def test_the_bundle_tells_the_story_and_names_nobody(cli, workspace, tmp_path):
    file = tmp_path / "report.zip"
    told = cli("doctor", "--bundle", file)
    assert told.code == 0
    with zipfile.ZipFile(file) as bundle:
        parts = {name.removeprefix("tlstudio-diagnostics/"): bundle.read(name).decode() for name in bundle.namelist()}
    assert all(name in told.out for name in parts)
    assert json.loads(parts["about.json"])["libraries"]["torch"]
    log = parts["logs/tlstudio.log"].splitlines()
    assert (log[0], log[-1]) == ("another line", "last line")
    assert len(parts["logs/tlstudio.log"]) <= 2**18
    assert json.loads(parts["run/config.json"])["data"]["path"].startswith("~")
    events = [json.loads(line) for line in parts["run/events.jsonl"].splitlines()]
    assert [event["event"] for event in events].count("StepDone") == 20
    assert events[-1]["error"] == "ValueError: odd"
    assert events[-1]["detail"].startswith("File ~")
    whole = "".join(parts.values())
    for name in ("anna", "healthy", str(Path.home())):
        assert name not in whole


def test_a_file_that_is_there_is_kept_and_that_is_said_before_all_weights_are_read(cli, tmp_path, monkeypatch):
    file, examined = tmp_path / "report.zip", []
    monkeypatch.setattr("tlstudio.registry.examine.examine", lambda *given: examined.append(given))
    file.write_text("mine")
    told = cli("doctor", "--bundle", file)
    assert told.code == 2
    assert f"There is something at {file} already." in told.err
    assert file.read_text() == "mine"
    assert not examined


def test_a_file_that_is_made_meanwhile_is_kept_too(cli, tmp_path, monkeypatch):
    from tlstudio.registry import diagnostics

    file, gather = tmp_path / "report.zip", diagnostics.gather

    def slow(*given):
        file.write_text("mine")
        return gather(*given)

    monkeypatch.setattr(diagnostics, "gather", slow)
    assert cli("doctor", "--bundle", file).code == 2
    assert file.read_text() == "mine"


def test_names_of_people_are_left_out_of_paths_of_whatever_form(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "anna")
    monkeypatch.setattr(Path, "home", lambda: Path("/users/müller"))
    assert without_names("/users/müller/x, /media/anna/usb, /anna-lena") == "~/x, /media/user/usb, /anna-lena"
    assert without_names("/users/müller-2/x /users/müller") == "/users/müller-2/x ~"
    assert without_names(json.dumps({"path": "/users/müller/x"})) == '{"path": "~/x"}'
