"""Where plugins come from. One declaration (the entry point in the plugin's ``pyproject.toml``), two finders.

Finding reads metadata only; nothing of a plugin is imported here.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tlstudio.api.hookspecs import ENTRY_POINT_GROUP

Origin = Literal["installed", "user folder", "shipped"]


@dataclass(frozen=True, kw_only=True)
class FoundPlugin:
    """A plugin that was found but not imported: its name, the module to import and where it lies."""

    name: str
    module: str
    origin: Origin
    location: str
    version: str = ""
    search_path: Path | None = None
    problem: str = ""
    """Why its declaration cannot be used; empty when it can."""


def find_installed() -> Iterator[FoundPlugin]:
    """Plugins of installed distributions, through package metadata."""
    for distribution in metadata.distributions():
        for entry in distribution.entry_points:
            if entry.group == ENTRY_POINT_GROUP:
                yield FoundPlugin(
                    name=entry.name,
                    module=entry.value,
                    origin="installed",
                    location=distribution.name,
                    version=distribution.version,
                )


def find_in_folder(folder: Path, origin: Origin) -> Iterator[FoundPlugin]:
    """Plugins of a folder: each subfolder with a ``pyproject.toml`` that declares the entry point."""
    try:
        children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    except OSError:
        return
    for child in children:
        declaration = child / "pyproject.toml"
        if declaration.is_file():
            yield from _declared(declaration, origin)


def import_root(found: FoundPlugin) -> None:
    """Put a plugin folder at the end of `sys.path`, so that spawned workers can import its classes by name."""
    if found.search_path is not None and str(found.search_path) not in sys.path:
        sys.path.append(str(found.search_path))


def _declared(declaration: Path, origin: Origin) -> Iterator[FoundPlugin]:
    folder = declaration.parent
    try:
        project = tomllib.loads(declaration.read_text(encoding="utf-8")).get("project", {})
        entries = project.get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
        version = str(project.get("version", ""))
        items = [(str(name), str(module)) for name, module in entries.items()]
    except (OSError, ValueError, AttributeError) as error:
        yield FoundPlugin(name=folder.name, module="", origin=origin, location=str(folder), problem=f"pyproject.toml: {error}")
        return
    source = folder / "src" if (folder / "src").is_dir() else folder
    for name, module in items:
        yield FoundPlugin(name=name, module=module, origin=origin, location=str(folder), version=version, search_path=source)
