"""The figures of a comparison in a JSON file: added to round by round, read by the report."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
from dataclasses import asdict
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jobs import Contestant, Job
from measure import ROOT, Measured

PACKAGES = ("torch", "torchvision", "timm", "fastai", "lightning", "numpy", "Pillow", "simplejpeg")

Record = dict[str, Any]


class Results:
    """Records by job, contestant and round; written after each one, so that a comparison can be gone on with."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.records: list[Record] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    def find(self, job: Job, contestant: Contestant, number: int) -> Record | None:
        """The record of one round, if it was measured with the same command."""
        for record in self.of(job.name, contestant.name):
            if record["round"] == number and record["exact"] == list(contestant.command):
                return record
        return None

    def add(self, job: Job, contestant: Contestant, number: int, measured: Measured) -> Record:
        """Keep a run; earlier ones of the same round, or of another command, are dropped: they must not mix in one median."""
        record = {
            "job": job.name, "contestant": contestant.name, "round": number, "command": contestant.shown,
            "exact": list(contestant.command), "steady": contestant.steady, "times": contestant.times, **asdict(measured),
            "date": date.today().isoformat(), "commit": _commit(), "machine": machine(), "versions": versions(),
        }  # fmt: skip
        self.records = [
            other
            for other in self.records
            if (other["job"], other["contestant"]) != (job.name, contestant.name)
            or (other["round"] != number and other["exact"] == record["exact"])
        ]
        self.records.append(record)
        self._write()
        return record

    def forget(self, job: Job) -> None:
        """Drop what is known of a job."""
        self.records = [record for record in self.records if record["job"] != job.name]
        self._write()

    def of(self, job: str, contestant: str) -> list[Record]:
        """All rounds."""
        return [record for record in self.records if record["job"] == job and record["contestant"] == contestant]

    def contestants(self, job: str) -> list[str]:
        """Who was measured, in the order in which they were first; tlstudio last."""
        names = dict.fromkeys(record["contestant"] for record in self.records if record["job"] == job)
        return sorted(names, key=lambda name: name.startswith("tlstudio"))

    def _write(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.records, indent=1), encoding="utf-8")
        part.replace(self.file)


def wall(records: list[Record]) -> float:
    """Median seconds of the whole process; where a part was run, those of the whole."""
    return statistics.median(
        record["wall"] + (record["times"] - 1.0) * sum(record["seconds"]) if record["times"] != 1.0 else record["wall"]
        for record in records
    )


def first(records: list[Record]) -> float:
    """Median seconds from the start of the process to the first epoch's result."""
    return statistics.median(record["first"] for record in records)


def first_epoch(records: list[Record]) -> float:
    """Median seconds of the first epoch."""
    return statistics.median(record["seconds"][0] for record in records)


def steady(records: list[Record]) -> float | None:
    """Median seconds of the epochs that are like all later ones; none where no such epoch was run."""
    seconds = [value for record in records for value in record["seconds"][record["steady"] :]]
    return statistics.median(seconds) if seconds else None


def accuracies(records: list[Record]) -> list[float]:
    """Of the last epoch of each round, as fractions."""
    return [record["accuracies"][-1] for record in records if record["accuracies"]]


def peak(records: list[Record]) -> float:
    """Median of the largest memory, MiB; 0 where it is not known."""
    return statistics.median(record["peak_mib"] for record in records)


def fact(records: list[Record], *names: str) -> float:
    """Median of a number among the facts of the rounds."""
    values = []
    for record in records:
        value = record["facts"]
        for name in names:
            value = value[name]
        values.append(float(value))
    return statistics.median(values)


def machine() -> str:
    """The processor, its cores, the memory, the system."""
    from tlstudio.engine.processor import processor  # `compare.py` decides first from where

    name, memory = processor()[0], ""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return f"{name}, {os.cpu_count()} cores{memory}, {platform.system()}, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """Of the packages that matter and are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
