"""Walks folders for image files: links cannot lead it out of the root or in circles, an unreadable folder does not stop it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tlstudio.api import is_ignored_name, is_image_name, report
from tlstudio_datasets.words import counted, listed, printable

Job = tuple[str, int, "Folder"]
"""A class name, a split, and the folder that holds its images."""


@dataclass(frozen=True)
class Folder:
    """A folder below the root: its name, its key (the path from the root), its real path, and whether a link leads there."""

    name: str
    key: str
    real: str
    link: bool = False


class Scan:
    """One walk below ``root``. It keeps count of what it leaves out; `notes` says it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._real = os.path.realpath(root)
        self._seen = {self._real}
        self._ignored = 0
        self._others: Counter[str] = Counter()
        self._outside: list[str] = []
        self._cut: list[str] = []
        self._broken: list[str] = []
        self._unreadable: dict[str, str] = {}

    def top(self, folder: Folder | None = None) -> tuple[list[Folder], int]:
        """The folders in a folder that itself is no class (the root, or a split), and the number of images in it."""
        folder = folder or Folder("", "", self._real)
        self._seen.add(folder.real)
        folders, images = self._entries(folder)
        return folders, len(images)

    def peek(self, folder: Folder) -> tuple[bool, bool]:
        """Whether there are folders in a folder, and images; nothing is counted."""
        folders = images = False
        try:
            with os.scandir(os.path.join(self.root, folder.key)) as entries:
                for entry in entries:
                    if is_ignored_name(entry.name):
                        continue
                    folders = folders or entry.is_dir()
                    images = images or is_image_name(entry.name)
                    if folders and images:
                        break
        except OSError:
            return folders, images
        return folders, images

    def images(self, jobs: Iterable[Job]) -> Iterator[tuple[str, int, list[str]]]:
        """Class name, split and keys of images, folder by folder, at any depth.

        Real folders come first and links after them in order of their names, so that what is found does not depend on the
        order in which the file system lists it. A folder that was read is not read again, which also ends circles.
        """
        found = 0
        ready = sorted(jobs, key=lambda job: job[2].key)
        links: list[Job] = [job for job in ready if job[2].link]
        stack: list[Job] = [job for job in reversed(ready) if not job[2].link]
        while stack or links:
            if not stack:
                links.sort(key=lambda job: job[2].key, reverse=True)
                stack.append(links.pop())
            label, split, folder = stack.pop()
            if folder.real in self._seen:
                self._cut.append(folder.key)
                continue
            self._seen.add(folder.real)
            folders, images = self._entries(folder)
            found += len(images)
            report(found)
            if images:
                yield label, split, images
            links += [(label, split, child) for child in folders if child.link]
            stack += [(label, split, child) for child in folders if not child.link]

    def notes(self) -> list[str]:
        """Plain sentences about everything that was left out."""
        notes = []
        if self._ignored:
            notes.append(f"Hidden and system files, left out: {self._ignored:,}.")
        if self._others:
            kinds = ", ".join(f"{count:,} {printable(kind)}" for kind, count in sorted(self._others.items()))
            notes.append(f"{counted(self._others.total(), 'file', 'files')} that are no images by name, left out: {kinds}.")
        for what, keys in (
            ("Links that lead out of the folder, not followed", self._outside),
            ("Links to folders that are read already, not followed again", self._cut),
            ("Links that lead nowhere, left out", self._broken),
        ):
            if keys:
                notes.append(f"{what}: {listed(sorted(keys))}.")
        if self._unreadable:
            reasons = [f"{key} ({reason})" for key, reason in sorted(self._unreadable.items())]
            notes.append(f"Cannot be read, left out: {listed(reasons)}.")
        return notes

    def _entries(self, folder: Folder) -> tuple[list[Folder], list[str]]:
        """Folders and keys of images in a folder, sorted by name; all else is counted."""
        folders: list[Folder] = []
        images: list[str] = []
        prefix = f"{folder.key}/" if folder.key else ""
        try:
            with os.scandir(os.path.join(self.root, folder.key)) as entries:
                for entry in entries:
                    # First the case of nearly every entry: with a million of them each further look would be felt.
                    if entry.is_file(follow_symlinks=False) and is_image_name(entry.name):
                        images.append(prefix + entry.name)
                    elif is_ignored_name(entry.name):
                        self._ignored += 1
                    else:
                        self._sort_in(entry, prefix, folder.real, folders, images)
        except OSError as error:
            self._unreadable[folder.key or self.root] = error.strerror or str(error)
        folders.sort(key=lambda child: child.name)
        images.sort()
        return folders, images

    def _sort_in(self, entry: os.DirEntry[str], prefix: str, parent: str, folders: list[Folder], images: list[str]) -> None:
        name, key = entry.name, prefix + entry.name
        if _is_link(entry):
            real = os.path.realpath(entry.path)
            mode = self._mode_inside(real, key)
            if mode is None:
                return
            is_folder, is_file = stat.S_ISDIR(mode), stat.S_ISREG(mode)
        else:
            real = os.path.join(parent, name)
            is_folder, is_file = entry.is_dir(follow_symlinks=False), False
        if is_folder:
            folders.append(Folder(name, key, real, link=_is_link(entry)))
        elif is_file and is_image_name(name):
            images.append(key)
        else:
            # A pipe or a device with an image's name would block whoever opens it: it lands here too.
            self._others[os.path.splitext(name)[1].lower() or "without suffix"] += 1

    def _mode_inside(self, real: str, key: str) -> int | None:
        """The file mode of a link's target, or ``None`` (and counted) where it is outside of the root or missing."""
        if real != self._real and not real.startswith(os.path.join(self._real, "")):
            self._outside.append(key)
            return None
        try:
            return os.stat(real).st_mode
        except OSError:
            self._broken.append(key)
            return None


def _is_link(entry: os.DirEntry[str]) -> bool:
    # Windows junctions are links to folders too; Python tells from 3.12 on.
    junction = getattr(entry, "is_junction", None)
    return entry.is_symlink() or (junction is not None and bool(junction()))
