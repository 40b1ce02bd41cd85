"""``tlstudio evaluate``, ``predict`` and ``export``: what to do with a trained model."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of

if TYPE_CHECKING:
    from tlstudio.engine.predict import TrainedModel
    from tlstudio.evaluation.report import Report

_BATCH = 32
_SHOWN_ERRORS = 10
_WIDEST_CONFUSION = 15

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its unique beginning, or its folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("evaluate")(evaluate)
    app.command("predict")(predict)
    app.command("export")(export)


# --- evaluate --------------------------------------------------------------------------------------------------------


def evaluate(context: typer.Context, run: Run, as_json: AsJson = False) -> None:
    """Judge a model on the images it has not learned from: the test images, else the validation images."""
    session = session_of(context)
    info = session.run(run)
    catalog = session.catalog()
    from tlstudio.evaluation.report import evaluate_run

    with counting("Judging") as progress:
        report = evaluate_run(info.folder, catalog, session.workspace, progress=progress)
    if as_json:
        output.print_json({"run": info.id, "folder": str(info.folder), **_report_as_json(report)})
    else:
        _print_report(report)


def _report_as_json(report: Report) -> dict[str, Any]:
    return {
        "split": report.split,
        "images": sum(item.support for item in report.per_class),
        "accuracy": report.accuracy,
        "classes": list(report.classes),
        "confusion": report.confusion.tolist(),
        "per_class": [
            {"name": c.name, "precision": c.precision, "recall": c.recall, "f1": c.f1, "support": c.support}
            for c in report.per_class
        ],
        "errors": [
            {"key": e.key, "index": e.index, "true": e.true, "predicted": e.predicted, "probability": e.probability}
            for e in report.errors
        ],
    }


def _print_report(report: Report) -> None:
    total = sum(item.support for item in report.per_class)
    output.print_line(f"Accuracy {output.percent(report.accuracy)} on {total:,} {report.split} images.\n")
    rows = [
        [c.name, output.percent(c.precision), output.percent(c.recall), output.percent(c.f1), f"{c.support:,}"]
        for c in report.per_class
    ]
    output.print_table(["class", "precision", "recall", "F1", "images"], rows, right=(1, 2, 3, 4))
    if len(report.classes) <= _WIDEST_CONFUSION:
        output.print_line("\nTrue class down, predicted class across:")
        body = [[name, *(f"{count:,}" if count else "·" for count in row)]
                for name, row in zip(report.classes, report.confusion.tolist(), strict=True)]  # fmt: skip
        output.print_table(["", *report.classes], body, right=tuple(range(1, len(report.classes) + 1)))
    if report.errors:
        output.print_line(f"\nThe surest of {len(report.errors):,} wrong answers:")
        worst = [[e.key, e.true, e.predicted, output.percent(e.probability)] for e in report.errors[:_SHOWN_ERRORS]]
        output.print_table(["image", "is", "taken for", "sure"], worst, right=(3,))


# --- predict ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """The best classes of one image, the likeliest first, or why it could not be read."""

    path: str
    top: tuple[tuple[str, float], ...] = ()
    error: str = ""


def predict(
    context: typer.Context,
    run: Run,
    images: Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")],
    csv: Annotated[str, typer.Option("--csv", metavar="FILE", help="Write a CSV file too.", show_default=False)] = "",
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many classes for each image.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Say what is on images."""
    from tlstudio.api.errors import DataError

    session = session_of(context)
    info = session.run(run)
    paths = list(image_files(images))
    if not paths:
        raise DataError("There are no images at " + ", ".join(images) + ".", hint="Name image files, or folders of them.")
    catalog = session.catalog()
    from tlstudio.engine.predict import load_model

    model = load_model(info.folder, catalog)
    with counting("Predicting") as progress:
        predictions = list(_predictions(model, paths, top, progress))
    if csv:
        _write_csv(Path(csv), predictions, min(top, len(model.classes)))
    if as_json:
        output.print_json(
            [
                {"path": p.path, "top": [{"class": name, "probability": value} for name, value in p.top], "error": p.error}
                for p in predictions
            ]
        )
    else:
        _print_predictions(predictions)
    if all(prediction.error for prediction in predictions):
        raise typer.Exit(4)


