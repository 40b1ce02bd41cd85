"""Moves runs to the workspace's trash, for the commands that do: ``runs delete``, ``queue cancel``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.runs.store import RunInfo


def move(context: typer.Context, runs: Sequence[str], mover: Callable[[Path, RunInfo], Path], *, as_json: bool) -> None:
    """Move each of these runs by ``mover(workspace, run)``, and say where it lies now; one that is named twice once.

    Raises:
        UserError: there is no such run, and none is moved; or one cannot be moved, and those before it are.
    """
    session = session_of(context)
    infos = {info.id: info for info in map(session.run, runs)}
    moved = []
    for info in infos.values():
        moved.append({"id": info.id, "trash": str(mover(session.workspace, info))})
        if not as_json:
            output.print_line(f"Moved {info.id} to {moved[-1]['trash']}")
    if as_json:
        output.print_json(moved)
