"""``tlstudio plugins``: what was found, what works, and what does not, with the reason. Imports neither torch nor Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

app = typer.Typer(help="See which plugins there are.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """See which plugins there are."""


_MOST_NAMED = 40


@app.command("list")
def list_(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name everything, and what is not offered with the reason.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List all plugins; one that failed is listed with its reason."""
    from tlstudio import paths

    catalog = session_of(context).catalog()
    records = catalog.plugins
    if as_json:
        output.print_json([dataclasses.asdict(record) for record in records])
        return
    output.print_table(
        ["plugin", "version", "from", "status", "adds"],
        [[r.name, r.version, r.origin, r.status, f"{len(r.provides)}" if r.provides else "–"] for r in records],
    )
    for record in records:
        if record.provides:
            output.print_line(f"\n{record.name} adds {_named(record.provides, whole=verbose)}")
    _print_refused(catalog.refused, whole=verbose)
    for record in records:
        if record.error:
            output.print_line(f"\n{record.name} ({record.status}, {record.location}): {record.error}")
    output.print_line(f"\nYour own plugins go into {paths.user_plugins()}")


def _named(names: tuple[str, ...], *, whole: bool) -> str:
    """The names, or only the first ones where they are many."""
    if whole or len(names) <= _MOST_NAMED:
        return ", ".join(names)
    return ", ".join(names[:_MOST_NAMED]) + f" and {len(names) - _MOST_NAMED} more (--verbose names all)"


def _print_refused(refused: Mapping[str, str], *, whole: bool) -> None:
    if refused and not whole:
        output.print_line(f"\nNot offered: {len(refused)} networks and sets of weights (--verbose says which, and why)")
    elif refused:
        output.print_line("\nNot offered:")
        for name, reason in refused.items():
            output.print_line(f"  {name}: {reason}")
