"""Images that lie elsewhere now: a workspace remembers which beginning of a path became which, for all that has the old one.

It remembers its own places as well: images in it or beside it are found again where the whole was moved.

<workspace>/moved.json  places.json
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlstudio import safe_io

if TYPE_CHECKING:
    from tlstudio.api.config import DataConfig

MOVED_FILE = "moved.json"
PLACES_FILE = "places.json"


@dataclass(frozen=True, kw_only=True)
class Move:
    """What began with ``old`` begins with ``new`` now; both are whole folders."""

    old: str
    new: str

    def applied(self, path: str) -> str | None:
        """Where a path lies now; ``None`` for one that did not lie there."""
        return _exchanged(path, self.old, self.new)

    def undone(self, path: str) -> str | None:
        """Where a path lay before; ``None`` for one that does not lie in the new place."""
        return _exchanged(path, self.new, self.old)


def read_moves(workspace: Path) -> tuple[Move, ...]:
    """What the workspace remembers, the newest first; nothing where the file cannot be read."""
    try:
        found = json.loads((workspace / MOVED_FILE).read_bytes())
        return tuple(Move(old=str(item["old"]), new=str(item["new"])) for item in found)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def remember(workspace: Path, move: Move) -> None:
    """From now on, what is gone from the old place is looked for in the new one; raises `OSError`."""
    moves = (move, *(known for known in read_moves(workspace) if known.old != move.old))
    workspace.mkdir(parents=True, exist_ok=True)
    safe_io.write_json(workspace / MOVED_FILE, [{"old": item.old, "new": item.new} for item in moves])


def note_place(workspace: Path, path: str | None) -> None:
    """Remember where the workspace is if these images lie in it or beside it; where it is gone or read only, it is not."""
    here, places = os.path.abspath(workspace), _places(workspace)
    if path is None or places[:1] == [here] or all(move.applied(path) is None for move in _with_workspace(here, here)):
        return
    with contextlib.suppress(OSError):  # the workspace is not made here: its drive may be gone
        safe_io.write_json(workspace / PLACES_FILE, [here, *(place for place in places if place != here)])


def current(path: str | None, workspace: Path) -> str | None:
    """Where a path lies now: where it always was, or where the workspace remembers that it went; itself where nobody knows."""
    if path is None or os.path.exists(path):
        return path
    told = [path, *_applied(read_moves(workspace), path)]
    own = _own_moves(workspace)
    candidates = [*told[1:], *(now for place in told for now in _applied(own, place))]
    return next((now for now in candidates if os.path.exists(now)), path)


def relocated(data: DataConfig, workspace: Path) -> DataConfig:
    """A configuration of images with the path where they lie now."""
    now = current(data.path, workspace)
    return data if now == data.path else data.model_copy(update={"path": now})


def before(path: str, workspace: Path) -> list[str]:
    """Where what lies here may have lain before."""
    own, told = _own_moves(workspace), read_moves(workspace)
    places = [path, *(old for move in own if (old := move.undone(path)) is not None)]
    return [*places[1:], *(old for place in places for move in told if (old := move.undone(place)) is not None)]


def widest(old: str, new: str) -> Move:
    """The move that explains how one path became another, for as many other paths as possible: what both end in stays.

    ``/usb/photos/bees`` and ``/home/me/photos/bees`` give ``/usb`` and ``/home/me``.
    """
    first, second = _parts(old), _parts(new)
    while len(first) > 1 and len(second) > 1 and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    return Move(old=_joined(first, old), new=_joined(second, new))


def count_found(move: Move, paths: Iterable[str]) -> tuple[int, int]:
    """How many of the paths that are gone are found by a move, and how many are gone."""
    gone = [path for path in dict.fromkeys(paths) if not os.path.exists(path)]
    return sum((now := move.applied(path)) is not None and os.path.exists(now) for path in gone), len(gone)


def _places(workspace: Path) -> list[str]:
    """Where the workspace was, the newest place first."""
    try:
        return [str(place) for place in json.loads((workspace / PLACES_FILE).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def _own_moves(workspace: Path) -> tuple[Move, ...]:
    """What moved if the workspace was moved, or the folder that it lies in."""
    here = os.path.abspath(workspace)
    return tuple(move for place in _places(workspace) if place != here for move in _with_workspace(place, here))


def _with_workspace(old: str, new: str) -> Iterator[Move]:
    yield Move(old=old, new=new)
    first, second = _parts(old)[:-1], _parts(new)[:-1]
    if len(first) > 1 and len(second) > 1:  # not a whole drive
        yield Move(old=_joined(first, old), new=_joined(second, new))


def _applied(moves: Iterable[Move], path: str) -> list[str]:
    return [now for move in moves if (now := move.applied(path)) is not None]


def _exchanged(path: str, old: str, new: str) -> str | None:
    parts, beginning = _parts(path), _parts(old)
    if parts[: len(beginning)] != beginning:
        return None
    return str(Path(new, *parts[len(beginning) :]))


def _parts(path: str) -> list[str]:
    """The names in a path, of whatever system: a run may come from another one."""
    text = path.replace("\\", "/") if "\\" in path and not path.startswith("/") else path
    parts = [part for part in text.split("/") if part]
    return ["/", *parts] if text.startswith("/") else parts


def _joined(parts: Sequence[str], like: str) -> str:
    separator = "\\" if "\\" in like and not like.startswith("/") else "/"
    return "/" + separator.join(parts[1:]) if parts[:1] == ["/"] else separator.join(parts)
