"""What the events of runs add up to, kept in the cache folder: a list of thousands of runs reads no events twice.

Rebuildable and never truth: a summary counts only while the files that it was read from are as they were.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tlstudio import __version__, paths, safe_io
from tlstudio.runs.replay import EVENTS_FILE
from tlstudio.runs.store import RunInfo

_NOT_KEPT = ("folder", "notes", "tags")
_NAMES = tuple(field.name for field in fields(RunInfo) if field.name not in _NOT_KEPT)
_FORMAT = [__version__, 1, *_NAMES]


class Summaries:
    """The kept summaries of one workspace. Failing to read or write them costs time, nothing else."""

    def __init__(self, workspace: Path) -> None:
        name = hashlib.sha256(str(workspace.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self._file = paths.cache() / "runs" / f"{name}.jsonl"
        self._kept: dict[str, Any] = {}
        self._used: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            heading, *lines = self._file.read_bytes().splitlines()
            if json.loads(heading) == _FORMAT:  # line by line: one large value would hold up other threads
                self._kept = {kept["folder"]: kept for kept in map(json.loads, lines)}

    def read(self, folder: Path, read: Callable[[Path], RunInfo | None], alive: Callable[[Path], bool]) -> RunInfo | None:
        """A run, from what is kept where that holds; else ``read(folder)``. One without an end may go on: ``alive`` tells."""
        stamp = _stamp(folder)
        kept = self._kept.get(folder.name)
        if stamp and isinstance(kept, dict) and kept.get("stamp") == stamp:
            with contextlib.suppress(TypeError, KeyError):  # not as this program writes it
                info = RunInfo(folder=folder, **kept["values"])
                if info.status != "interrupted" or not alive(folder):
                    self._used[folder.name] = kept
                    return info
        read_now = read(folder)
        if read_now is not None and read_now.status != "running":
            values = {name: getattr(read_now, name) for name in _NAMES}
            self._used[folder.name] = {"folder": folder.name, "stamp": stamp, "values": values}
        return read_now

    def save(self) -> None:
        """Keep what was used, if that is something new."""
        if self._used.keys() == self._kept.keys() and all(self._used[name] is self._kept[name] for name in self._used):
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(value) for value in (_FORMAT, *self._used.values())]
            safe_io.write_bytes(self._file, "\n".join(lines).encode() + b"\n")


def _stamp(folder: Path) -> Sequence[int]:
    """Size and time of the files that decide a summary; empty where one cannot be looked at."""
    try:
        events, config, about = ((folder / name).stat() for name in (EVENTS_FILE, "config.json", "run.json"))
    except OSError:
        return []
    return [events.st_size, events.st_mtime_ns, config.st_size, config.st_mtime_ns, about.st_size]  # run.json is touched
