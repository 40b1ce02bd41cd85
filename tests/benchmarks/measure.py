"""One measured run of one tool in a process of its own: wall time, what it printed of its epochs, its memory.

A tool prints ``epoch N accuracy A seconds S``, or tlstudio's events as JSON lines; a line ``facts {…}`` may tell more.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

_EPOCH = re.compile(r"epoch \d+ accuracy ([\d.]+) seconds ([\d.]+)")
_SAMPLE_SECONDS = 1.0  # smaps_rollup costs the watched process time: 5 % at 4 Hz


class Failed(Exception):
    """The tool ended with an error, or printed no epoch."""


@dataclass
class Measured:
    """A run: wall seconds, seconds until its first epoch's result, and of each epoch seconds and validation accuracy."""

    wall: float = 0.0
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    """Largest proportional set size of all its processes together, sampled once a second; 0 where the system has none."""
    facts: dict[str, Any] = field(default_factory=dict)


def run(command: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """Run a command to its end and read its lines as they come.

    Raises:
        Failed: it ended with an error; its last words are the message.
    """
    result = Measured()
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=dict(environment), start_new_session=True
        )
        stop = threading.Event()
        watch = threading.Thread(target=_watch_memory, args=(process.pid, result, stop), daemon=True)
        watch.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                _read(line, result)
                if result.seconds and not result.first:
                    result.first = time.perf_counter() - began
            process.wait()
        finally:
            stop.set()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        result.wall = time.perf_counter() - began
        watch.join()
        if process.returncode or not (result.seconds or result.facts):
            errors.seek(0)
            raise Failed(errors.read()[-2000:] or f"exit status {process.returncode} and nothing printed")
    return result


def environment(home: Path) -> dict[str, str]:
    """What a tool needs of the environment, with a home of its own and no hint about threads or memory."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV") if name in os.environ}
    own = {"HOME": str(home), "TLSTUDIO_HOME": str(home), "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    return {**kept, **own, "PYTHONUNBUFFERED": "1"}


def _read(line: str, result: Measured) -> None:
    if line.startswith("facts "):
        result.facts.update(json.loads(line.removeprefix("facts ")))
    elif line.startswith("{"):
        event = json.loads(line)
        if event["event"] == "EpochDone":
            result.seconds.append(event["seconds"])
            result.accuracies.append((event["val"] or event["train"])["accuracy"])
        elif event["event"] == "Prepared":
            result.facts["device"] = event["device"]
        elif event["event"] == "RunFailed":
            sys.stderr.write(f"{event['error']} {event['detail']}\n")
    elif found := _EPOCH.search(line):
        result.accuracies.append(float(found[1]))
        result.seconds.append(float(found[2]))


def _watch_memory(session: int, result: Measured, stop: threading.Event) -> None:
    while not stop.wait(_SAMPLE_SECONDS):
        pages = sum(_proportional(process) for process in Path("/proc").glob("[0-9]*") if _session(process) == session)
        result.peak_mib = max(result.peak_mib, pages / 1024)


def _session(process: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    return 0


def _proportional(process: Path) -> int:
    """KiB of a process, shared pages counted in part; 0 where it has ended."""
    with contextlib.suppress(OSError, ValueError):
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
