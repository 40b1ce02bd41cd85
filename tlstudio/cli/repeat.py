"""``tlstudio train … --repeat K`` or ``--folds K``, and ``tlstudio runs group``: one configuration, several runs, a result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import Session, session_of

if TYPE_CHECKING:
    from tlstudio.api.config import TrainConfig
    from tlstudio.api.events import Event
    from tlstudio.engine.control import Control
    from tlstudio.registry import Catalog
    from tlstudio.runs.groups import Group, Member
    from tlstudio.runs.store import RunInfo

Repeat = Annotated[
    int | None,
    typer.Option("--repeat", metavar="K", min=2, max=100, show_default=False, help="Train K times, with seeds that count up."),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds", metavar="K", min=2, max=100, show_default=False,
        help="Train K times; each time another part of the images measures (k-fold cross-validation).",
    ),
]  # fmt: skip
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to those of ``tlstudio runs``."""
    app.command("group")(group)


def train_group(
    config: TrainConfig, catalog: Catalog, session: Session, *, repeat: int | None, folds: int | None, as_json: bool
) -> int:
    """Train the runs of a group that are not done yet, and show the result of all; returns the exit status of the command."""
    from tlstudio.cli import train
    from tlstudio.runs.groups import done, require_group
    from tlstudio.runs.store import list_runs

    members = _members(config, repeat, folds)
    runs = list_runs(session.workspace)
    before = done(runs, members[0].group)
    others = {run.group_number: run for run in runs if run.group == members[0].group and run.status in ("queued", "running")}
    if not as_json:
        output.print_line(f"Group {members[0].group}: {len(members)} runs.")
    for place, member in enumerate(members, 1):
        other = before.get(member.number) or others.get(member.number)
        if not as_json:
            output.print_line(f"\nRun {place} of {len(members)}, {_state(member, other)}")
        if other is not None and other.status != "queued":
            continue
        begin = partial(_events, member, other, catalog, session)
        status = train.follow(begin, as_json=as_json, one_of_many=True)
        if status:
            if not as_json:
                output.print_line("The same command goes on with the runs that are missing.")
            return status
    found = require_group(session.workspace, members[0].group)
    if as_json:
        output.print_line(json.dumps({"event": "GroupDone", **_as_json(found)}))
    else:
        output.print_line("")
        _print_group(found)
    return 0


def queue_group(
    config: TrainConfig, catalog: Catalog, session: Session, *, repeat: int | None, folds: int | None, as_json: bool
) -> None:
    """Put the runs of a group that are not done, do not wait and are not going into the queue."""
    from tlstudio.engine.repeat import enqueue_missing
    from tlstudio.runs.lock import queue_holder

    members = _members(config, repeat, folds)
    added = enqueue_missing(members, catalog, session.workspace)
    holder = queue_holder(session.workspace)
    if as_json:
        runs = [{"run": run_id, "number": member.number, "folder": str(folder)} for member, run_id, folder in added]
        output.print_json({"group": members[0].group, "runs": runs, "worked_off_by": holder})
        return
    output.print_line(f"Group {members[0].group}: {len(added)} of {len(members)} runs added to the queue.")
    for member, run_id, _ in added:
        output.print_line(f"  {member.title}: {run_id}")
    if len(added) < len(members):
        output.print_line("The others are done, wait or are going.")
    if holder:
        output.print_line(f"The queue is being worked off by {holder}.")
    elif added:
        output.print_line(f"Train what waits: {output.program()} queue run")
    output.print_line(f"Their result: {output.program()} runs group {members[0].group}")


def _members(config: TrainConfig, repeat: int | None, folds: int | None) -> list[Member]:
    from tlstudio.api.errors import UserError
    from tlstudio.engine.world import World
    from tlstudio.runs.groups import plan_folds, plan_seeds

    if repeat and folds:
        raise UserError("--repeat and --folds exclude each other.", hint="Repeat over seeds, or over folds.")
    if not World.here().alone:  # torch's processes can meet only once
        raise UserError(
            "Under torchrun a command trains once.",
            hint="Repeat without torchrun, or start each run by its own command with run.seed=0, run.seed=1 and so on.",
        )
    return plan_folds(config, folds) if folds else plan_seeds(config, repeat or 0)


def _events(member: Member, waits: RunInfo | None, catalog: Catalog, session: Session, control: Control) -> Iterator[Event]:
    from tlstudio.engine.run import resume_run, start_run

    if waits is not None:
        return resume_run(waits.folder, catalog, session.workspace, control)
    return start_run(member.config, catalog=catalog, workspace=session.workspace, control=control, group=member.record)


def group(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="[GROUP]", show_default=False, help="A group's id, or its beginning; without it, all."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show the runs that repeat one configuration: mean, standard deviation and 95 % interval of their accuracy."""
    from tlstudio.runs.groups import list_groups, require_group

    workspace = session_of(context).workspace
    if name:
        found = require_group(workspace, name)
        if as_json:
            output.print_json(_as_json(found))
        else:
            _print_group(found)
        return
    groups = list_groups(workspace)
    if as_json:
        output.print_json([_as_json(item) for item in groups])
    elif not groups:
        output.print_line(f"No groups yet in {workspace}. Repeat a run: {output.program()} train DATA --repeat 5")
    else:
        rows = []
        for item in groups:
            mean = None if item.accuracy is None else item.accuracy.mean
            what = (item.runs or item.others)[0].name
            rows.append([item.id, what, str(len(item.runs)), str(len(item.others)), output.percent(mean)])
        output.print_table(["group", "what", "done", "not counted", "accuracy"], rows, right=(2, 3, 4))


def _state(member: Member, info: RunInfo | None) -> str:
    if info is None:
        return f"{member.title}:"
    if info.status == "queued":
        return f"{member.title}, which waited as {info.id}:"
    if info.status == "running":
        return f"{member.title}: another process trains it, as {info.id}"
    from tlstudio.runs.groups import ACCURACY

    return f"{member.title}: done before as {info.id}, accuracy {output.percent(info.metrics.get(ACCURACY))}"


def _print_group(found: Group) -> None:
    from tlstudio.runs.groups import ACCURACY

    output.print_line(f"Group {found.id}")
    one = found.kind.removesuffix("s")
    rows = [
        [str(info.group_number), info.id, info.status, output.percent(info.metrics.get(ACCURACY)), str(info.best_epoch + 1),
         output.duration(info.seconds)]
        for info in (*found.runs, *found.others)
    ]  # fmt: skip
    output.print_table([one, "run", "status", "accuracy", "best epoch", "time"], rows, right=(0, 3, 4, 5))
    output.print_line("")
    for sentence in (*found.reservations(), *found.result):
        output.print_line(sentence)


def _as_json(found: Group) -> dict[str, Any]:
    from tlstudio.runs.groups import ACCURACY

    def one(info: RunInfo) -> dict[str, Any]:
        return {"id": info.id, "number": info.group_number, "status": info.status, "accuracy": info.metrics.get(ACCURACY),
                "folder": str(info.folder)}  # fmt: skip

    spread = found.accuracy
    accuracy = None if spread is None else {
        "n": spread.n, "mean": spread.mean, "standard_deviation": spread.deviation, "low": spread.low, "high": spread.high,
        "interval": "95 %, Student's t",
    }  # fmt: skip
    return {
        "group": found.id, "kind": found.kind, "accuracy": accuracy, "differing": list(found.differing),
        "runs": [one(info) for info in found.runs], "not_counted": [one(info) for info in found.others],
    }  # fmt: skip
