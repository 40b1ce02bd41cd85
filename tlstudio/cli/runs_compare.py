"""``tlstudio runs compare A B``: which of two models is better on the same images, and how sure that is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.evaluation.compare import Comparison
    from tlstudio.runs.store import RunInfo

_SPLITS = ("val", "test")
_HELP = "A run's id, its unique beginning, or its folder."

First = Annotated[str, typer.Argument(metavar="A", help=_HELP)]
Second = Annotated[str, typer.Argument(metavar="B", help=_HELP)]
On = Annotated[
    str, typer.Option("--on", metavar="SPLIT", show_default=False, help="val or test; test where both runs have test images.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to those of ``tlstudio runs``."""
    app.command("compare")(compare)


def compare(context: typer.Context, a: First, b: Second, on: On = "", as_json: AsJson = False) -> None:
    """Compare two models on the images that both can be judged on: exact McNemar test, paired bootstrap interval."""
    from tlstudio.api.errors import UserError
    from tlstudio.cli.use import counting

    session = session_of(context)
    runs = session.run(a), session.run(b)
    if runs[0].id == runs[1].id:
        raise UserError("A and B are the same run.", hint=f"`{output.program()} runs list` shows the others.")
    if on and on not in _SPLITS:
        raise UserError(f"There is no split {on!r} to compare on.", hint="Use --on val or --on test.")
    catalog = session.catalog()
    from tlstudio.evaluation.compare import compare_runs

    with counting("Judging") as progress:
        found = compare_runs(*runs, catalog, session.workspace, split=on or None, progress=progress)
    if as_json:
        output.print_json(_as_json(runs, found))
    else:
        _print(runs, found)


def verdict(found: Comparison) -> str:
    """The comparison in one plain sentence, of models called A and B."""
    from tlstudio.api.dataset import SPLIT_WORDS

    split = SPLIT_WORDS[found.split]
    images = f"these {found.images:,} {split} images" if found.images > 1 else f"the one {split} image that is left"
    if not found.only_first + found.only_second:
        return f"A and B are right and wrong alike on {images}: nothing tells them apart."
    if not found.difference:
        return f"A and B are equally often right on {images}."
    better = "B" if found.difference > 0 else "A"
    cases = round(100 * found.p)
    chance = "fewer than 1" if cases < 1 else f"{cases}"
    doubt = ", so they may be equally good" if found.doubtful else ""
    return (
        f"{better} is ahead on {images} by {100 * abs(found.difference):.1f} points; between two equally good models "
        f"a difference as large as this arises by chance in {chance} of 100 cases{doubt}."
    )


def _print(runs: tuple[RunInfo, RunInfo], found: Comparison) -> None:
    from tlstudio.api.dataset import SPLIT_WORDS

    rows = [
        [name, info.id, output.percent(accuracy), info.name]
        for name, info, accuracy in zip("AB", runs, found.accuracies, strict=True)
    ]
    output.print_table(["", "run", "accuracy", "what"], rows, right=(2,))
    output.print_line(f"\nOf {found.images:,} {SPLIT_WORDS[found.split]} images:")
    body = [
        ["A right", f"{found.both:,}", f"{found.only_first:,}"],
        ["A wrong", f"{found.only_second:,}", f"{found.neither:,}"],
    ]
    output.print_table(["", "B right", "B wrong"], body, right=(1, 2))
    output.print_line(
        f"\nB − A: {_points(found.difference)} points, 95 % interval {_points(found.low)} to {_points(found.high)} "
        f"(paired bootstrap, 10,000 draws).\nExact McNemar test, two-sided: p = {found.p:.3g}."
    )
    for line in _left_out(found):
        output.print_line(line)
    output.print_line(f"\n{verdict(found)}")


def _left_out(found: Comparison) -> list[str]:
    from tlstudio.api.dataset import SPLIT_WORDS

    out = found.left_out
    reasons = (
        (out.trained_on, "that one of the runs has learned from"),
        (out.elsewhere, f"that only one of the runs has among its {SPLIT_WORDS[found.split]} images"),
        (out.unusable, "that are gone, have no class now, or cannot be read"),
    )
    lines = [f"Left out: {n:,} {'image' if n == 1 else 'images'} {why}." for n, why in reasons if n]
    if found.unknown_parents:
        names = ", ".join(found.unknown_parents)
        lines.append(
            f"Mind that the weights of one came from a run that is gone ({names}): which images that saw is not known."
        )
    return lines


def _points(value: float) -> str:
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _as_json(runs: tuple[RunInfo, RunInfo], found: Comparison) -> dict[str, Any]:
    return {
        "a": runs[0].id, "b": runs[1].id, "split": found.split, "images": found.images,
        "accuracy": {"a": found.accuracies[0], "b": found.accuracies[1]},
        "table": {"both": found.both, "only_a": found.only_first, "only_b": found.only_second, "neither": found.neither},
        "difference": found.difference, "interval": {"low": found.low, "high": found.high, "confidence": 0.95}, "p": found.p,
        "left_out": dataclasses.asdict(found.left_out), "unknown_parents": list(found.unknown_parents),
        "disagreements": [
            {"key": item.key, "true": item.true, "a": item.first, "b": item.second} for item in found.disagreements
        ],
        "verdict": verdict(found),
    }  # fmt: skip
