"""Where things lie: the user's folders and what ships with the program. Knows names only; writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def home() -> Path:
    """The user's tlstudio folder: ``$TLSTUDIO_HOME``, else the platform's data folder."""
    override = os.environ.get("TLSTUDIO_HOME")
    return Path(override) if override else Path(platformdirs.user_data_dir("tlstudio", appauthor=False))


def workspace() -> Path:
    """The default workspace: where runs are kept."""
    return home() / "workspace"


def user_plugins() -> Path:
    """The folder into which a user unzips plugins."""
    return home() / "plugins"


def weights() -> Path:
    """The folder of pretrained weights: those that were imported, and files that a user puts there by hand."""
    return home() / "weights"


def cache() -> Path:
    """Rebuildable files only: unpacked archives, thumbnails."""
    override = os.environ.get("TLSTUDIO_HOME")
    return Path(override) / "cache" if override else Path(platformdirs.user_cache_dir("tlstudio", appauthor=False))


def logs() -> Path:
    """Log files of the program."""
    override = os.environ.get("TLSTUDIO_HOME")
    return Path(override) / "logs" if override else Path(platformdirs.user_log_dir("tlstudio", appauthor=False))


def shipped_plugins() -> Path:
    """The plugins that ship with the program, in a checkout or in an installed wheel."""
    return _shipped("plugins")


def resources() -> Path:
    """Icons, the in-app help, the plugin template."""
    return _shipped("resources")


def _shipped(name: str) -> Path:
    installed = _PACKAGE / "_shipped" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
