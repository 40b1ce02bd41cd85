"""A checkpoint that cannot be written into its run's folder, whose drive is gone or full, waits on a disk of this machine.

<home>/spool/<the name of the run's folder>/ckpt/step-…

Its ``meta.json`` also has what the run had told by then: how many bytes of its events are surely on the disk (``events``), the
last line of these (``last``), and the lines after them (``untold``).
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlstudio import paths, safe_io
from tlstudio.runs.checkpoints import checkpoint_folder, list_checkpoints, newest_intact, read_meta, step_of, verify_checkpoint
from tlstudio.runs.replay import EVENTS_FILE

_DAYS_KEPT = 30


def waiting_folder(run_folder: Path) -> Path:
    """Where what a run could not write into its folder waits."""
    return paths.home() / "spool" / run_folder.name


def make_room(run_folder: Path) -> Path:
    """The folder of `waiting_folder`, made and empty; what has waited for a month is taken away.

    Raises:
        OSError: it cannot be made.
    """
    folder = waiting_folder(run_folder)
    drop(run_folder)
    folder.mkdir(parents=True)
    for other in folder.parent.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _DAYS_KEPT * 86400:
                safe_io.remove_folder(other)
    return folder


def found(run_folder: Path) -> Path | None:
    """The intact checkpoint that waits for a run, unless the run has gone on without it, or has come as far."""
    newest, _ = newest_intact(waiting_folder(run_folder))
    if newest is None or not _begin_as_then(run_folder / EVENTS_FILE, read_meta(newest)):
        return None
    later = [known for known in list_checkpoints(run_folder) if step_of(known) >= step_of(newest)]
    return None if any(verify_checkpoint(known) for known in later) else newest


def fetch(run_folder: Path) -> None:
    """Put the checkpoint that waits for a run into its folder; then nothing waits any more.

    Raises:
        OSError: it cannot be written there, or there is no such folder: it still waits.
    """
    if not waiting_folder(run_folder).is_dir():
        return
    if not run_folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run_folder))
    newest = found(run_folder)
    if newest is not None:
        _copy(newest, checkpoint_folder(run_folder, step_of(newest)))
    drop(run_folder)


def drop(run_folder: Path) -> None:
    """Nothing waits for the run any more."""
    with contextlib.suppress(OSError):
        safe_io.remove_folder(waiting_folder(run_folder))


def _begin_as_then(events: Path, meta: Mapping[str, Any]) -> bool:
    """Whether a run still tells what it had told, and has not gone on in another way since."""
    end, last, untold = int(meta["events"]), meta["last"].encode(), meta["untold"].encode().splitlines(keepends=True)
    try:
        with events.open("rb") as file:
            file.seek(end - len(last))
            same = file.read(len(last)) == last
            after = file.readline()
    except OSError:
        same, after = end == 0, b""
    return same and (not untold or not after.endswith(b"\n") or after == untold[0])


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        safe_io.remove_folder(target)
    with safe_io.atomic_folder(target) as temporary:
        for file in source.iterdir():
            safe_io.copy(file, temporary / file.name)
        if not verify_checkpoint(temporary):
            raise OSError(errno.EIO, "a checkpoint reads otherwise than it was written", str(target))
