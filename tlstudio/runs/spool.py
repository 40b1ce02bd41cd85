"""A checkpoint that cannot be written into its run's folder, whose drive is gone or full, waits on a disk of this machine.

<home>/spool/<the name of the run's folder>/ckpt/step-…
"""

from __future__ import annotations

import contextlib
import errno
import json
import time
from pathlib import Path

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
    """The intact checkpoint that waits for a run, unless the run has gone on without it, or has it."""
    newest, _ = newest_intact(waiting_folder(run_folder))
    return None if newest is None or _has_gone_on(run_folder, newest) else newest


def fetch(run_folder: Path) -> None:
    """Put the checkpoint that waits for a run into its folder; then nothing waits any more.

    Raises:
        OSError: it cannot be written there: it still waits.
    """
    folder = waiting_folder(run_folder)
    if not folder.is_dir():
        return
    with safe_io.locked(paths.home() / "spool.lock", seconds=600.0):  # another process of the same run waits until it is there
        newest = found(run_folder)
        if newest is not None:
            _copy(newest, run_folder)
        drop(run_folder)


def drop(run_folder: Path) -> None:
    """Nothing waits for the run any more."""
    with contextlib.suppress(OSError):
        safe_io.remove_folder(waiting_folder(run_folder))


def _has_gone_on(run_folder: Path, waits: Path) -> bool:
    """Whether a run has other checkpoints than when this one could not be written, or has it itself."""
    known = list_checkpoints(run_folder)
    step = step_of(known[-1]) if known else 0
    if step == step_of(waits):
        return verify_checkpoint(known[-1])
    return bool(step != read_meta(waits)["after"])


def _copy(source: Path, run_folder: Path) -> None:
    """Copy the checkpoint, when the events end where it was taken, with the one that could not be written then."""
    target, meta = checkpoint_folder(run_folder, step_of(source)), read_meta(source)
    events, untold = run_folder / EVENTS_FILE, str(meta.pop("untold")).encode()
    if meta["events"] is not None:  # else their file was gone, and nothing can have been told since
        safe_io.shorten(events, meta["events"])
    if untold and not (events.is_file() and events.read_bytes().endswith(untold)):
        safe_io.append_line(events, untold.rstrip(b"\n"))
    meta["events"] = safe_io.sync_file(events)
    if target.exists():
        safe_io.remove_folder(target)
    with safe_io.atomic_folder(target) as temporary:
        safe_io.copy(source / "state.pt", temporary / "state.pt")
        safe_io.write_json(temporary / "meta.json", meta)
        files = {"state.pt": _hashes(source)["state.pt"], "meta.json": safe_io.sha256(temporary / "meta.json")}
        safe_io.write_json(temporary / "MANIFEST.json", {"sha256": files})
        if not verify_checkpoint(temporary):
            raise OSError(errno.EIO, "a checkpoint reads otherwise than it was written", str(target))


def _hashes(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "MANIFEST.json").read_bytes())["sha256"]
    return found
