"""The command line: the options that stand anywhere, the way to the commands, and the one place where errors end.

Importing it costs next to nothing. Whatever a command needs is imported inside it, and typer only where there is more to read
than that the window is wanted.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tlstudio import __version__
from tlstudio.cli import leave, output, screen
from tlstudio.cli.session import MissingValue, Session, split_arguments


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
    except MissingValue as error:
        output.print_error(str(error))
        return 2
    try:
        return _invoke(rest, session)
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _explain(_of_storage(error, session) or error, as_json)
    except Exception as error:  # noqa: BLE001 - the one funnel; nobody above would show it better
        return _explain(error, as_json)


def _of_storage(error: OSError, session: Session) -> Exception | None:
    """A full disk, a drive that is gone or a place where one may not write, in words; ``None`` where it is none of these."""
    from tlstudio import safe_io
    from tlstudio.api.errors import UserError

    if not isinstance(error.filename, str):
        return safe_io.as_user_error(error, session.workspace)
    path = Path(error.filename).absolute()
    if isinstance(error, PermissionError) and not path.is_relative_to(session.workspace.absolute()):
        return UserError(f"No permission to use {path}.", detail=str(error), hint="Check that you may read and write there.")
    return safe_io.as_user_error(error, path.parent)


def _invoke(words: list[str], session: Session) -> int:
    if words in ([], ["window"]):
        return screen.open_window(session)
    if words == ["demo"] and screen.somebody_can_see():
        return screen.open_window(session, demo=True)
    from tlstudio.cli.tree import app

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
    import logging
    import traceback

    from tlstudio import log_file, paths

    text = "".join(traceback.format_exception(error))
    if os.environ.get("TLSTUDIO_DEBUG"):
        sys.stderr.write(text)
    try:
        return log_file.write_line(paths.logs(), "tlstudio.cli", logging.ERROR, f"tlstudio {__version__}: {text}")
    except OSError:
        return None


def _broken_pipe() -> int:
    """Whoever read the output has gone; end quietly, as a command in a pipe should."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
