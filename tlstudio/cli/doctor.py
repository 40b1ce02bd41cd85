"""``tlstudio doctor``: what this machine and this installation are, for a report or a first look when something is odd."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio import __version__, paths
from tlstudio.cli import output
from tlstudio.cli.session import Session, session_of

if TYPE_CHECKING:
    from tlstudio.registry import Catalog

_LIBRARIES = ("torch", "torchvision", "timm", "PySide6-Essentials", "numpy", "Pillow", "pydantic")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    context: typer.Context,
    device: Annotated[bool, typer.Option("--device", help="Look for a GPU too; this loads torch.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Show versions, memory, disk, plugins and weights. Ends with 1 where something needs attention."""
    session = session_of(context)
    found = examine(session)
    if device:
        found["device"] = _device()
    if as_json:
        output.print_json(found)
    else:
        _print(found)
    if found["problems"]:
        raise typer.Exit(1)


def examine(session: Session) -> dict[str, Any]:
    """All that can be known without torch and without Qt; ``problems`` lists in plain words what needs attention."""
    catalog = session.catalog()
    workspace = session.workspace
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
        "free_bytes": shutil.disk_usage(_existing(workspace)).free,
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


def _device() -> str:
    from tlstudio.api.config import RunConfig
    from tlstudio.engine.device import choose_place

    return choose_place(RunConfig()).title


def _print(found: dict[str, Any]) -> None:
    memory = found["memory_bytes"]
    output.print_line(f"tlstudio {found['tlstudio']}, Python {found['python']}, {found['system']}")
    output.print_line(f"{found['cpus']} CPUs" + (f", {memory / 2**30:.1f} GB memory" if memory else ""))
    output.print_line(", ".join(f"{name} {version or 'MISSING'}" for name, version in found["libraries"].items()))
    if "device" in found:
        output.print_line(f"Trains on: {found['device']}")
    writable = "writable" if found["workspace_writable"] else "NOT WRITABLE"
    output.print_line(f"Workspace: {found['workspace']} ({writable}, {found['free_bytes'] / 2**30:.1f} GB free)")
    output.print_line(f"Cache: {found['cache']} (may be deleted)")
    states = ", ".join(f"{p['name']} ({p['status']})" for p in found["plugins"])
    output.print_line(f"Plugins: {states or 'none'}")
    for item in found["weights"]:
        output.print_line(f"Weights: {item['name']}, {'intact' if item['intact'] else 'DAMAGED'}")
    output.print_line("")
    for problem in found["problems"]:
        output.print_line(f"! {problem}")
    if not found["problems"]:
        output.print_line("All is well.")
