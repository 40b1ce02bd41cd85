"""``tlstudio find-rate``: which learning rate suits the images, the network and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of
from tlstudio.cli.train import AsJson, Settings, configure

if TYPE_CHECKING:
    from tlstudio.api.events import RateFound, RateTried

_ROWS = 20
_BAR = 30


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("find-rate")(find_rate)


def find_rate(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="DATA|CONFIG.json", help="Images: a folder, an archive, a CSV; or a configuration.")
    ],
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Suggest a learning rate.

    Learns from some of the training images for up to 100 steps at rising rates, and looks where the loss falls fastest.
    Nothing of it is kept: a run afterwards is the run that it would have been.
    """
    from tlstudio.api.events import RateFound, RateTried, RunFailed
    from tlstudio.cli import progress
    from tlstudio.engine.control import Control
    from tlstudio.engine.finder import find_rate as search

    session = session_of(context)
    catalog = session.catalog()
    config = configure(source, settings or [], catalog, session.workspace)
    tried: list[RateTried] = []
    display = None if as_json else progress.PlainLines()
    for event in search(config, catalog, session.workspace, Control()):
        if isinstance(event, RateTried):
            tried.append(event)
        elif isinstance(event, RateFound):
            _show(tried, event, as_json=as_json)
        elif isinstance(event, RunFailed):
            if as_json:
                output.print_json(event.model_dump(include={"error", "detail", "hint", "exit_code"}))
            else:
                progress.failure(event)
            raise typer.Exit(event.exit_code)
        elif display is not None:
            display.show(event)


def _show(tried: list[RateTried], found: RateFound, *, as_json: bool) -> None:
    if as_json:
        points = [{"rate": event.rate, "loss": event.loss, "smoothed": event.smoothed} for event in tried]
        output.print_json({"rate": found.rate, "lowest": found.lowest, "points": points})
        return
    high = max((event.smoothed for event in tried), default=1.0)
    marks = {found.rate: "  falls fastest", found.lowest: "  lowest"}
    few = max(1, -(-len(tried) // _ROWS))
    shown = [event for at, event in enumerate(tried) if at % few == 0 or event.rate in marks]
    rows = []
    for event in shown:
        bar = "▇" * round(_BAR * event.smoothed / high)
        rows.append((f"{event.rate:.2e}", f"{event.smoothed:.4f}", bar + marks.get(event.rate, "")))
    output.print_table(("learning rate", "loss", ""), rows, right=(0, 1))
    if found.rate is None:
        output.print_line("No rate makes the loss fall clearly: look at the images and the settings, or take the usual rate.")
    else:
        output.print_line(f"Suggestion: optim.learning_rate={found.rate:.1e}")
