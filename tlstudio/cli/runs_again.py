"""``tlstudio runs keep|again|reproduce``: what a run has learned, to use and to begin another from; and a run done again."""

from __future__ import annotations

from typing import Annotated

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of
from tlstudio.cli.train import AsJson, Full, OnFull, Settings

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(keep)
    app.command()(again)
    app.command()(reproduce)


def keep(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Keep the model of a run that broke off: the best epoch's in its newest checkpoint. The run can go on as before."""
    from tlstudio.engine.keep import keep_model

    session = session_of(context)
    info = session.run(run)
    model = keep_model(info.folder, session.catalog(), session.workspace)
    if as_json:
        output.print_json({"run": info.id, "model": str(model)})
    else:
        output.print_line(f"The model is in {info.folder}")
        output.print_line(f"  {output.program()} predict {info.id} IMAGES")


def again(
    context: typer.Context, run: Run, settings: Settings = None, on_full: OnFull = Full.PAUSE, as_json: AsJson = False
) -> None:
    """Begin a new run from what a run has learned, with its settings and those that are given here."""
    from tlstudio.cli import train
    from tlstudio.engine.keep import keep_model
    from tlstudio.runs.continued import continued

    session = session_of(context)
    with train.errors_as_events(as_json):
        info, catalog = session.run(run), session.catalog()
        if not info.model_file.is_file():
            keep_model(info.folder, catalog, session.workspace)
        config = continued(info, settings or ())
    raise typer.Exit(train.run(config, catalog, session, as_json=as_json, on_full=on_full))


def reproduce(
    context: typer.Context,
    run: Run,
    check: Annotated[bool, typer.Option("--check", help="Only say what is not as it was then; 1 if anything is.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Train even if something is not as it was then.")] = False,
    on_full: OnFull = Full.PAUSE,
    as_json: AsJson = False,
) -> None:
    """Do a run again as it was: the same settings, seeds, images, split and edits, computed in the same way."""
    from tlstudio.api.errors import UserError
    from tlstudio.cli import train
    from tlstudio.engine.reproduce import changes_since, reproduce_run

    session = session_of(context)
    with train.errors_as_events(as_json):
        info, catalog = session.run(run), session.catalog()
        changes = changes_since(info, catalog, session.workspace)
        if changes and not (check or anyway):
            raise UserError(
                f"The run {info.id} cannot be done again exactly.", detail="\n".join(changes),
                hint="To train all the same: --anyway.",
            )  # fmt: skip
    if check:
        if as_json:
            output.print_json({"run": info.id, "changes": changes})
        else:
            for line in changes or ["All is as it was then."]:
                output.print_line(line)
        raise typer.Exit(int(bool(changes)))
    raise typer.Exit(train.follow(lambda control: reproduce_run(info, catalog, session.workspace, control),
                                  as_json=as_json, on_full=on_full))  # fmt: skip
