"""``tlstudio weights``: which pretrained weights are on this machine, and whether a file of weights can be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.api.backbone import BackboneSpec
    from tlstudio.registry import Catalog

app = typer.Typer(help="List known weights, and check a file of weights.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the published weights that the plugins know, and where they lie on this machine."""
    from tlstudio.registry.catalog import weights_folder

    rows = _known(session_of(context).catalog())
    if as_json:
        output.print_json(rows)
        return
    shown = [[row["backbone"], row["name"], f"{row['params'] / 1e6:.1f} M", "here" if row["path"] else "–"] for row in rows]
    output.print_table(["backbone", "weights", "parameters", "on this machine"], shown, right=(2,))
    output.print_line(f"\nNothing is ever downloaded by itself. Put files, under their own names, into {weights_folder()}")
    output.print_line("`tlstudio weights list --json` says where each comes from.")


@app.command()
def check(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .pth, .pt or .safetensors file.")],
    model: Annotated[
        str, typer.Option("--model", metavar="BACKBONE", help="The network it should fit.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a file of weights is safe and sound, and how it fits a network. Nothing in it is ever run."""
    from tlstudio.api.errors import WeightsError

    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError(f"There is no file {path}.")
    spec = _backbone(session_of(context).catalog(), model) if model else None
    from tlstudio.engine.weights import check_weights

    report = check_weights(path, spec)
    value = {
        "file": str(path), "format": report.format, "sha256": report.sha256, "known": report.known,
        "matched": list(report.matched), "reshaped": list(report.reshaped), "missing": list(report.missing),
        "unexpected": list(report.unexpected),
    }  # fmt: skip
    if as_json:
        output.print_json(value)
        return
    output.print_line(f"{path}: {report.format}, SHA-256 {report.sha256}")
    output.print_line(f"These are the published weights {report.known}." if report.known else "Not known as published weights.")
    for word in ("matched", "reshaped", "missing", "unexpected"):
        names = getattr(report, word)
        if names:
            output.print_line(f"{len(names):5} {word}" + ("" if word == "matched" else f": {_some(names)}"))


def _known(catalog: Catalog) -> list[dict[str, Any]]:
    rows = []
    for backbone, spec in sorted(catalog.backbones.items()):
        for weights in spec.weights:
            path = weights.locate()
            rows.append(
                {
                    "backbone": backbone, "name": weights.name, "title": weights.title, "path": str(path) if path else "",
                    "source": weights.source, "sha256": weights.sha256, "trained_on": weights.trained_on,
                    "metrics": dict(weights.metrics), "licence": weights.licence, "params": spec.params,
                }
            )  # fmt: skip
    return rows


def _backbone(catalog: Catalog, name: str) -> BackboneSpec:
    from tlstudio.api.errors import UserError

    matches = [spec for key, spec in catalog.backbones.items() if name in {key, key.partition("/")[2]}]
    if len(matches) != 1:
        from difflib import get_close_matches

        bare = {key.partition("/")[2]: key for key in catalog.backbones}
        near = get_close_matches(name, [*catalog.backbones, *bare], n=3)
        raise UserError(
            f"There is no backbone {name!r}." if not matches else f"There is more than one backbone {name!r}.",
            hint="Did you mean " + " or ".join(near) + "?" if near else "Known: " + ", ".join(sorted(catalog.backbones)),
        )
    return matches[0]


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
