"""``tlstudio runs``: list, show, continue, check and delete what was trained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output, repeat, runs_again, runs_compare, runs_notes, runs_steer, trash
from tlstudio.cli.session import session_of
from tlstudio.cli.train import Full, OnFull

if TYPE_CHECKING:
    from tlstudio.runs.store import RunInfo

app = typer.Typer(help="List, show, continue, check and delete runs.", no_args_is_help=True, rich_markup_mode=None)

repeat.add_to(app)
runs_compare.add_to(app)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List all runs of the workspace, the newest first."""
    from tlstudio.runs.store import list_runs

    workspace = session_of(context).workspace
    infos = list_runs(workspace)
    if as_json:
        output.print_json([_as_json(info) for info in infos])
    elif not infos:
        output.print_line(f"No runs yet in {workspace}. Train a model: {output.program()} train DATA")
    else:
        rows = [
            [info.id, time.strftime("%Y-%m-%d %H:%M", time.localtime(info.created)), info.status, info.name,
             str(info.epochs_done), output.percent(_accuracy(info)), output.duration(info.seconds)]
            for info in infos
        ]  # fmt: skip
        heads = ["id", "started", "status", "what", "epochs", "accuracy", "time"]
        if any(info.group for info in infos):
            heads, rows = [*heads, "group"], [[*row, info.group] for row, info in zip(rows, infos, strict=True)]
        if any(info.tags for info in infos):
            heads, rows = [*heads, "tags"], [[*row, ", ".join(info.tags)] for row, info in zip(rows, infos, strict=True)]
        output.print_table(heads, rows, right=(4, 5, 6))


@app.command()
def show(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Show one run: how it ended, its figures epoch by epoch, its settings."""
    from tlstudio.api.events import EpochDone
    from tlstudio.runs.replay import read_events

    info = session_of(context).run(run)
    epochs = [event for event in read_events(info.folder, steps=False) if isinstance(event, EpochDone)]
    if as_json:
        history = [{"epoch": e.epoch, "train": e.train, "val": e.val, "seconds": e.seconds, "best": e.best} for e in epochs]
        output.print_json({**_as_json(info), "history": history})
        return
    output.print_line(f"{info.name} ({info.id}), {info.status}")
    if info.error:
        output.print_line(f"It failed: {info.error}")
    if info.parent:
        output.print_line(f"Its weights are the result of run {info.parent}.")
    if info.tags:
        output.print_line(f"Tags: {', '.join(info.tags)}")
    if info.notes:
        output.print_line(f"Notes: {info.notes}")
    output.print_line(f"Folder: {info.folder}")
    output.print_line("Model: " + (str(info.model_file) if info.model_file.is_file() else "none") + "\n")
    if epochs:
        output.print_table(["epoch", "train loss", "train accuracy", "val loss", "val accuracy", "time", ""],
                           [_epoch_row(event) for event in epochs], right=range(6))  # fmt: skip
        output.print_line("")
    for section, values in info.config.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            output.print_line(f"{section}.{key} = {value}")


@app.command()
def resume(context: typer.Context, run: Run, on_full: OnFull = Full.PAUSE, as_json: AsJson = False) -> None:
    """Go on with a run that was stopped or broke off, where its newest checkpoint is."""
    raise typer.Exit(_go_on(context, run, None, on_full, as_json=as_json))


@app.command()
def extend(
    context: typer.Context,
    run: Run,
    epochs: Annotated[int, typer.Argument(metavar="EPOCHS", min=1, help="How many epochs more.")],
    on_full: OnFull = Full.PAUSE,
    as_json: AsJson = False,
) -> None:
    """Give a run more epochs, and go on with it."""
    raise typer.Exit(_go_on(context, run, epochs, on_full, as_json=as_json))


def _go_on(context: typer.Context, run: str, epochs: int | None, on_full: Full, *, as_json: bool) -> int:
    from tlstudio.cli.train import errors_as_events, follow
    from tlstudio.engine.run import resume_run

    session = session_of(context)
    with errors_as_events(as_json):
        folder, catalog = session.run(run).folder, session.catalog()
    return follow(lambda control: resume_run(folder, catalog, session.workspace, control, epochs),
                  as_json=as_json, on_full=on_full)  # fmt: skip


@app.command()
def verify(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Check by SHA-256 that a run's checkpoints and model are as they were written."""
    from tlstudio.api.errors import ExitCode
    from tlstudio.runs.checkpoints import verify_run

    info = session_of(context).run(run)
    intact, damaged = verify_run(info.folder)
    if as_json:
        output.print_json({"run": info.id, "intact": intact, "damaged": damaged})
    else:
        for name in intact:
            output.print_line(f"intact   {name}")
        for name in damaged:
            output.print_line(f"DAMAGED  {name}")
        if not intact:
            what = "Nothing of the run {} is intact." if damaged else "The run {} has no checkpoint and no model yet."
            output.print_line(what.format(info.id))
    raise typer.Exit(int(ExitCode.DATA) if damaged else 0)


@app.command()
def delete(
    context: typer.Context, runs: Annotated[list[str], typer.Argument(metavar="RUN...")], as_json: AsJson = False
) -> None:
    """Move runs to the workspace's trash folder, from where you can take them back."""
    from tlstudio.runs.store import delete_run

    trash.move(context, runs, delete_run, as_json=as_json)


runs_notes.add_to(app)
runs_steer.add_to(app)
runs_again.add_to(app)


def _as_json(info: RunInfo) -> dict[str, Any]:
    return {
        "id": info.id, "name": info.name, "folder": str(info.folder), "created": info.created, "status": info.status,
        "backbone": info.backbone, "dataset": info.dataset, "metrics": info.metrics, "epochs_done": info.epochs_done,
        "best_epoch": info.best_epoch, "seconds": info.seconds, "error": info.error,
        "parent": info.parent, "group": info.group,
        "images_per_s": info.images_per_s, "notes": info.notes, "tags": list(info.tags),
        "model": str(info.model_file) if info.model_file.is_file() else "", "config": info.config,
    }  # fmt: skip


def _accuracy(info: RunInfo) -> float | None:
    return next((info.metrics[key] for key in ("val_accuracy", "train_accuracy") if key in info.metrics), None)


def _epoch_row(event: Any) -> list[str]:
    cells = [str(event.epoch + 1)]
    for metrics in (event.train, event.val):
        cells += [f"{metrics['loss']:.4f}" if "loss" in metrics else "–", output.percent(metrics.get("accuracy"))]
    return [*cells, output.duration(event.seconds), "best" if event.best else ""]
