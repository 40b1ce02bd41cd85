"""How a run computes is decided once: begun again, it computes in the same way, whatever would be decided now."""

from __future__ import annotations

import json
import os
from functools import partial

import pytest
from robust.terminal import terminal
from robust_runs import assert_same_run, resume

from tlstudio.api.config import TrainConfig, with_overrides
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude, MoveToSplit
from tlstudio.engine import cut
from tlstudio.engine.control import Control
from tlstudio.engine.reproduce import changes_since, reproduce_run
from tlstudio.engine.run import start_run
from tlstudio.runs.checkpoints import list_checkpoints
from tlstudio.runs.store import list_runs, read_run

SETTINGS = (
    "model.backbone=test/tiny", "model.weights=none", "freezing.strategy=freezing/last-stages", "freezing.options.k=1",
    "run.epochs=2", "run.batch_size=8",
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """How often it was decided how to compute."""
    calls = []
    decide = cut.plan_for

    def plan_for(*arguments, **options):
        calls.append(1)
        return decide(*arguments, **options)

    monkeypatch.setattr(cut, "plan_for", plan_for)
    return calls


@pytest.fixture
def killed(tiny_catalog, photos, tmp_path, asked):
    """The folder of a run that ended without a word in its first epoch."""
    config = with_overrides(TrainConfig(), [f"data.path={photos}", *SETTINGS])
    events = start_run(config, tiny_catalog, tmp_path, Control())
    next(event for event in events if event.event == "EpochStarted")
    events.close()
    (info,) = list_runs(tmp_path)
    assert not list_checkpoints(info.folder)
    assert len(asked) == 1
    return info.folder


def test_a_run_that_begins_anew_computes_as_before(killed, tiny_catalog, tmp_path, asked):
    resume(tiny_catalog, tmp_path, killed)
    assert read_run(killed).status == "completed"
    assert len(asked) == 1


def test_on_another_machine_it_is_decided_anew(killed, tiny_catalog, tmp_path, asked):
    file = killed / "plan.json"
    kept = json.loads(file.read_bytes())
    kept["here"]["processor"] = "another"
    file.write_text(json.dumps(kept))
    resume(tiny_catalog, tmp_path, killed)
    assert len(asked) == 2
    assert json.loads(file.read_bytes())["here"]["processor"] != "another"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"here": 1, "decisions": {}}'])
def test_where_the_file_is_damaged_it_is_decided_anew(killed, tiny_catalog, tmp_path, asked, text):
    (killed / "plan.json").write_text(text)
    resume(tiny_catalog, tmp_path, killed)
    assert read_run(killed).status == "completed"
    assert len(asked) == 2


def test_a_checkpoint_goes_on_with_every_decision_of_its_run(tiny_catalog, photos, tmp_path, asked):
    """Also with those for stages that begin to learn after it."""
    settings = [
        f"data.path={photos}",
        *SETTINGS[:2],
        "freezing.strategy=freezing/gradual",
        "run.epochs=3",
        "run.batch_size=8",
        "run.plan=reference",
    ]  # else the two runs may decide otherwise
    run = partial(start_run, with_overrides(TrainConfig(), settings), tiny_catalog, tmp_path)
    list(run(Control()))
    (whole,) = list_runs(tmp_path)
    decided = len(asked)
    assert decided > 1
    events = run(Control())
    for event in events:
        if event.event == "EpochStarted" and event.epoch == 2:
            break
    events.close()
    folder = next(info.folder for info in list_runs(tmp_path) if info.id != whole.id)
    asked.clear()
    resume(tiny_catalog, tmp_path, folder)
    assert not asked
    assert_same_run(folder, whole.folder)


def test_a_run_is_done_again_as_it_was_whatever_has_been_edited_since(tiny_catalog, photos, tmp_path, asked):
    config = with_overrides(TrainConfig(), [f"data.path={photos}", *SETTINGS, "optim.learning_rate=0.01"])
    list(start_run(config, tiny_catalog, tmp_path, Control()))
    (first,) = list_runs(tmp_path)
    assert changes_since(first, tiny_catalog, tmp_path) == []
    curation = Curation(tiny_catalog.open_images(config.data), config.data, tmp_path)
    curation.add(Exclude(keys=("circles/003.png",)))
    curation.add(MoveToSplit(keys=("stripes/004.png", "stripes/005.png"), split="val"))
    assert "edits" in "\n".join(changes_since(first, tiny_catalog, tmp_path))
    events = list(reproduce_run(first, tiny_catalog, tmp_path, Control()))
    assert (events[0].event, events[-1].event) == ("RunStarted", "RunFinished")
    second = next(info for info in list_runs(tmp_path) if info.id != first.id)
    assert_same_run(second.folder, first.folder)
    assert len(asked) == 1, "it computes as the first did"


@pytest.mark.skipif(os.name != "posix", reason="fork")
def test_in_the_terminal_it_is_said_what_is_not_as_it_was(photos, tmp_path):
    with terminal(tmp_path / "workspace") as line:
        assert line.call("train", photos, *SETTINGS) == 0
        (first,) = list_runs(line.workspace)
        assert line.call("runs", "reproduce", first.id, "--check") == 0
        next(photos.rglob("*.png")).unlink()
        assert line.call("runs", "reproduce", first.id, "--check") == 1
        assert line.call("runs", "reproduce", first.id) == 2
        assert len(list_runs(line.workspace)) == 1
        assert line.call("runs", "reproduce", first.id, "--anyway") == 0
        assert [info.status for info in list_runs(line.workspace)] == ["completed"] * 2


def test_where_it_cannot_be_prepared_no_run_is_left(tiny_catalog, photos, tmp_path):
    config = with_overrides(TrainConfig(), [f"data.path={photos}", *SETTINGS])
    list(start_run(config, tiny_catalog, tmp_path, Control()))
    (first,) = list_runs(tmp_path)
    (first.folder / "plan.json").unlink()
    (first.folder / "plan.json").mkdir()  # cannot be read
    with pytest.raises(OSError):
        list(reproduce_run(first, tiny_catalog, tmp_path, Control()))
    assert [info.id for info in list_runs(tmp_path)] == [first.id]
