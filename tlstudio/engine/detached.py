"""Starts a process that trains by itself: it outlives the terminal or the window that started it. Imports no torch."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlstudio import safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.engine.run import make_run
from tlstudio.registry.catalog import Catalog
from tlstudio.runs.lock import name_holder

LOG_FILE = "log.txt"


@dataclass(frozen=True, kw_only=True)
class DetachedRun:
    """A run in a process of its own."""

    id: str
    folder: Path
    pid: int

    @property
    def log(self) -> Path:
        """What the process prints."""
        return self.folder / LOG_FILE


def start_detached(config: TrainConfig, catalog: Catalog, workspace: Path, options: Sequence[str]) -> DetachedRun:
    """Train in a process of its own; returns at once.

    Args:
        config: what to do.
        catalog: where its names are looked up.
        workspace: the run's folder is made below its ``runs``.
        options: for its command line: the workspace, and which plugins not to load.

    Raises:
        UserError: a name or an option is wrong.
        OSError: the workspace cannot be written, or no process can be started.
    """
    run_id, folder = make_run(config, catalog, workspace, waits=False)
    try:
        pid = detach(["runs", "resume", str(folder), *options], folder / LOG_FILE)
    except OSError:
        safe_io.remove_folder(folder)  # nobody would ever begin it
        raise
    name_holder(folder, pid)
    return DetachedRun(id=run_id, folder=folder, pid=pid)


def detach(words: Sequence[str], log: Path) -> int:
    """Run a command line of this program in a session of its own, what it prints appended to a file; returns its number.

    Raises:
        OSError: no process can be started, or the file cannot be written.
    """
    with safe_io.open_append(log) as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tlstudio", *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_APART
        )
    threading.Thread(target=process.wait, name="detached", daemon=True).start()  # or it would look alive after its end
    return process.pid


def _apart() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


_APART = _apart()
