"""Whatever fails while a checkpoint or a result is written, the run's folder is the old or the new one, never between."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from robust_runs import newest

import tlstudio
from tlstudio import faults, safe_io
from tlstudio.api.errors import ExitCode
from tlstudio.engine.checkpoint import save_checkpoint, save_result
from tlstudio.runs.checkpoints import list_checkpoints, verify_result
from tlstudio.runs.store import read_run

ERRORS = ("ENOSPC", "EIO", "MemoryError", "KeyboardInterrupt")


def write(folder, number):
    """What a run writes: a checkpoint, and the model."""
    save_checkpoint(folder, number, {"x": torch.full((100,), float(number))}, {"number": number})
    save_result(folder, {"x": torch.full((100,), float(number))}, {"number": number})


def begin(folder):
    folder.mkdir()
    safe_io.write_json(folder / "run.json", {"id": "r", "created": 0.0})
    safe_io.write_json(folder / "config.json", {})
    for number in (1, 2, 3):
        write(folder, number)


def what_is_there(folder):
    """The number of the checkpoint that a run would go on from, and that of the model."""
    assert read_run(folder) is not None  # what a list does, or a start
    for place in (folder, folder / "ckpt"):
        safe_io.remove_leftovers(place)
    state, meta = newest(folder)
    assert state["x"][0] == meta["number"]
    assert verify_result(folder)
    return meta["number"], json.loads((folder / "model.json").read_bytes())["number"]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_at_any_operation(tmp_path, error):
    folder = tmp_path / "run"
    begin(folder)
    expected = {(3, 3), (4, 3), (4, 4)}
    for n in itertools.count(1):
        with faults.injected(f"*:{error}@{n}") as fault:
            try:
                write(folder, 4)
            except BaseException as failure:  # noqa: BLE001 - whatever it is
                told = safe_io.as_user_error(failure, folder)
                assert (told is not None and told.exit_code == ExitCode.DISK_FULL) == (error == "ENOSPC")
        assert what_is_there(folder) in expected
        assert len(list_checkpoints(folder)) >= 2
        assert not list(folder.rglob(".tmp-*"))
        if fault.seen < n:
            break
        write(folder, 3)
    assert n > 20
    assert what_is_there(folder) == (4, 4)


def test_what_the_disk_has_changed_takes_nobody_s_place(tmp_path, monkeypatch):
    """A bit that is another when the new checkpoint is read again: the older ones stay, and it can be written later."""
    folder = tmp_path / "run"
    begin(folder)
    before, real = [path.name for path in list_checkpoints(folder)], safe_io.sync_folder

    def flips(place):
        for file in place.glob("state.pt"):
            data = bytearray(file.read_bytes())
            data[-1] ^= 1
            file.write_bytes(bytes(data))
        real(place)

    with monkeypatch.context() as patch:
        patch.setattr(safe_io, "sync_folder", flips)
        with pytest.raises(OSError, match="reads otherwise") as failure:
            write(folder, 4)
    assert safe_io.as_user_error(failure.value, folder).exit_code == ExitCode.RETRY
    assert [path.name for path in list_checkpoints(folder)] == before
    write(folder, 4)
    assert what_is_there(folder) == (4, 4)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kill_at_any_operation(tmp_path):
    """In a process of its own that writes as the engine does, forked so that torch need not be imported each time."""
    script = """
        import os, shutil, sys
        sys.path[:0] = sys.argv[3:]
        from pathlib import Path
        from robust.test_writer import begin, write
        from tlstudio import faults
        root = Path(sys.argv[1])
        for n in range(1, int(sys.argv[2]) + 1):
            shutil.copytree(root / "count", root / str(n))
            child = os.fork()
            if not child:
                faults.active = faults.Fault(f"*:KILL@{n}")
                write(root / str(n), 4)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
    for name in ("count", "other"):
        begin(tmp_path / name)
    with faults.injected() as fault:
        write(tmp_path / "other", 4)
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path, str(fault.seen + 1), here, os.path.dirname(here)],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    assert ended == ["-9"] * fault.seen + ["0"]
    found = [what_is_there(tmp_path / str(n)) for n in range(1, fault.seen + 2)]
    assert set(found) == {(3, 3), (4, 3), (4, 4)}
    assert found == sorted(found)
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.parametrize(("text", "words"), [
    ("write", "write:ENOSPC@2"), ("paint:ENOSPC@1", "no operation 'paint'"), ("write:EWHAT@1", "'EWHAT' is no errno"),
    ("write:errorcode@1", "is no errno"), ("worker:SIGKILL@3", "no thread can be killed alone"),
])  # fmt: skip
def test_the_switch_says_what_it_does_not_know(text, words):
    with pytest.raises(ValueError, match=words):
        faults.Fault(text)
    environment = {**os.environ, "TLSTUDIO_FAULT": text}
    command = [sys.executable, "-m", "tlstudio", "runs", "list"]
    done = subprocess.run(command, env=environment, cwd=Path(tlstudio.__file__).parent.parent, capture_output=True, text=True)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_is_a_thread_that_reads():
    with faults.injected("worker:EIO@2") as fault:
        fault.count("read")
        fault.count("write")
        with pytest.raises(OSError, match="Input/output"):
            fault.count("read")
    with faults.injected("*:EIO@1") as fault:
        fault.count("read")
        fault.count("step")
        assert fault.seen == 0  # any operation is any that writes


def test_leftovers_of_the_living_and_of_other_machines_stay(tmp_path):
    mine = safe_io._own_prefix()
    dead = mine.replace(str(os.getpid()), str(2**22 + 1))
    for name in (f"{mine}a", f"{dead}b", ".tmp-7-ffffff-c", ".tmp-old"):
        (tmp_path / name).mkdir()
    safe_io.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"{mine}a", ".tmp-7-ffffff-c", ".tmp-old"}
