"""Where a run stands: whether it can go on, and from where; and which runs of a workspace were broken off. Knows files only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlstudio.runs import spool
from tlstudio.runs.checkpoints import FORMAT, newest_intact, read_meta, step_of
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import RunInfo, newest_folders, read_run

_LOOKED_AT = 30  # an interrupted run that is older than so many others is nobody's concern any more
_TAIL = 2**16
_ENDS = (b'"event":"RunFinished"', b'"event":"RunFailed"')


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A run that is not going, and may go on.

    Args:
        step: optimiser steps that its newest intact checkpoint has; 0 where there is none, and it would begin anew.
        epoch: the epoch that would go on, from 0.
        epochs: of the whole run, as it is now.
    """

    run: RunInfo
    step: int
    epoch: int
    epochs: int

    @property
    def finished(self) -> bool:
        """Whether it would need more epochs to go on."""
        return self.run.status == "completed"


def standing_of(run: RunInfo) -> Standing | None:
    """Where a run would go on; ``None`` where it cannot: it is going or waits, or is finished and has no intact checkpoint.

    Reads the newest checkpoint to see whether it is intact, which takes a moment.
    """
    if run.status in ("running", "queued"):
        return None
    checkpoint = spool.found(run.folder) or newest_intact(run.folder)[0]
    meta: dict[str, Any] = read_meta(checkpoint) if checkpoint is not None else {}
    if (meta and meta.get("format") != FORMAT) or (checkpoint is None and run.status == "completed"):
        return None
    epochs = int(run.config.get("run", {}).get("epochs", 0))
    if checkpoint is None:
        return Standing(run=run, step=0, epoch=0, epochs=epochs)
    return Standing(run=run, step=step_of(checkpoint), epoch=int(meta.get("epoch", 0)), epochs=epochs)


def broken_off(workspace: Path, left: Collection[str] = ()) -> list[RunInfo]:
    """The runs of a workspace that broke off without an end, and those that were left when the window was closed, newest first.

    Args:
        left: ids of runs that were stopped because the window closed.
    """
    infos = [
        info
        for folder in newest_folders(workspace)[:_LOOKED_AT]
        if not _has_ended(folder) and (info := read_run(folder)) is not None
    ]
    found = [info for info in infos if info.status == "interrupted"]
    if left:
        others = (
            read_run(folder) for folder in newest_folders(workspace)[:_LOOKED_AT] if folder.name.rpartition("_")[2] in left
        )
        found += [info for info in others if info is not None and info.status in ("stopped", "cancelled")]
    return sorted(found, key=lambda info: info.created, reverse=True)


def _has_ended(folder: Path) -> bool:
    """Whether the last lines of the events tell of an end: a long run is not read for that."""
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            lines = [line for line in file.read().splitlines() if line.strip()]
    except OSError:
        return False
    return bool(lines) and any(end in lines[-1] for end in _ENDS)
