"""What the user says of a run: notes and tags, in a file of their own in its folder, which training never touches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlstudio import safe_io

NOTES_FILE = "notes.json"
_LONGEST_TAG = 60


@dataclass(frozen=True, kw_only=True)
class RunNotes:
    """Words about a run."""

    text: str = ""
    tags: tuple[str, ...] = ()


def read_notes(folder: Path) -> RunNotes:
    """The notes of a run; none where there is no file, or one that cannot be read."""
    try:
        kept = json.loads((folder / NOTES_FILE).read_bytes())
        return RunNotes(text=str(kept.get("notes", "")), tags=clean_tags(map(str, kept.get("tags", ()))))
    except (OSError, ValueError, TypeError, AttributeError):
        return RunNotes()


def write_notes(folder: Path, notes: RunNotes) -> None:
    """Keep the notes of a run; raises `OSError`."""
    safe_io.write_json(folder / NOTES_FILE, {"format": 1, "notes": notes.text, "tags": list(clean_tags(notes.tags))})


def clean_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without spaces around them, each once, in order. A comma parts tags, so none is in a tag."""
    words = (" ".join(word.split())[:_LONGEST_TAG] for tag in tags for word in tag.split(","))
    found: dict[str, str] = {}
    for word in words:
        if word:
            found.setdefault(word.casefold(), word)
    return tuple(found.values())
