"""Runs that wait for their turn: ordinary run folders with their place in the order beside the settings.

So a list of runs shows them, deleting one takes it out, and a crash loses nothing. Who trains them holds `lock.hold_queue`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlstudio import safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.runs.lock import HOLDER_FILE, hold_still, is_held, process_of
from tlstudio.runs.store import QUEUED_FILE, RunInfo, create_run, read_run, runs_folder, to_trash


def enqueue(workspace: Path, config: TrainConfig, about: dict[str, Any]) -> tuple[str, Path]:
    """A new run at the end of the queue; returns its id and its folder.

    Args:
        about: what else ``run.json`` should keep, as for `create_run`.

    Raises:
        OSError: the workspace cannot be written.
    """
    place = max((_place(folder) for folder in _folders(workspace)), default=0) + 1
    return create_run(workspace, config, about, place=place)


def waiting(workspace: Path) -> list[RunInfo]:
    """The runs that wait, the next one first."""
    found = [(_place(folder), info) for folder in _folders(workspace) if (info := read_run(folder)) is not None]
    found = [(place, info) for place, info in found if info.status == "queued"]
    return [info for _, info in sorted(found, key=lambda item: (item[0], item[1].created, item[1].id))]


def move(workspace: Path, run: RunInfo, position: int) -> None:
    """Put a waiting run at this position, 1 for the next; one beyond the end is the last.

    Raises:
        UserError: the run does not wait.
        OSError: the workspace cannot be written.
    """
    order = [info for info in waiting(workspace) if info.id != run.id]
    _require_waiting(run)
    order.insert(max(position, 1) - 1, run)
    arrange(order)


def arrange(order: Sequence[RunInfo]) -> None:
    """Give waiting runs this order; those that have begun meanwhile are passed over. Raises `OSError`."""
    for place, info in enumerate(order, 1):
        if _place(info.folder) != place:
            with contextlib.suppress(UserError), hold_still(info.folder):
                if _waits(info.folder):
                    safe_io.write_json(info.folder / QUEUED_FILE, {"place": place})


def cancel(workspace: Path, run: RunInfo) -> Path:
    """Take a waiting run out, into the workspace's trash; returns where it lies now.

    Raises:
        UserError: the run does not wait, or not any more.
        OSError: it cannot be moved.
    """
    _require_waiting(run)
    with hold_still(run.folder):
        _require_waiting(run)
        return to_trash(workspace, run)


def begin(folder: Path) -> None:
    """A run waits no longer; the caller holds it. Raises `OSError`."""
    with contextlib.suppress(FileNotFoundError):
        (folder / QUEUED_FILE).unlink()


def at_work(workspace: Path) -> list[Path]:
    """Folders of runs that other processes of this machine are training now."""
    named = ((folder, process_of(folder)) for folder in _folders(workspace, HOLDER_FILE))
    return [folder for folder, process in named if process is not None and process[0] != os.getpid() and is_held(folder)]


def _require_waiting(run: RunInfo) -> None:
    if not _waits(run.folder):
        raise UserError(f"The run {run.id} does not wait in the queue.", hint="`tlstudio queue list` shows those that do.")


def _waits(folder: Path) -> bool:
    return (folder / QUEUED_FILE).is_file()


def _folders(workspace: Path, having: str = QUEUED_FILE) -> list[Path]:
    """The run folders that have a file of this name; of thousands few have."""
    try:
        with os.scandir(runs_folder(workspace)) as entries:
            return [Path(entry.path) for entry in entries if entry.name[0] != "." and os.path.exists(f"{entry.path}/{having}")]
    except OSError:
        return []


def _place(folder: Path) -> int:
    try:
        return int(json.loads((folder / QUEUED_FILE).read_bytes())["place"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
