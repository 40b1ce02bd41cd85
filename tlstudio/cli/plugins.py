"""``tlstudio plugins``: what was found, what works, and what does not, with the reason. Imports neither torch nor Qt."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

app = typer.Typer(help="See which plugins there are.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """See which plugins there are."""


@app.command("list")
def list_(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False
) -> None:
    """List all plugins; one that failed is listed with its reason."""
    from tlstudio import paths

    records = session_of(context).catalog().plugins
    if as_json:
        output.print_json([dataclasses.asdict(record) for record in records])
        return
    output.print_table(
        ["plugin", "version", "from", "status", "adds"],
        [[r.name, r.version, r.origin, r.status, f"{len(r.provides)}" if r.provides else "–"] for r in records],
    )
    for record in records:
        if record.provides:
            output.print_line(f"\n{record.name} adds " + ", ".join(record.provides))
    for record in records:
        if record.error:
            output.print_line(f"\n{record.name} ({record.status}, {record.location}): {record.error}")
    output.print_line(f"\nYour own plugins go into {paths.user_plugins()}")
