"""What a user says of runs and reads from several: ``tlstudio runs note | tag | diff | export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.runs.notes import RunNotes
    from tlstudio.runs.store import RunInfo

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (note, tag, diff, export):
        app.command()(command)


def note(
    context: typer.Context,
    run: Run,
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="The note; '' takes it away.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say something about a run; without a text, print what was said."""
    from tlstudio.runs.notes import RunNotes

    info = session_of(context).run(run)
    said = RunNotes(text=info.notes, tags=info.tags)
    if text is not None:
        said = _keep(info, RunNotes(text=text, tags=info.tags))
    _tell(info, said, said.text, as_json)


def tag(
    context: typer.Context,
    run: Run,
    tags: Annotated[list[str] | None, typer.Argument(metavar="TAG...", help="Tags to add.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="TAG", help="Take one off; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tag a run, or take tags off it; without either, print its tags."""
    from tlstudio.runs.notes import RunNotes, clean_tags

    info = session_of(context).run(run)
    off = {word.casefold() for word in clean_tags(remove or ())}
    wanted = [word for word in clean_tags((*info.tags, *(tags or ()))) if word.casefold() not in off]
    said = RunNotes(text=info.notes, tags=tuple(wanted))
    if tags or remove:
        said = _keep(info, said)
    _tell(info, said, ", ".join(said.tags), as_json)


def diff(
    context: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Two runs, or more.")],
    as_json: AsJson = False,
) -> None:
    """Show the settings in which runs differ, and their results, side by side."""
    from tlstudio.runs.table import FIELDS, FIGURES, differing_settings

    if len(runs) < 2:
        raise typer.BadParameter("name two runs, or more")
    session = session_of(context)
    infos = [session.run(text) for text in runs]
    settings = differing_settings(infos)
    if as_json:
        rows = {name: list(values) for name, values in settings.items()}
        figures = {name: [FIELDS[name](info) for info in infos] for name in FIGURES}
        output.print_json({"runs": [info.id for info in infos], "settings": rows, "figures": figures})
        return
    headers = ["", *(info.id for info in infos)]
    output.print_table(headers, [["name", *(info.name for info in infos)], *_figure_rows(infos)])
    output.print_line("")
    if settings:
        rows_ = [[name, *("–" if value is None else str(value) for value in row)] for name, row in settings.items()]
        output.print_table(["setting", *(info.id for info in infos)], rows_)
    else:
        output.print_line("All settings are the same.")


def export(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE.csv")],
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Only these; by default all.")] = None,
    columns: Annotated[str, typer.Option("--columns", metavar="NAMES", help="Only these columns, with commas between.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write the table of runs as a CSV file: what each is, how it ended, notes and tags."""
    from pathlib import Path

    from tlstudio import safe_io
    from tlstudio.runs.store import list_runs
    from tlstudio.runs.table import FIELDS, write_csv

    wanted = [name.strip() for name in columns.split(",") if name.strip()] or list(FIELDS)
    unknown = [name for name in wanted if name not in FIELDS]
    if unknown:
        raise typer.BadParameter(f"no column {unknown[0]!r}; there are {', '.join(FIELDS)}", param_hint="--columns")
    session = session_of(context)
    infos = [session.run(text) for text in runs] if runs else list_runs(session.workspace)
    path = Path(file).expanduser().absolute()
    try:
        write_csv(path, infos, wanted)
    except OSError as error:
        raise safe_io.as_user_error(error, path.parent) or _unwritten(path, error) from None
    if as_json:
        output.print_json({"file": str(path), "runs": len(infos), "columns": wanted})
    else:
        output.print_line(f"Wrote {len(infos)} runs to {path}")


def _keep(info: RunInfo, said: RunNotes) -> RunNotes:
    from tlstudio import safe_io
    from tlstudio.runs.notes import write_notes

    try:
        write_notes(info.folder, said)
    except OSError as error:
        raise safe_io.as_user_error(error, info.folder) or _unwritten(info.folder, error) from None
    return said


def _unwritten(path: Any, error: OSError) -> Exception:
    from tlstudio.api.errors import UserError

    return UserError(f"{path} cannot be written.", detail=str(error), hint="Check that its folder exists.")


def _tell(info: RunInfo, said: RunNotes, text: str, as_json: bool) -> None:
    if as_json:
        output.print_json({"id": info.id, "notes": said.text, "tags": list(said.tags)})
    else:
        output.print_line(text)


def _figure_rows(infos: list[RunInfo]) -> list[list[str]]:
    from tlstudio.runs.table import FIELDS

    def loss(value: Any) -> str:
        return "–" if value is None else f"{value:.4f}"

    return [
        ["status", *(info.status for info in infos)],
        ["epochs", *(str(info.epochs_done) for info in infos)],
        ["best epoch", *(str(FIELDS["best_epoch"](info) or "–") for info in infos)],
        ["val accuracy", *(output.percent(info.metrics.get("val_accuracy")) for info in infos)],
        ["val loss", *(loss(info.metrics.get("val_loss")) for info in infos)],
        ["time", *(output.duration(info.seconds) for info in infos)],
        ["images/s", *(f"{info.images_per_s:.0f}" if info.images_per_s else "–" for info in infos)],
    ]
