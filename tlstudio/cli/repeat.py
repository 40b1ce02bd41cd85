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

_CAVEATS = {
    "seeds": "All runs split the images the same way: the spread is that of training, not that of other images.",
    "folds": "The runs share training images, so the true uncertainty is somewhat larger than this interval.",
}


def add_to(app: typer.Typer) -> None:
    """Add the command to those of ``tlstudio runs``."""
    app.command("group")(group)


def train_group(
    config: TrainConfig, catalog: Catalog, session: Session, *, repeat: int | None, folds: int | None, as_json: bool
) -> int:
    """Train the runs of a group that are not done yet, and show the result of all; returns the exit status of the command."""
    from tlstudio.api.errors import UserError
    from tlstudio.cli import train
    from tlstudio.engine.world import World
    from tlstudio.runs.groups import done, plan_folds, plan_seeds, require_group
    from tlstudio.runs.store import list_runs

    if repeat and folds:
        raise UserError("--repeat and --folds exclude each other.", hint="Repeat over seeds, or over folds.")
    if not World.here().alone:  # torch's processes can meet only once
        raise UserError(
            "Under torchrun a command trains once.",
            hint="Repeat without torchrun, or start each run by its own command with run.seed=0, run.seed=1 and so on.",
        )
    members = plan_folds(config, folds) if folds else plan_seeds(config, repeat or 0)
    before = done(list_runs(session.workspace), members[0].group)
    if not as_json:
        output.print_line(f"Group {members[0].group}: {len(members)} runs.")
    for place, member in enumerate(members, 1):
        if not as_json:
            output.print_line(f"\nRun {place} of {len(members)}, {_state(member, before.get(member.number))}")
        if member.number in before:
            continue
        begin = partial(_events, member, catalog, session)
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


def _events(member: Member, catalog: Catalog, session: Session, control: Control) -> Iterator[Event]:
    from tlstudio.engine.run import start_run

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
    if found.others:
        n = len(found.others)
        output.print_line(f"Not counted: {n} {'run that is' if n == 1 else 'runs that are'} not complete, or done again later.")
    if found.differing:
        output.print_line(f"Mind that the runs differ in {', '.join(found.differing)}: they do not repeat one configuration.")
    spread = found.accuracy
    if spread is None:
        output.print_line("No run is complete and has validation images: there is no accuracy to tell.")
    elif spread.deviation is None or spread.low is None:
        output.print_line(f"Accuracy {output.percent(spread.mean)} in the one run that is done; two are needed for a spread.")
    else:
        output.print_line(
            f"Accuracy {output.percent(spread.mean)} on average of {spread.n} runs, standard deviation "
            f"{100 * spread.deviation:.1f} points.\n95 % interval of the mean: {output.percent(spread.low)} to "
            f"{output.percent(spread.high)} (Student's t, {spread.n - 1} degrees of freedom)."
        )
        output.print_line(_CAVEATS[found.kind])


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
