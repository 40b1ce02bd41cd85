"""A whole run that is killed at the 1st, the 2nd … operation of the one writer goes on and ends as one that was left alone."""

from __future__ import annotations

import itertools
import os
import shutil
import signal

import pytest
from robust.terminal import terminal
from robust_runs import assert_same_run

from tlstudio.runs.checkpoints import newest_intact, verify_run
from tlstudio.runs.store import list_runs

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork")

SETTINGS = (
    "model.backbone=test/tiny", "model.weights=none", "freezing.strategy=freezing/full", "optim.learning_rate=0.01",
    "run.epochs=1", "run.batch_size=19", "run.checkpoint_minutes=0.000001", "run.plan=reference", "run.observers=false",
)  # fmt: skip
FIRST_FILES = 40  # operations, until a run has them all


def begin(line, photos, *, queued, fault=""):
    words = ("train", photos, *SETTINGS)
    if not queued:
        return line.call(*words, fault=fault)
    assert line.call(*words, "--queue") == 0  # its folder is made before, by another process
    return line.call("queue", "run", fault=fault)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("queued", [False, True], ids=["train", "queue"])
@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.nightly, id="each"), pytest.param(7, marks=pytest.mark.slow, id="some")]
)
def test_killed_at_any_operation_it_goes_on_to_the_last_bit(photos, tmp_path, step, queued):
    with terminal(tmp_path / "whole") as line:
        assert begin(line, photos, queued=False) == 0
        (whole,) = list_runs(line.workspace)
        for n in itertools.count(1, step):
            line.workspace = tmp_path / "broken"
            status = begin(line, photos, queued=queued, fault=f"*:KILL@{n}")
            assert status in {0, -signal.SIGKILL}
            if not list_runs(line.workspace):  # killed before there was a run
                assert begin(line, photos, queued=False) == 0
            (run,) = list_runs(line.workspace)
            assert not newest_intact(run.folder)[1], f"a checkpoint is torn after operation {n}"
            if run.status != "completed":
                assert line.call("runs", "resume", run.folder) == 0, n
            assert verify_run(run.folder)[1] == []
            assert_same_run(whole.folder, run.folder)
            assert not list((line.workspace / "runs").rglob(".tmp-*")), n
            shutil.rmtree(line.workspace)
            if status == 0 or (queued and n >= FIRST_FILES):
                break
    assert n >= FIRST_FILES
