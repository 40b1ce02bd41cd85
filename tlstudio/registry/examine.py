"""What this machine and this installation are: versions, memory, disk, plugins, weights. Reads every file of weights."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlstudio import __version__, paths

if TYPE_CHECKING:
    from tlstudio.registry.catalog import Catalog

_LIBRARIES = ("torch", "torchvision", "timm", "PySide6-Essentials", "numpy", "Pillow", "pydantic")


def examine(catalog: Catalog, workspace: Path) -> dict[str, Any]:
    """All that can be known without torch and without Qt; ``problems`` lists in plain words what needs attention."""
    found: dict[str, Any] = {
        "tlstudio": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "cpus": os.cpu_count() or 1,
        "memory_bytes": _memory(),
        "workspace": str(workspace),
        "cache": str(paths.cache()),
        "workspace_writable": _writable(workspace),
        "free_bytes": _free(workspace),
        "plugins": [
            {"name": record.name, "origin": record.origin, "status": record.status, "error": record.error}
            for record in catalog.plugins
        ],
        "weights": _bundled(catalog),
    }
    problems = [f"{name} is not installed." for name, version in found["libraries"].items() if not version]
    if not found["workspace_writable"]:
        problems.append(f"The workspace {workspace} cannot be written.")
    if found["free_bytes"] < 2**30:
        problems.append(f"Less than 1 GB is free in {workspace}.")
    problems += [f"The plugin {p['name']} failed: {p['error']}" for p in found["plugins"] if p["status"] == "failed"]
    problems += [f"The weights {w['name']} are damaged: {w['path']}" for w in found["weights"] if not w["intact"]]
    if not found["weights"]:
        problems.append("There are no pretrained weights on this machine.")
    return {**found, "problems": problems}


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is or would be made; 0 where its drive does not say."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return 0


def _bundled(catalog: Catalog) -> list[dict[str, Any]]:
    from tlstudio import safe_io
    from tlstudio.registry.weights import weight_sets

    found = []
    for known in weight_sets(catalog.backbones):
        if known.path is not None:
            digest = safe_io.sha256(known.path)
            intact = digest.startswith(known.sha256)
            name = f"{known.backbone} {known.name}"
            found.append({"name": name, "path": str(known.path), "intact": intact, "sha256": digest})
    return found


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _existing(path: Path) -> Path:
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path(path.anchor))


def _writable(workspace: Path) -> bool:
    folder = _existing(workspace)
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
