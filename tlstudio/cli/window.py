"""``tlstudio window``: the window, with images opened in it."""

from __future__ import annotations

from typing import Annotated

import typer

from tlstudio.cli import screen
from tlstudio.cli.session import session_of


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("window")(window)


def window(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="[DATA]", help="Images to open.", show_default=False)] = "",
) -> None:
    """Open the window; the same as no command at all."""
    raise typer.Exit(screen.open_window(session_of(context), path))