def image_files(names: Sequence[str]) -> Iterator[Path]:
    """The files that are meant: those named, and the images in and below the folders named, in order."""
    from tlstudio.api.images import is_ignored_name, is_image_name

    for name in names:
        path = Path(name).expanduser()
        if not path.is_dir():
            yield path
            continue
        for folder, subfolders, files in os.walk(path):
            subfolders[:] = sorted(sub for sub in subfolders if not is_ignored_name(sub))
            yield from (Path(folder, file) for file in sorted(files) if is_image_name(file))


def _predictions(
    model: TrainedModel, paths: list[Path], top: int, progress: Callable[[int, int], bool]
) -> Iterator[Prediction]:
    from tlstudio.api.errors import ImageError
    from tlstudio.api.images import decode

    for start in range(0, len(paths), _BATCH):
        images, errors = {}, {}
        for path in paths[start : start + _BATCH]:
            try:
                images[path] = decode(path)
            except ImageError as error:
                errors[path] = error.title
        scores = dict(zip(images, model.predict(list(images.values())), strict=True))
        for path in paths[start : start + _BATCH]:
            if path in errors:
                yield Prediction(str(path), error=errors[path])
                continue
            best = (-scores[path]).argsort()[:top]
            yield Prediction(str(path), tuple((model.classes[i], float(scores[path][i])) for i in best))
        progress(min(start + _BATCH, len(paths)), len(paths))


def _print_predictions(predictions: list[Prediction]) -> None:
    width = max(len(prediction.path) for prediction in predictions)
    for prediction in predictions:
        answer = "  ".join(f"{name} {output.percent(value)}" for name, value in prediction.top)
        output.print_line(f"{prediction.path.ljust(width)}  {answer or f'cannot be read: {prediction.error}'}")


def _write_csv(target: Path, predictions: list[Prediction], top: int) -> None:
    import csv
    import io

    from tlstudio import safe_io

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", *(f"{what}_{i + 1}" for i in range(top) for what in ("class", "probability")), "error"])
    for prediction in predictions:
        cells = [cell for name, value in prediction.top for cell in (name, f"{value:.6f}")]
        writer.writerow([prediction.path, *cells, *[""] * (2 * top - len(cells)), prediction.error])
    with writing(target):
        safe_io.write_text(target, text.getvalue())


# --- export ----------------------------------------------------------------------------------------------------------


def export(
    context: typer.Context,
    run: Run,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Ends in .pth or .safetensors.")],
) -> None:
    """Write a model's weights to a file that loads into the plain library network, outside tlstudio too."""
    info = session_of(context).run(run)
    target = Path(file).expanduser()
    from tlstudio.engine.export import export_model

    with writing(target):
        export_model(info.folder, target)
    output.print_line(f"Wrote {target}")


# --- shared ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn a failure to write ``target`` into a sentence."""
    from tlstudio import safe_io
    from tlstudio.api.errors import UserError

    try:
        yield
    except OSError as error:
        raise safe_io.as_user_error(error, target.parent) or UserError(
            f"{target} cannot be written.", detail=error.strerror or str(error), hint="Check that the folder exists."
        ) from error


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], bool]]:
    """A counter on the standard error, where that is a terminal; yields ``progress(done, total) -> go on``."""

    def silent(done: int, total: int) -> bool:
        return True

    def loud(done: int, total: int) -> bool:
        sys.stderr.write(f"\r{what}: {done:,} of {total:,}\x1b[K")
        sys.stderr.flush()
        return True

    if not sys.stderr.isatty():
        yield silent
        return
    try:
        yield loud
    finally:
        sys.stderr.write("\r\x1b[K")
