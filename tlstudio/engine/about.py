"""Versions of what decides a result, for the record of a run. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import platform

import tlstudio
from tlstudio.registry.catalog import Catalog


def versions() -> dict[str, str]:
    """Versions of what decides a result, for the record of a run."""
    return {"tlstudio": tlstudio.__version__, "python": platform.python_version(), "torch": importlib.metadata.version("torch")}


def plugin_versions(catalog: Catalog) -> dict[str, str]:
    """Versions of the plugins that are loaded."""
    return {plugin.name: plugin.version for plugin in catalog.plugins if plugin.status == "loaded"}
