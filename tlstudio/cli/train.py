"""``tlstudio train`` and ``tlstudio demo``: from images, or a configuration, to a model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tlstudio.cli import output, repeat, screen, signals
from tlstudio.cli import queue as waiting
from tlstudio.cli.session import Session, session_of

if TYPE_CHECKING:
    from tlstudio.api.config import TrainConfig
    from tlstudio.api.errors import Problem, UserError
    from tlstudio.api.events import Event
    from tlstudio.engine.control import Control
    from tlstudio.registry import Catalog

_STOPPING = "Stopping after this step; the model is kept, and the run can go on later. Once more quits at once."
_SETTINGS_HELP = "Settings by their dotted name, such as run.epochs=5 or model.backbone=torchvision/resnet18."

Settings = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help=_SETTINGS_HELP, show_default=False)]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset", metavar="NAME", show_default=False,
        help="Settings for a situation: few-close, few-far, many-close, many-far (images, how near to photographs), scratch. "
        "Without it the images are looked at.",
    ),
]  # fmt: skip


class Full(StrEnum):
    """What a run does when the disk is full."""

    PAUSE = "pause"
    EXIT = "exit"


OnFull = Annotated[Full, typer.Option("--on-full", help="When the disk is full: wait for room, or end with 28.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("train")(train)
    app.command("demo")(demo)


def train(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="DATA|CONFIG.json", help="Images: a folder, an archive, a CSV; or a configuration.")
    ],
    settings: Settings = None,
    preset: Preset = None,
    on_full: OnFull = Full.PAUSE,
    times: repeat.Repeat = None,
    folds: repeat.Folds = None,
    queue: Annotated[bool, typer.Option("--queue", help="Do not train now: wait in the queue (`queue run`).")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="Train in a process of its own; this terminal may be closed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model.

    Without settings the defaults give a good model. Ctrl+C stops after the current step and keeps the model, and `runs resume`
    goes on; once more quits at once. With --json every event is a JSON object on a line, the last one RunFinished or RunFailed;
    with --queue or --detach it is one object with the run's id and folder, or with those of all runs of a group.
    """
    if queue and detach:
        raise typer.BadParameter("--queue and --detach exclude each other.")
    if detach and (times or folds):
        raise typer.BadParameter("--detach trains one run. Use --queue, then: queue run --detach")
    session = session_of(context)
    with errors_as_events(as_json):
        catalog = session.catalog()
        config = _with_preset(configure(source, settings or [], catalog, session.workspace), preset)
        if (times or folds) and queue:
            repeat.queue_group(config, catalog, session, repeat=times, folds=folds, as_json=as_json)
            return
        if times or folds:
            raise typer.Exit(repeat.train_group(config, catalog, session, repeat=times, folds=folds, as_json=as_json))
        if queue:
            waiting.add(config, catalog, session, as_json=as_json)
            return
        if detach:
            _detach(config, catalog, session, on_full, as_json=as_json)
            return
    raise typer.Exit(run(config, catalog, session, as_json=as_json, on_full=on_full))


