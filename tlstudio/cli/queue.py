"""``tlstudio queue``: runs that wait for their turn, and the process that trains them one after the other."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output, trash
from tlstudio.cli.session import Session, session_of

if TYPE_CHECKING:
    from pathlib import Path

    from tlstudio.api.config import TrainConfig
    from tlstudio.registry import Catalog
    from tlstudio.runs.store import RunInfo

app = typer.Typer(
    help="List, order, start and cancel runs that wait for their turn (train ... --queue).", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
_LOOK_SECONDS = 1.0
_INTERRUPTED = 128


def add(config: TrainConfig, catalog: Catalog, session: Session, *, as_json: bool) -> None:
    """Put a run at the end of the queue and say where it stands."""
    from tlstudio.engine.run import make_run
    from tlstudio.runs.lock import queue_holder
    from tlstudio.runs.queue import waiting

    run_id, folder = make_run(config, catalog, session.workspace, waits=True)
    places = [info.id for info in waiting(session.workspace)]
    position = places.index(run_id) + 1 if run_id in places else 0  # who works off the queue may have begun it already
    holder = queue_holder(session.workspace)
    if as_json:
        output.print_json({"run": run_id, "folder": str(folder), "position": position, "worked_off_by": holder})
        return
    output.print_line(f"The run {run_id} waits, at place {position}." if position else f"The run {run_id} has begun.")
    if holder:
        output.print_line(f"The queue is being worked off by {holder}.")
    else:
        output.print_line(f"Train what waits: {output.program()} queue run")


@app.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the runs that wait, the next one first."""
    from tlstudio.runs.lock import queue_holder
    from tlstudio.runs.queue import waiting

    workspace = session_of(context).workspace
    infos, holder = waiting(workspace), queue_holder(workspace)
    if as_json:
        output.print_json([_as_json(position, info) for position, info in enumerate(infos, 1)])
        return
    if infos:
        rows = [
            [str(position), info.id, time.strftime("%Y-%m-%d %H:%M", time.localtime(info.created)), info.name]
            for position, info in enumerate(infos, 1)
        ]
        output.print_table(["place", "id", "added", "what"], rows, right=(0,))
    else:
        output.print_line(f"No run waits. Add one: {output.program()} train DATA --queue")
    if holder:
        output.print_line(f"Worked off by {holder}.")


@app.command()
def run(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", help="In a process of its own, which outlives this terminal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the runs that wait, one after the other, until none is left; what is added meanwhile is trained as well.

    A run that fails does not keep the others waiting. Ctrl+C stops the run that is going, keeps its model, and ends; the others
    stay in the queue. Runs that other processes train in this workspace are waited for first.
    """
    from tlstudio.runs.lock import hold_queue

    session = session_of(context)
    if detach:
        _detach(session, as_json=as_json)
        return
    with hold_queue(session.workspace):
        status = _work_off(session, as_json=as_json)
    raise typer.Exit(status)


@app.command()
def move(
    context: typer.Context,
    run: Run,
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="Its place from now on; 1 is the next.")],
    as_json: AsJson = False,
) -> None:
    """Give a waiting run another place."""
    from tlstudio.runs import queue

    session = session_of(context)
    queue.move(session.workspace, session.run(run), position)
    list_(context, as_json=as_json)


@app.command()
def cancel(
    context: typer.Context, runs: Annotated[list[str], typer.Argument(metavar="RUN...")], as_json: AsJson = False
) -> None:
    """Take waiting runs out of the queue; they move to the workspace's trash folder."""
    from tlstudio.runs.queue import cancel as take_out

    trash.move(context, runs, take_out, as_json=as_json)


def _work_off(session: Session, *, as_json: bool) -> int:
    """Train until nothing waits or somebody interrupts; returns the exit status: of the first run that failed, else 0.

    Each is tried once: one that cannot begin waits on. That one was taken out meanwhile, or has begun elsewhere, is no failure.
    """
    from tlstudio.cli.train import follow
    from tlstudio.engine.run import resume_run
    from tlstudio.runs.queue import waiting
    from tlstudio.runs.store import is_alive

    catalog = session.catalog()
    failed, tried = 0, set[str]()
    while infos := [info for info in waiting(session.workspace) if info.id not in tried]:
        if _wait_for_others(session.workspace, as_json=as_json):
            continue  # the order may be another by now
        info = infos[0]
        if not as_json:
            output.print_line(f"{info.name} ({info.id}); {len(infos) - 1} more wait.")
        status = follow(partial(resume_run, info.folder, catalog, session.workspace), as_json=as_json, one_of_many=True)
        tried.add(info.id)
        if status > _INTERRUPTED:
            return status
        if info.folder.exists() and not is_alive(info.folder):
            failed = failed or status
    if not as_json:
        left = len(waiting(session.workspace))
        rest = f"{left} could not begin and wait on" if left else "none waits"
        output.print_line(f"{len(tried) - left} runs done; {rest}." if tried else "No run waits.")
    return failed


def _wait_for_others(workspace: Path, *, as_json: bool) -> bool:
    """Wait until those processes have ended that train in the workspace now; returns whether there were any."""
    from tlstudio.runs.lock import is_held
    from tlstudio.runs.queue import at_work

    others = at_work(workspace)
    if others and not as_json:
        output.print_line(f"Waiting for {', '.join(folder.name for folder in others)} …")
    going = others
    while going := [folder for folder in going if is_held(folder)]:
        time.sleep(_LOOK_SECONDS)
    return bool(others)


def _detach(session: Session, *, as_json: bool) -> None:
    from tlstudio.engine.detached import detach
    from tlstudio.runs.lock import hold_queue

    with hold_queue(session.workspace):
        pass  # somebody else works it off: said here, where it is read
    log = session.workspace / "queue.log"
    pid = detach(["queue", "run", *session.options()], log)
    if as_json:
        output.print_json({"pid": pid, "log": str(log)})
    else:
        output.print_line(f"Process {pid} works off the queue. What it prints is in {log}.")


def _as_json(position: int, info: RunInfo) -> dict[str, Any]:
    return {
        "position": position, "id": info.id, "name": info.name, "folder": str(info.folder), "created": info.created,
        "config": info.config,
    }  # fmt: skip
