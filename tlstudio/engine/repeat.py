"""Puts the runs of a group that are missing into the queue. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlstudio.engine.run import make_run
from tlstudio.registry.catalog import Catalog
from tlstudio.runs.groups import Member, missing
from tlstudio.runs.store import list_runs


def enqueue_missing(members: Sequence[Member], catalog: Catalog, workspace: Path) -> list[tuple[Member, str, Path]]:
    """What of a group is not done, does not wait and is not going waits from now on; returns it with the runs' ids and folders.

    Raises:
        UserError: a name or an option is wrong.
        OSError: the workspace cannot be written; those before it wait.
    """
    wanted = missing(members, list_runs(workspace))
    return [(each, *make_run(each.config, catalog, workspace, waits=True, group=each.record)) for each in wanted]
