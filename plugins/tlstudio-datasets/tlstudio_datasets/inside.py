"""Keeps the paths that label files name inside their folder, and tells which of the files are there.

Each folder is listed once, so that a million rows cost a listing and not a million questions to the file system.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tlstudio.api import is_ignored_name

_MOST_LAYERS = 4
_DRIVE = re.compile("[A-Za-z]:")
# Nothing to tidy up: parts that begin with no dot, one slash between them.
_TIDY = re.compile(r"(?:[^/\\.:\0][^/\\:\0]*/)*[^/\\.:\0][^/\\:\0]*")


def key_below(text: str, base: str = "") -> str | None:
    """The path below a root that a label file means, with forward slashes; ``None`` where it leads out of the root.

    It goes by the text alone and reads nothing. ``base`` is the root itself with a slash at its end: absolute paths that begin
    with it are inside.
    """
    if _TIDY.fullmatch(text):
        return text
    path = text.replace("\\", "/")
    if base and path.startswith(base):
        path = path[len(base) :]
    if "\0" in path or path.startswith("/") or _DRIVE.match(path):
        return None
    key = posixpath.normpath(path)
    return None if key == "." or key == ".." or key.startswith("../") else key


def layers(path: Path) -> Iterator[Path]:
    """A folder, and the ones that it only wraps, as unpacking often leaves them: one folder in it and nothing else."""
    for _ in range(_MOST_LAYERS):
        yield path
        inner = [entry for entry in glance(path, 100) if not is_ignored_name(entry.name)]
        if len(inner) != 1 or not inner[0].is_dir(follow_symlinks=False):
            return
        path = Path(inner[0].path)


def glance(folder: Path, limit: int = 2000) -> list[os.DirEntry[str]]:
    """The first entries of a folder, as the system lists them; none where it is no folder or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return list(islice(entries, limit))
    except OSError:
        return []


class Files:
    """The files below ``root``, as far as they are asked for."""

    def __init__(self, root: Path) -> None:
        self._base = os.path.join(root, "")
        self._real = os.path.join(os.path.realpath(root), "")
        self._names: dict[str, set[str]] = {}
        self._inside: dict[str, bool] = {}

    def has(self, key: str) -> bool | None:
        """Whether there is a regular file at ``key``; ``None`` where a link on the way leads out of the root."""
        folder, _, name = key.rpartition("/")
        if folder not in self._names:
            self._list(folder)
        return True if name in self._names[folder] else self._follow(key, folder)

    def names(self, folder: str = "") -> set[str]:
        """Names of the regular files in a folder below the root, links left aside; none where it leads out or is not there."""
        if folder not in self._names:
            self._list(folder)
        return self._names[folder]

    def _list(self, folder: str) -> None:
        names = self._names.setdefault(folder, set())
        self._inside[folder] = False
        try:
            path = os.path.join(self._base, folder)
            if not os.path.join(os.path.realpath(path), "").startswith(self._real):
                return
            self._inside[folder] = True
            with os.scandir(path) as entries:
                names.update(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
        except (OSError, ValueError):
            return

    def _follow(self, key: str, folder: str) -> bool | None:
        """The slow look at what the listing does not show: links, other spellings on systems that ignore capitals."""
        path = self._base + key
        try:
            if self._inside[folder] and not os.path.lexists(path):
                return False
            target = os.path.realpath(path)
            return stat.S_ISREG(os.stat(target).st_mode) if target.startswith(self._real) else None
        except (OSError, ValueError):
            return False
