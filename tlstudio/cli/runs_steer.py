"""``tlstudio runs follow|pause|continue|stop|cancel``: watch and steer runs that other processes train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tlstudio.cli import output, signals
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.runs.wishes import RunWish

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
_ASKED = {
    "pause": "holds after its current step",
    "continue": "goes on",
    "stop": "ends after its current step and keeps its model",
    "cancel": "ends after its current step and keeps no model",
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (follow, pause, stop, cancel):
        app.command()(command)
    app.command("continue")(continue_)


def follow(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Show a run that another process trains, live until it ends. Ctrl+C leaves it alone; the run goes on."""
    from tlstudio.api.events import RunFailed, RunFinished
    from tlstudio.cli import progress
    from tlstudio.engine.control import Watcher
    from tlstudio.engine.follow import follow_run

    info = session_of(context).run(run)
    if info.status == "queued" and not as_json:
        output.print_line("The run waits in the queue; it is shown when it begins.")
    control = Watcher()
    with signals.caught(control.leave, "The run goes on.") as caught:
        last, heard = progress.follow(follow_run(info.folder, control), as_json=as_json)
    if caught:
        raise typer.Exit(128 + caught[0])
    if isinstance(last, RunFailed):
        progress.failure(last)
        raise typer.Exit(last.exit_code)
    if isinstance(last, RunFinished) and not as_json and heard:
        output.print_line(progress.summary(last))


def pause(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Hold a run that another process trains, until it is told to continue."""
    _send(context, run, "pause", as_json=as_json)


def continue_(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Let a run go on that was paused."""
    _send(context, run, "continue", as_json=as_json)


def stop(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """End a run that another process trains, and keep its best model so far."""
    _send(context, run, "stop", as_json=as_json)


def cancel(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """End a run that another process trains, and keep no model."""
    _send(context, run, "cancel", as_json=as_json)


def _send(context: typer.Context, run: str, wish: RunWish, *, as_json: bool) -> None:
    from tlstudio.runs import wishes

    info = session_of(context).run(run)
    wishes.send(info, wish)
    if as_json:
        output.print_json({"run": info.id, "wish": wish})
    else:
        output.print_line(f"Asked for. The run {info.id} {_ASKED[wish]}.")