def demo(
    context: typer.Context,
    settings: Settings = None,
    headless: Annotated[bool, typer.Option("--headless", help="Train in the terminal, without the window.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what it does on the sample images: in the window, or in the terminal where there is no screen."""
    session = session_of(context)
    if not (headless or as_json or settings) and screen.somebody_can_see():
        raise typer.Exit(screen.open_window(session, demo=True))
    from tlstudio.api.config import SAMPLE_DATASET, SAMPLE_STRATEGY

    with errors_as_events(as_json):
        catalog = session.catalog()
        first = [f"freezing.strategy={SAMPLE_STRATEGY}", *(settings or [])]
        config = configure(f"data.dataset={SAMPLE_DATASET}", first, catalog, session.workspace)
    if not as_json:
        typer.echo("Training on the sample images: 1,797 handwritten digits, 10 classes.")
    raise typer.Exit(run(config, catalog, session, as_json=as_json))


def _detach(config: TrainConfig, catalog: Catalog, session: Session, on_full: Full, *, as_json: bool) -> None:
    from tlstudio.engine.detached import start_detached

    run = start_detached(config, catalog, session.workspace, ["--on-full", on_full.value, *session.options()])
    if as_json:
        output.print_json({"run": run.id, "folder": str(run.folder), "pid": run.pid, "log": str(run.log)})
        return
    output.print_line(f"The run {run.id} trains in a process of its own ({run.pid}). This terminal may be closed.")
    for what in ("follow", "pause", "stop"):
        output.print_line(f"  {output.program()} runs {what} {run.id}")


def configure(source: str, settings: Sequence[str], catalog: Catalog, workspace: Path) -> TrainConfig:
    """The configuration that a command line means, checked as far as it can be without torch.

    Args:
        source: a ``config.json``, a path to images, the name of a data set that needs no path, or a first setting.

    Raises:
        ConfigError: with every problem at once, each at its field.
        UserError: there is no such file, or it cannot be used.
    """
    from tlstudio.api.config import with_overrides
    from tlstudio.api.errors import ConfigError

    config, first = _starting_point(source, catalog)
    problems: list[Problem] = []
    for setting in [*first, *settings]:
        try:
            config = with_overrides(config, [setting])
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    problems += [
        problem for problem in _name_problems(config, catalog, workspace, alone=not problems) if problem not in problems
    ]
    if problems:
        raise ConfigError(tuple(problems))
    return config


def _with_preset(config: TrainConfig, name: str | None) -> TrainConfig:
    from tlstudio.api.errors import UserError
    from tlstudio.registry.presets import PRESETS, find_preset

    if name is None:
        return config
    try:
        return find_preset(name).applied(config)
    except KeyError:
        known = "\n".join(f"{preset.name}: {preset.about}" for preset in PRESETS)
        raise UserError(f"There is no preset {name!r}.", detail=known, hint="Choose one of those.") from None


def _name_problems(config: TrainConfig, catalog: Catalog, workspace: Path, *, alone: bool) -> tuple[Problem, ...]:
    """What is wrong with the names and options in a configuration; where images or weights are the only trouble, that error.

    Args:
        alone: whether nothing else was found wrong before.
    """
    from tlstudio.api.config import SAMPLE_DATASET, DataConfig
    from tlstudio.api.errors import ConfigError, DataError, Problem, UserError

    try:
        catalog.resolve(config, workspace=workspace)
    except ConfigError as error:
        return error.problems
    except UserError as error:
        field = "data.path" if isinstance(error, DataError) else "model.weights"
        others: tuple[Problem, ...] = ()
        if field == "data.path":  # it hides what is wrong beside it: look again with images that are there
            sample = config.model_copy(update={"data": DataConfig(dataset=SAMPLE_DATASET)})
            with contextlib.suppress(DataError):
                others = _name_problems(sample, catalog, workspace, alone=False)
        if alone and not others:
            raise
        return (Problem(field=field, message=error.title), *others)
    return ()


def _starting_point(source: str, catalog: Catalog) -> tuple[TrainConfig, list[str]]:
    from tlstudio.api.config import DataConfig, TrainConfig, read_config
    from tlstudio.api.errors import UserError

    path = Path(source).expanduser()
    if path.suffix.lower() == ".json" and not path.is_dir():
        try:
            return read_config(path), []
        except OSError as error:
            raise UserError(f"The configuration {path} cannot be read.", detail=error.strerror or str(error)) from None
    if not path.exists():
        if source in catalog.datasets:
            return TrainConfig(data=DataConfig(dataset=source)), []
        if "=" in source and os.sep not in source.partition("=")[0]:
            return TrainConfig(), [source]
    return TrainConfig(data=DataConfig(path=os.path.abspath(path))), []


def run(config: TrainConfig, catalog: Catalog, session: Session, *, as_json: bool, on_full: Full = Full.PAUSE) -> int:
    """Train to the end and show it; returns the exit status of the command."""
    return follow(lambda control: _events(config, catalog, session, control), as_json=as_json, on_full=on_full)


def follow(
    run_events: Callable[[Control], Iterator[Event]], *, as_json: bool, on_full: Full = Full.PAUSE, one_of_many: bool = False
) -> int:
    """Show a run to its end; returns the exit status of the command.

    Args:
        run_events: begins the run, which the control steers.
        on_full: what to do when it cannot be saved.
        one_of_many: nothing is said of what to do next, since another run follows.
    """
    from tlstudio.api.events import RunFailed, RunFinished
    from tlstudio.cli import progress
    from tlstudio.engine.control import Control
    from tlstudio.engine.world import World

    control = Control(waits_for_room=on_full is Full.PAUSE)
    with signals.caught(control.stop, _STOPPING, quits=True) as caught:
        if not World.here().first:  # of several processes that train together, the first tells what happens
            *_, end = run_events(control)
            return end.exit_code if isinstance(end, RunFailed) else 0
        if not as_json:
            output.print_line("Loading …")
        last, heard = progress.follow(run_events(control), as_json=as_json)
    if isinstance(last, RunFailed):
        progress.failure(last)
        return last.exit_code
    if isinstance(last, RunFinished) and not as_json and heard:
        output.print_line(progress.summary(last))
        if not one_of_many:
            _next_steps(last.model, last.run, again=bool(caught))
    return 128 + caught[0] if caught else 0


def _events(config: TrainConfig, catalog: Catalog, session: Session, control: Control) -> Iterator[Event]:
    from tlstudio.engine.run import start_run

    return start_run(config, catalog=catalog, workspace=session.workspace, control=control)


def _next_steps(model: str, run_id: str, *, again: bool) -> None:
    if again:
        output.print_line(f"It can go on: {output.program()} runs resume {run_id}")
    if model:
        output.print_line(f"The model lies in {Path(model).parent}")
        output.print_line("What next:")
        for what in (f"evaluate {run_id}", f"predict {run_id} IMAGES...", f"export {run_id} model.pth"):
            output.print_line(f"  {output.program()} {what}")


@contextlib.contextmanager
def errors_as_events(as_json: bool) -> Iterator[None]:
    """With ``--json``, an error before the run is an event too, so that a script reads one kind of line."""
    from tlstudio.api.errors import UserError

    try:
        yield
    except UserError as error:
        if not as_json:
            raise
        output.print_line(_as_event(error))
        raise typer.Exit(int(error.exit_code)) from None


def _as_event(error: UserError) -> str:
    from tlstudio.api.events import RunFailed

    event = RunFailed(error=error.title, detail=error.detail, hint=error.hint, exit_code=int(error.exit_code))
    return event.model_dump_json()
