"""A run that is killed again and again, at any instant, ends as one that was left alone. ``--kills N`` says how often."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from robust.terminal import terminal
from robust_runs import assert_same_run

from tlstudio.runs.checkpoints import list_checkpoints, newest_intact
from tlstudio.runs.replay import read_events
from tlstudio.runs.store import list_runs, read_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork")

SETTINGS = (
    "model.backbone=test/tiny", "model.weights=none", "freezing.strategy=freezing/full", "optim.learning_rate=0.01",
    "run.epochs=8", "run.batch_size=4", "optim.ema_decay=0.9", "run.checkpoint_minutes=0.003",
    "run.plan=reference",  # two runs on a busy machine may decide otherwise how to compute
)  # fmt: skip


@pytest.fixture
def line(tmp_path):
    with terminal(tmp_path / "workspace") as opened:
        yield opened


def only_run(line):
    (run,) = list_runs(line.workspace)
    return run.folder


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_kills_at_random_instants_change_nothing(line, photos, tmp_path, kills):
    line.workspace = tmp_path / "whole"
    began = time.monotonic()
    assert line.call("train", photos, *SETTINGS) == 0
    longest = time.monotonic() - began  # machines differ, and what else they do
    whole = only_run(line)
    chance, left, number, resumed = random.Random(kills), kills, 0, 0
    while left:
        line.workspace = tmp_path / f"broken-{number}"
        number += 1
        words = ("train", photos, *SETTINGS)
        while True:
            child = line.start(*words)
            status = child.wait(chance.uniform(0.0, longest)) if left else child.wait()
            if status is None:
                child.kill()
                status = child.wait()
            if status == -signal.SIGKILL:
                left -= 1
                if not list_runs(line.workspace):
                    continue  # killed before there was a folder
                newest, damaged = newest_intact(only_run(line))
                assert not damaged
                assert newest is None or newest == list_checkpoints(only_run(line))[-1]
                found = read_run(only_run(line)).status
                if found == "completed":
                    break  # the process was killed after its run was done
                assert found == "interrupted"
                words = ("runs", "resume", only_run(line))
                resumed += 1
                continue
            assert status == 0
            break
        assert line.call("runs", "verify", only_run(line)) == 0
        assert_same_run(whole, only_run(line))
        assert not list((line.workspace / "runs").rglob(".tmp-*"))
    assert resumed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_saves_and_the_run_goes_on_later(line, photos, tmp_path, number, code):
    line.workspace = tmp_path / "whole"
    settings = (*SETTINGS, "run.checkpoint_minutes=10")
    assert line.call("train", photos, *settings) == 0
    whole = only_run(line)
    line.workspace = tmp_path / "broken"
    child = line.start("train", photos, *settings)
    while not any(event.event == "EpochDone" for run in list_runs(line.workspace) for event in read_events(run.folder)):
        assert child.wait(0.02) is None
    child.kill(number)
    assert child.wait() == code
    folder = only_run(line)
    assert read_run(folder).status == "stopped"
    assert newest_intact(folder)[0] is not None
    assert line.call("runs", "resume", folder) == 0
    assert_same_run(whole, folder)
    assert line.call("runs", "resume", folder) == 2
    assert line.call("runs", "extend", folder, "1") == 0
    assert read_run(folder).epochs_done == 9


def test_verify_names_what_is_damaged_and_ends_with_4(line, photos, tmp_path):
    assert line.call("train", photos, *SETTINGS, "run.epochs=2") == 0
    folder = only_run(line)
    assert line.call("runs", "verify", folder) == 0
    model = folder / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert line.call("runs", "verify", folder) == 4
