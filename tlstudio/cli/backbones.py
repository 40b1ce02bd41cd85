"""``tlstudio backbones``: which pretrained networks there are, found by words. Imports neither torch nor Qt."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.registry.backbones import Listed, Sets

_ORDERS = ("family", "name", "params", "flops", "size", "accuracy")
_LARGE_FIRST = ("accuracy",)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(backbones)


def backbones(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORDS...]", help="Parts of a name or family, such as: resnet 18.", show_default=False),
    ] = None,
    here: Annotated[bool, typer.Option("--here", help="Only those with weights on this machine.")] = False,
    order: Annotated[
        str, typer.Option("--sort", metavar="ORDER", help=f"One of {', '.join(_ORDERS)}.", show_default=False)
    ] = "",
    all_: Annotated[bool, typer.Option("--all", help="List all of them, without words.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Find pretrained networks by words; without words, see the families and what is on this machine."""
    from tlstudio.api.errors import UserError
    from tlstudio.registry.backbones import all_sets, at_hand, families, in_order, list_backbones, search

    if order and order not in _ORDERS:
        raise UserError(f"Backbones cannot be sorted by {order!r}.", hint=f"It may be {', '.join(_ORDERS)}.")
    catalog = session_of(context).catalog()
    everything, query = list_backbones(catalog.backbones), " ".join(words or ())
    sets = all_sets(catalog.backbones)
    with_weights = at_hand(sets)
    summary = not (query or here or all_ or order or as_json)
    found = search(everything, query, with_weights)
    if here or summary:
        found = [item for item in found if item.name in with_weights]
    if order:
        found = in_order(found, order, descending=order in _LARGE_FIRST)
    if as_json:
        output.print_json([_row(item, sets) for item in found])
        return
    if summary:
        counts = families(everything)
        output.print_table(["family", "backbones"], [[name, str(count)] for name, count in counts.items()], right=(1,))
        output.print_line(f"\n{len(everything)} backbones in {len(counts)} families. With weights on this machine:\n")
    if found:
        _print(found, with_weights)
    else:
        output.print_line("None." if summary or here else f"No backbone is found by {query!r}.")
    if not sys.stdout.isatty():
        return  # a table and nothing else
    program = output.program()
    output.print_line(f"\n`{program} backbones WORDS` searches, `{program} backbones --all` lists all,")
    output.print_line(f"`{program} weights list BACKBONE` shows the weights of one and where they come from.")


def _print(found: list[Listed], with_weights: frozenset[str]) -> None:
    rows = [
        [
            item.name, item.spec.family, _count(item.spec.params), _count(item.spec.flops), f"{item.image_size}",
            output.percent(item.accuracy), _weights(item, with_weights),
        ]
        for item in found
    ]  # fmt: skip
    output.print_table(
        ["backbone", "family", "parameters", "multiply-adds", "pixels", "top-1", "weights"], rows, right=(2, 3, 4, 5)
    )


def _weights(item: Listed, with_weights: frozenset[str]) -> str:
    return "here" if item.name in with_weights else "–" if item.spec.weights else "none published"


def _count(count: int) -> str:
    """In millions, so that a column can be read down and sorted by other programs."""
    return f"{count / 1e6:,.1f} M" if count else "–"


def _row(item: Listed, sets: Sets) -> dict[str, Any]:
    spec, known = item.spec, sets[item.name]
    return {
        "backbone": item.name, "title": spec.title, "family": spec.family, "about": spec.about, "licence": spec.licence,
        "params": spec.params, "flops": spec.flops or None, "image_size": item.image_size, "fixed_size": spec.fixed_size,
        "accuracy": item.accuracy, "here": any(one.path is not None for one in known),
        "weights": [{"name": one.name, "path": str(one.path or ""), "published": one.spec is not None} for one in known],
    }  # fmt: skip
