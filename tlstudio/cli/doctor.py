"""``tlstudio doctor``: what this machine and this installation are, for a report or a first look when something is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    device: Annotated[bool, typer.Option("--device", help="Look for a GPU too; this loads torch.")] = False,
    bundle: Annotated[
        str, typer.Option("--bundle", metavar="FILE", help="Save this, the logs and the newest run's story as a zip.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show versions, memory, disk, plugins and weights. Ends with 1 where something needs attention."""
    from tlstudio.registry.examine import examine

    session = session_of(context)
    file = Path(bundle).expanduser().absolute() if bundle else None
    _refuse_existing(file)  # before all weights are read
    found = examine(session.catalog(), session.workspace)
    if device:
        found["device"] = _device()
    parts = _save(found, session.workspace, file) if file is not None else []
    if as_json:
        output.print_json({**found, "bundle": parts} if bundle else found)
    else:
        _print(found)
        if bundle:
            output.print_line(f"\nSaved in {bundle}, without images: {', '.join(parts)}.")
            output.print_line("Messages and notes may name files and people: look into it before you send it.")
    if found["problems"]:
        raise typer.Exit(1)


def _save(found: dict[str, Any], workspace: Path, file: Path) -> list[str]:
    """Write the bundle; returns the names of what is in it."""
    from tlstudio.registry.diagnostics import gather, write

    parts = gather(found, workspace)
    _refuse_existing(file)  # somebody may have made it meanwhile
    write(file, parts)
    return list(parts)


def _refuse_existing(file: Path | None) -> None:
    from tlstudio.api.errors import UserError

    if file is not None and file.exists():
        raise UserError(f"There is something at {file} already.", hint="Give the name of a new file.")


def _device() -> str:
    from tlstudio.api.config import RunConfig
    from tlstudio.engine.device import choose_place

    return choose_place(RunConfig()).title


def _print(found: dict[str, Any]) -> None:
    memory = found["memory_bytes"]
    output.print_line(f"tlstudio {found['tlstudio']}, Python {found['python']}, {found['system']}")
    output.print_line(f"{found['cpus']} CPUs" + (f", {memory / 2**30:.1f} GB memory" if memory else ""))
    output.print_line(", ".join(f"{name} {version or 'MISSING'}" for name, version in found["libraries"].items()))
    if "device" in found:
        output.print_line(f"Trains on: {found['device']}")
    writable = "writable" if found["workspace_writable"] else "NOT WRITABLE"
    output.print_line(f"Workspace: {found['workspace']} ({writable}, {found['free_bytes'] / 2**30:.1f} GB free)")
    output.print_line(f"Cache: {found['cache']} (may be deleted)")
    states = ", ".join(f"{p['name']} ({p['status']})" for p in found["plugins"])
    output.print_line(f"Plugins: {states or 'none'}")
    for item in found["weights"]:
        output.print_line(f"Weights: {item['name']}, {'intact' if item['intact'] else 'DAMAGED'}")
    output.print_line("")
    for problem in found["problems"]:
        output.print_line(f"! {problem}")
    if not found["problems"]:
        output.print_line("All is well.")
