"""The tree of commands, for typer."""

from __future__ import annotations

from typing import Annotated

import typer

from tlstudio import __version__
from tlstudio.cli import backbones, data, doctor, output, plugins, queue, rate, runs, screen, train, use, weights, window

_ABOUT = """Fine-tune pretrained vision models on your own images. Without a command, the window opens.

RUN is a run's id, its unique beginning, or its folder. DATA is a folder, an archive or a file of labels.
"""

app = typer.Typer(
    name="tlstudio",
    help=_ABOUT,
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,  # rich alone would take longer than --help may
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    workspace: Annotated[
        str, typer.Option("--workspace", metavar="DIR", help="Where runs are kept. May stand anywhere.")
    ] = "the user's own folder",
    no_plugins: Annotated[
        str,
        typer.Option(
            "--no-plugins", metavar="[=NAME]", help="Leave a plugin out, or all but the shipped ones. May stand anywhere."
        ),
    ] = "",
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        output.print_line(f"tlstudio {__version__}")
    elif context.invoked_subcommand is None:
        raise typer.Exit(screen.open_window(context.obj))


window.add_to(app)
train.add_to(app)
rate.add_to(app)
use.add_to(app)
app.add_typer(runs.app, name="runs")
app.add_typer(queue.app, name="queue")
app.add_typer(plugins.app, name="plugins")
backbones.add_to(app)
app.add_typer(weights.app, name="weights")
app.add_typer(data.app, name="data")
doctor.add_to(app)
