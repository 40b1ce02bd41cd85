"""What a run that was killed has learned is a model like any other: to predict with, and to begin another run from."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from robust.terminal import terminal
from robust_runs import assert_same_weights, folder_of, resume
from safetensors.torch import load_file
from training import run

from tlstudio.api.errors import UserError
from tlstudio.engine.checkpoint import load_state
from tlstudio.engine.control import Control
from tlstudio.engine.keep import keep_model
from tlstudio.engine.predict import load_model
from tlstudio.runs.checkpoints import list_checkpoints, verify_result
from tlstudio.runs.store import list_runs

OFTEN = "run.checkpoint_minutes=0.000001"
FULL = ("freezing.strategy=freezing/full", "optim.learning_rate=0.01")
LORA = ("freezing.strategy=freezing/lora", "optim.learning_rate=0.01", "optim.ema_decay=0.9")


def left_after(step, catalog, workspace, *settings):
    """The folder of a run that was left after this step, and nothing else there than its checkpoints."""
    control = Control()
    return folder_of(run(
        catalog, workspace, "run.epochs=3", "run.batch_size=8", OFTEN, *settings, control=control,
        on_event=lambda event: control.leave() if event.event == "CheckpointSaved" and event.step == step else None,
    ))  # fmt: skip


@pytest.mark.parametrize("strategy", [FULL, LORA], ids=["full", "lora"])
def test_what_is_kept_is_what_stopping_would_have_kept(tiny_catalog, photos, tmp_path, strategy):
    folder = left_after(7, tiny_catalog, tmp_path, f"data.path={photos}", *strategy)
    stopped = folder.rename(tmp_path / "stopped")
    (again := tmp_path / "runs" / folder.name).mkdir()
    for path in stopped.iterdir():
        if path.name not in ("model.safetensors", "model.json") and path.is_file():
            (again / path.name).write_bytes(path.read_bytes())
    (stopped / "ckpt").rename(again / "ckpt")
    assert keep_model(again, tiny_catalog, tmp_path) == again / "model.safetensors"
    assert_same_weights(again, stopped)
    assert json.loads((again / "model.json").read_text()) == json.loads((stopped / "model.json").read_text())
    assert load_model(again, tiny_catalog).classes == ("circles", "stripes")


def test_before_the_first_epoch_ends_the_weights_are_kept_as_they_are(tiny_catalog, photos, tmp_path):
    folder = left_after(2, tiny_catalog, tmp_path, f"data.path={photos}", *FULL)
    assert not (folder / "model.safetensors").exists()
    keep_model(folder, tiny_catalog, tmp_path)
    assert verify_result(folder)
    model = load_state(list_checkpoints(folder)[-1])["model"]
    kept = load_file(folder / "model.safetensors")
    assert all(torch.equal(kept[name], model[name]) for name in model)
    assert json.loads((folder / "model.json").read_text())["epoch"] == -1


def test_the_run_goes_on_as_before_and_its_end_replaces_what_was_kept(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", *FULL)
    whole = folder_of(run(tiny_catalog, tmp_path, "run.epochs=3", "run.batch_size=8", *settings))
    folder = left_after(7, tiny_catalog, tmp_path, *settings)
    keep_model(folder, tiny_catalog, tmp_path)
    resume(tiny_catalog, tmp_path, folder)
    assert_same_weights(folder, whole)
    with pytest.raises(UserError, match="is finished"):
        keep_model(folder, tiny_catalog, tmp_path)


def test_without_a_checkpoint_there_is_nothing_to_keep(tiny_catalog, photos, tmp_path):
    folder = left_after(7, tiny_catalog, tmp_path, f"data.path={photos}", *FULL)
    for checkpoint in list_checkpoints(folder):
        (checkpoint / "state.pt").write_bytes(b"")
    with pytest.raises(UserError, match="no intact checkpoint"):
        keep_model(folder, tiny_catalog, tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork")
def test_in_the_terminal_a_killed_run_is_the_beginning_of_another(photos, tmp_path):
    settings = (
        "model.backbone=test/tiny", "model.weights=none", *FULL, "run.batch_size=4", "run.epochs=200",
        "run.checkpoint_minutes=0.0001",
    )  # fmt: skip
    with terminal(tmp_path / "workspace") as line:
        assert line.call("train", photos, *settings, fault="mkdir:KILL@8") == -signal.SIGKILL
        (old,) = list_runs(line.workspace)
        assert list_checkpoints(old.folder)
        assert not old.model_file.exists()
        assert line.call("runs", "again", old.id, "optim.learning_rate=0.02", "run.epochs=1") == 0
        new = next(info for info in list_runs(line.workspace) if info.id != old.id)
        assert (new.parent, new.status) == (old.id, "completed")
        assert new.config["optim"]["learning_rate"] == 0.02
        old.model_file.unlink()
        assert line.call("runs", "keep", old.id) == 0
        assert verify_result(old.folder)
