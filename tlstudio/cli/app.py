"""The command line: its commands, the options that stand anywhere, and the one place where errors end.

Importing it costs typer and nothing else; whatever a command needs is imported inside it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tlstudio import __version__
from tlstudio.cli import data, doctor, leave, output, plugins, runs, train, use, weights, window
from tlstudio.cli.session import MissingValue, Session, split_arguments

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
        raise typer.Exit(window.open_window(context.obj))


window.add_to(app)
train.add_to(app)
use.add_to(app)
app.add_typer(runs.app, name="runs")
app.add_typer(plugins.app, name="plugins")
app.add_typer(weights.app, name="weights")
app.add_typer(data.app, name="data")
doctor.add_to(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status; never raises for what a user can cause.

    Without arguments it is the whole program, with those of the process, and may end the process itself.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # odd file names must not end a command
    as_json = "--json" in words
    with output.only_json_on_stdout() if as_json else contextlib.nullcontext():
        status = _guarded(words, as_json)
    if arguments is None:
        leave.at_once(status)
    return status


def _guarded(words: list[str], as_json: bool) -> int:
    try:
        rest, session = split_arguments(words)
        return _invoke(rest, session)
    except MissingValue as error:
        output.print_error(str(error))
        return 2
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the one funnel; nobody above would show it better
        return _explain(error, as_json)


def _invoke(words: list[str], session: Session) -> int:
    try:
        status = app(args=words, prog_name="tlstudio", obj=session)
    except SystemExit as stop:
        status = stop.code
    return status if isinstance(status, int) else 0


def _explain(error: Exception, as_json: bool) -> int:
    from tlstudio.api.errors import UserError

    if isinstance(error, UserError):
        if as_json:
            output.print_json(output.describe_error(error))
        else:
            output.print_error(error.title, error.detail, error.hint)
        return int(error.exit_code)
    log = _log_traceback(error)
    title = f"Something unexpected went wrong: {type(error).__name__}: {error}"
    hint = f"The details are in {log}." if log else "Set TLSTUDIO_DEBUG=1 and run it again for the details."
    if as_json:
        output.print_json({"error": title, "detail": "", "hint": hint, "exit_code": 1})
    else:
        output.print_error(title, hint=hint)
    return 1


def _log_traceback(error: Exception) -> Path | None:
    """Append the traceback to the program's log; a log that cannot be written is no reason to fail."""
    import time
    import traceback

    from tlstudio import paths

    text = "".join(traceback.format_exception(error))
    if os.environ.get("TLSTUDIO_DEBUG"):
        sys.stderr.write(text)
    try:
        log = paths.logs() / "tlstudio.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} tlstudio {__version__}\n{text}\n")
    except OSError:
        return None
    return log


def _broken_pipe() -> int:
    """Whoever read the output has gone; end quietly, as a command in a pipe should."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
