"""Words, tables and JSON on the terminal. With ``--json`` the standard output carries JSON and nothing else."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from tlstudio.api.errors import UserError

_json_stream: TextIO | None = None


@contextlib.contextmanager
def only_json_on_stdout() -> Iterator[None]:
    """Send everything that anyone prints to the standard error; only `print_json` and `print_line` reach the output."""
    global _json_stream  # it stands for the process's one standard output
    _json_stream = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _json_stream = None


def print_json(value: Any) -> None:
    """One JSON value, indented for the eye; numbers that JSON does not know become ``null``."""
    print_line(json.dumps(_plain(value), indent=2))


def print_line(text: str) -> None:
    """One line on the standard output, at once."""
    stream = _json_stream or sys.stdout
    stream.write(text + "\n")
    stream.flush()


def program() -> str:
    """What a user types to run this program: ``tlstudio``, or ``python3 tlstudio`` in a checkout."""
    return os.environ.get("TLSTUDIO_COMMAND") or "tlstudio"


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Aligned columns.

    Args:
        right: the columns to align at their right, for numbers.
    """
    import typer

    widths = [max([len(header), *(len(row[i]) for row in rows)]) for i, header in enumerate(headers)]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(cells)]
        return "  ".join(padded).rstrip()

    typer.secho(line(headers), bold=_colourful())
    for row in rows:
        typer.echo(line(row))


def describe_error(error: UserError) -> dict[str, Any]:
    """An error as the JSON object that scripts read."""
    from tlstudio.api.errors import ConfigError

    value = {"error": error.title, "detail": error.detail, "hint": error.hint, "exit_code": int(error.exit_code)}
    if isinstance(error, ConfigError):
        value["problems"] = [{"field": problem.field, "message": problem.message} for problem in error.problems]
    return value


def print_error(title: str, detail: str = "", hint: str = "") -> None:
    """An error for people, on the standard error: what happened, more about it, what to do."""
    import typer

    typer.secho(title, err=True, fg="red" if _colourful() else None, bold=_colourful())
    if detail:
        typer.echo("\n".join(f"  {line}" for line in detail.splitlines()), err=True)
    if hint:
        typer.echo(hint, err=True)


def percent(value: float | None) -> str:
    """A fraction as per cent with one decimal, such as ``93.5 %``; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """Seconds in the units a person would use."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _colourful() -> bool:
    return "NO_COLOR" not in os.environ


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
