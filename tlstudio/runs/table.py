"""What a table tells of runs, by name: for CSV files and comparisons. Values are plain; words and units are the front ends'."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tlstudio import safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.runs.store import RunInfo

Value = str | int | float | None


def _epochs(run: RunInfo) -> Value:
    wanted = run.config.get("run", {}).get("epochs")
    return wanted if isinstance(wanted, int) else None


FIELDS: dict[str, Callable[[RunInfo], Value]] = {
    "name": lambda run: run.name,
    "data": lambda run: run.dataset,
    "backbone": lambda run: run.backbone,
    "strategy": lambda run: str(run.config.get("freezing", {}).get("strategy", "")),
    "status": lambda run: run.status,
    "epochs": lambda run: run.epochs_done,
    "epochs_wanted": _epochs,
    "best_epoch": lambda run: run.best_epoch + 1 if run.best_epoch >= 0 else None,
    "val_accuracy": lambda run: run.metrics.get("val_accuracy"),
    "val_loss": lambda run: run.metrics.get("val_loss"),
    "seconds": lambda run: round(run.seconds, 3),
    "images_per_s": lambda run: round(run.images_per_s, 2) if run.images_per_s else None,
    "notes": lambda run: run.notes,
    "tags": lambda run: ", ".join(run.tags),
    "parent": lambda run: run.parent,
    "group": lambda run: run.group,
    "group_number": lambda run: run.group_number if run.group else None,
    "started": lambda run: time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(run.created)),
    "id": lambda run: run.id,
}
"""Columns of a table of runs. Accuracies are fractions, epochs count from 1, ``started`` is local time."""

FIGURES = ("status", "epochs", "best_epoch", "val_accuracy", "val_loss", "seconds", "images_per_s")
"""Those of them that are results."""


def to_csv(runs: Iterable[RunInfo], columns: Sequence[str] = tuple(FIELDS)) -> str:
    """Runs as CSV with these columns of `FIELDS`, a heading first; what is not known is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for run in runs:
        writer.writerow(["" if (value := FIELDS[name](run)) is None else value for name in columns])
    return text.getvalue()


def write_csv(path: Path, runs: Iterable[RunInfo], columns: Sequence[str] = tuple(FIELDS)) -> None:
    """Write `to_csv` as UTF-8 with the mark by which spreadsheets recognise it; raises `OSError`."""
    safe_io.write_text(path, "\ufeff" + to_csv(runs, columns))


def differing_settings(runs: Sequence[RunInfo]) -> dict[str, tuple[Any, ...]]:
    """Dotted settings that are not the same in all runs, with the value of each run; ``None`` where it has no such setting.

    Settings that a run of an earlier version does not know count at their defaults. A run's name is no setting of it.
    """
    usual = TrainConfig().model_dump(mode="json")
    found = [{**_flat(usual), **_flat(run.config)} for run in runs]
    names = dict.fromkeys(name for settings in found for name in settings)
    values = {name: tuple(settings.get(name) for settings in found) for name in names if name != "run.name"}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = item
    return flat
