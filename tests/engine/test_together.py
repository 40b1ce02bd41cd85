"""Several processes that train together give the model that one would give."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import make_photos
from safetensors.torch import load_file

from tlstudio.engine.world import World


def train(folder, workspace, processes, *settings):
    """The events that a user's script reads, and the weights."""
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [
        sys.executable,
        *start,
        "-m",
        "tlstudio",
        "--workspace",
        str(workspace),
        "train",
        str(folder),
        "--json",
        *settings,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TLSTUDIO_HOME": str(workspace / "home")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, check=False)
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stderr[-2000:]
    assert [event["event"] for event in events].count("RunStarted") == 1, "only the first process tells"
    assert events[-1]["event"] == "RunFinished", events[-1]
    assert len(list((workspace / "runs").iterdir())) == 1
    return events, load_file(events[-1]["model"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("head-only", ()),
        ("full", ()),
        ("l2-sp", ("freezing.options.norm_stats=recalibrated",)),
        ("full", ("optim.accumulate=2", "optim.balance=weights", "optim.ema_decay=0.9", "optim.clip_norm=1")),
        ("head-only", ("optim.balance=sampling", "optim.schedule=plateau", "optim.plateau_patience=0", "run.epochs=3")),
    ],
)
def test_two_processes_equal_one_with_the_same_global_batch(tmp_path, strategy, options):
    folder = make_photos(tmp_path / "data", {"a": 21, "b": 20})
    settings = ("run.epochs=2", "run.batch_size=8", "data.image_size=64", "augment.preset=light", "augment.views=2",
                f"freezing.strategy={strategy}", "optim.optimizer=sgd", "optim.learning_rate=0.001",
                "run.plan=reference", *options)  # fmt: skip
    one, alone = train(folder, tmp_path / "one", 1, *settings)
    two, together = train(folder, tmp_path / "two", 2, *settings)
    for first, second in zip(*([e for e in events if e["event"] == "EpochDone"] for events in (one, two)), strict=True):
        for part in ("train", "val"):
            assert first[part]["loss"] == pytest.approx(second[part]["loss"], rel=1e-3)
        assert first["step"] == second["step"]
    for name, tensor in alone.items():
        if tensor.is_floating_point():
            np.testing.assert_allclose(together[name], tensor, rtol=1e-2, atol=2e-3, err_msg=name)
        else:
            assert torch.equal(together[name], tensor)


def test_a_process_on_its_own_needs_no_other(monkeypatch):
    assert World.here({}) == World(rank=0, size=1)
    assert World.here({"RANK": "3", "WORLD_SIZE": "8"}) == World(), "variables of another launcher"
    told = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert World.here(told) == World(rank=3, size=8, local_rank=1)
    assert World().from_first("a") == "a"
