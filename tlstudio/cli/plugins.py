"""``tlstudio plugins``: what was found, what works, and what does not, with the reason. Imports neither torch nor Qt."""

from __future__ import annotations

import dataclasses
import textwrap
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.registry import Catalog, PluginRecord

_WIDTH = 98
_FEW = 6
_FAMILIES = 12
_GLUE = "\N{NO-BREAK SPACE}"

app = typer.Typer(help="See which plugins there are.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """See which plugins there are."""


@app.command("list")
def list_(
    context: typer.Context,
    all_: Annotated[
        bool, typer.Option("--all", help="Name all that each plugin adds, and what is not offered with the reason.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """List all plugins; one that failed is listed with its reason."""
    from tlstudio import paths

    catalog = session_of(context).catalog()
    records = catalog.plugins
    if as_json:
        output.print_json([_as_json(record, catalog) for record in records])
        return
    output.print_table(
        ["plugin", "version", "from", "status", "adds"],
        [[r.name, r.version, r.origin, r.status, f"{len(r.provides)}" if r.provides else "–"] for r in records],
    )
    for record in records:
        if record.provides:
            output.print_line(f"\n{record.name} adds")
            for line in record.provides if all_ else _summary(record, catalog):
                output.print_line(f"  {line}")
    _print_refused(catalog.refused, whole=all_)
    for record in records:
        if record.error:
            output.print_line(f"\n{record.name} ({record.status}, {record.location}): {record.error}")
    _print_observers(catalog)
    if not all_:
        output.print_line(f"\n`{output.program()} plugins list --all` names all of them.")
    output.print_line(f"\nYour own plugins go into {paths.user_plugins()}")


def _summary(record: PluginRecord, catalog: Catalog) -> list[str]:
    """What a plugin adds in a line for each kind: the names where they are few, else how many of which families."""
    lines = []
    for one, more, specs in (
        ("data set", "data sets", catalog.datasets),
        ("freezing strategy", "freezing strategies", catalog.strategies),
        ("observer of runs", "observers of runs", catalog.observers),
        ("backbone", "backbones", catalog.backbones),
    ):
        names = [name for name in record.provides if name in specs]
        if len(names) > _FEW and specs is catalog.backbones:
            counts = Counter(catalog.backbones[name].family for name in names)
            words = [f"{family}{_GLUE}({count})" for family, count in counts.most_common(_FAMILIES)]
            if len(counts) > _FAMILIES:
                words.append(f"and {len(counts) - _FAMILIES} more families")
        else:
            words = [name.partition("/")[2] for name in names]
        if names:
            text = f"{len(names)} {one if len(names) == 1 else more}: {', '.join(words)}"
            wrapped = textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
            lines += [line.replace(_GLUE, " ") for line in wrapped]
    return lines


def _as_json(record: PluginRecord, catalog: Catalog) -> dict[str, Any]:
    from tlstudio.registry.observers import read_faults

    own = f"{record.name}/"
    faults = [dataclasses.asdict(fault) for name, fault in read_faults().items() if name.startswith(own)]
    missing = {name: spec.missing for name, spec in catalog.observers.items() if name.startswith(own) and spec.missing}
    return {**dataclasses.asdict(record), "missing": missing, "faults": faults}


def _print_observers(catalog: Catalog) -> None:
    """What observers lack, and how those failed that did."""
    from tlstudio.registry.observers import read_faults

    for name, spec in catalog.observers.items():
        if spec.missing:
            output.print_line(f"\n{name} is idle: {spec.missing}")
    for fault in read_faults().values():
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(fault.time))
        output.print_line(f"\n{fault.observer} failed in the run {fault.run} ({when}): {fault.error}")
        output.print_line(textwrap.indent(fault.details.rstrip(), "  "))


def _print_refused(refused: Mapping[str, str], *, whole: bool) -> None:
    if refused and not whole:
        output.print_line(f"\nNot offered: {len(refused)} networks and sets of weights (--all says which, and why)")
    elif refused:
        output.print_line("\nNot offered:")
        for name, reason in refused.items():
            output.print_line(f"  {name}: {reason}")
