"""Versions of what decides a result, for the record of a run. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import cache
from pathlib import Path

import tlstudio
from tlstudio.registry.catalog import Catalog


def versions() -> dict[str, str]:
    """Versions of what decides a result; in a checkout, also the commit, whose changes since then are not noticed."""
    found = {
        "tlstudio": tlstudio.__version__,
        "commit": commit(Path(tlstudio.__file__).resolve().parents[1]),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "torchvision": _version("torchvision"),
    }
    return {name: version for name, version in found.items() if version}


def plugin_versions(catalog: Catalog) -> dict[str, str]:
    """Versions of the plugins that are loaded."""
    return {plugin.name: plugin.version for plugin in catalog.plugins if plugin.status == "loaded"}


@cache
def commit(root: Path) -> str:
    """The commit that a checkout is at, 40 hex digits; empty where it is none. Reads git's files: git need not be there."""
    try:
        own = root / ".git"
        if own.is_file():  # a worktree
            own = (root / own.read_text().partition("gitdir:")[2].strip()).resolve()
        head = (own / "HEAD").read_text().strip()
        if not head.startswith("ref:"):
            return head
        name = head.partition(":")[2].strip()
        shared = (own / "commondir").read_text().strip() if (own / "commondir").exists() else "."
        for place in (own, (own / shared).resolve()):
            if (place / name).exists():
                return (place / name).read_text().strip()
            if (place / "packed-refs").exists():
                for line in (place / "packed-refs").read_text().splitlines():
                    if line.endswith(f" {name}"):
                        return line.split()[0]
    except (OSError, UnicodeDecodeError):
        pass
    return ""


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
