"""The window is closed or killed while it trains: the run is saved, or left as it was; the next start offers to go on."""

from __future__ import annotations

import contextlib
import signal
import sys

import pytest
from engine.conftest import _one_thread, tiny, tiny_catalog  # noqa: F401 - fixtures
from robust.windowed import EPOCHS, SETTINGS, read_until, start
from robust_runs import assert_same_run, folder_of
from training import run

from tlstudio.runs.store import list_runs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")


@contextlib.contextmanager
def window(what, workspace, photos):
    """While it lasts; afterwards it is gone, whatever happened."""
    process = start(what, workspace, photos)
    try:
        with process:
            yield process
            process.stdin.close()
    finally:
        process.kill()


def whole_run(catalog, folder, photos):
    settings = [f"{section}.{key}={value}" for section, values in SETTINGS.items() for key, value in values.items()]
    return folder_of(run(catalog, folder, f"data.path={photos}", *settings))


def into_the_run(process, epochs):
    for _ in range(epochs):
        read_until(process, "EpochDone")
    read_until(process, "CheckpointSaved")
    read_until(process, "StepDone")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "status"), [(signal.SIGKILL, -9, "interrupted"), (signal.SIGTERM, 0, "stopped")])
def test_the_next_start_offers_the_run_and_it_ends_as_if_nothing_had_been(
    tiny_catalog, photos, tmp_path, number, code, status  # noqa: F811
):  # fmt: skip
    whole = whole_run(tiny_catalog, tmp_path / "whole", photos)
    workspace = tmp_path / "broken"
    with window("train", workspace, photos) as first:
        into_the_run(first, 3)
        first.send_signal(number)
        assert first.wait(timeout=60) == code
    (info,) = list_runs(workspace)
    assert info.status == status
    assert 3 <= info.epochs_done < EPOCHS
    with window("resume", workspace, photos) as second:
        offer = read_until(second, "offer")
        assert "The run “tiny on photos” was" in offer
        assert f"of {EPOCHS}" in offer
        assert read_until(second, "RunResumed", "RunFailed").startswith("RunResumed")
        read_until(second, "RunFinished")
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=60) == 0
    assert list_runs(workspace)[0].status == "completed"
    assert_same_run(whole, info.folder)
