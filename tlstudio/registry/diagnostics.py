"""What is needed to report a fault, as one zip file: the machine, the last part of the logs, the story of the newest run.

No images and no weights; the user's folder is ``~``, and classes are counted. What a message or a note says stays as it is.
"""

from __future__ import annotations

import getpass
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlstudio import paths, safe_io
from tlstudio.runs.store import newest_folders

_LOGS = ("tlstudio.log", "tlstudio.log.1", "tlstudio.log.2", "crash.log")
_LOG_BYTES = 256 * 2**10
_EVENTS = 300
_OFTEN = ("StepDone", "Progress")  # of these, the last ones only
_OF_OFTEN = 20


def gather(found: Mapping[str, Any], workspace: Path) -> dict[str, str]:
    """The texts to send along by their names in the zip file. Reads the disk.

    Args:
        found: what `tlstudio.registry.examine.examine` found.
        workspace: where the newest run is looked for.
    """
    parts = {"about.json": json.dumps(found, indent=2)}
    for name in _LOGS:
        parts[f"logs/{name}"] = _tail(paths.logs() / name)
    run = next(iter(newest_folders(workspace)), None)
    if run is not None:
        parts["run/run.json"] = _without_machine(_tail(run / "run.json"))
        for name in ("config.json", "notes.json"):
            parts[f"run/{name}"] = _tail(run / name)
        parts["run/events.jsonl"] = _events(run / "events.jsonl")
        parts["run/log.txt"] = _tail(run / "log.txt")
    return {name: without_names(text) for name, text in parts.items() if text}


def write(file: Path, parts: Mapping[str, str]) -> None:
    """Write the zip file; raises `OSError`."""

    def fill(target: Any) -> None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in parts.items():
                bundle.writestr(f"tlstudio-diagnostics/{name}", text.encode("utf-8", "backslashreplace"))

    safe_io.atomic_write(file, fill)


def without_names(text: str) -> str:
    """A text in which the user's folder is ``~``, and the user's name in other paths is ``user``."""
    home = Path.home()
    for folder in {str(home), str(home.resolve())}:
        if len(folder) > 1:
            for form in {folder, json.dumps(folder)[1:-1], folder.replace("\\", "/")}:
                text = re.sub(re.escape(form) + r"(?![\w.-])", "~", text)
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return text
    return re.sub(rf"(?<=[/\\]){re.escape(name)}(?=[/\\\s\"']|$)", "user", text)


def _tail(file: Path) -> str:
    """The last part of a file, from a whole line on; nothing where it cannot be read."""
    try:
        with file.open("rb") as source:
            size = source.seek(0, 2)
            source.seek(max(0, size - _LOG_BYTES))
            data = source.read(_LOG_BYTES)
    except OSError:
        return ""
    return (data if size <= _LOG_BYTES else data.partition(b"\n")[2]).decode("utf-8", "backslashreplace")


def _without_machine(text: str) -> str:
    """What ``run.json`` says, without the name of the machine."""
    try:
        about = json.loads(text)
        about.pop("machine", None)
    except (ValueError, AttributeError):
        return ""
    return json.dumps(about, indent=2)


def _events(file: Path) -> str:
    """What a run told, the last part, of steps the last few; classes and files that were left out are counted only."""
    kept: list[str] = []
    often = 0
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            continue
        often += kind in _OFTEN
        if kind in _OFTEN and often > _OF_OFTEN:
            continue
        for name in ("classes", "excluded"):
            if name in event:
                event[name] = len(event[name])
        kept.append(json.dumps(event))
        if len(kept) == _EVENTS:
            break
    return "\n".join(reversed(kept))
