"""What the window remembers between starts: geometry, theme and font size (an INI file), and what was opened last."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

from tlstudio import paths, safe_io
from tlstudio.api.config import DataConfig
from tlstudio.api.images import printable
from tlstudio.gui.theme import Choice

_MAX_RECENT = 8
_CHOICES: tuple[Choice, ...] = ("system", "light", "dark")


class Memory:
    """Reads and writes files in the user's tlstudio folder; what cannot be read or written is as if never said."""

    def __init__(self) -> None:
        self._settings = QSettings(str(paths.home() / "window.ini"), QSettings.Format.IniFormat)
        self._recent_file = paths.home() / "recent.json"

    @property
    def theme(self) -> Choice:
        """system, light or dark."""
        value = self._settings.value("look/theme", "system")
        return value if value in _CHOICES else "system"

    @theme.setter
    def theme(self, value: Choice) -> None:
        self._settings.setValue("look/theme", value)

    @property
    def points(self) -> float:
        """Size of body text in points; 0 = the system's."""
        try:
            value = float(self._settings.value("look/points", 0.0))
        except (TypeError, ValueError):
            return 0.0
        return value if 6.0 <= value <= 32.0 else 0.0

    @points.setter
    def points(self, value: float) -> None:
        self._settings.setValue("look/points", value)

    def state(self, name: str) -> QByteArray | None:
        """Geometry of a window or splitter."""
        value = self._settings.value(f"geometry/{name}")
        return value if isinstance(value, QByteArray) else None

    def set_state(self, name: str, value: QByteArray) -> None:
        """Keep it."""
        self._settings.setValue(f"geometry/{name}", value)

    def recent(self) -> list[DataConfig]:
        """What was opened last, newest first."""
        try:
            items = json.loads(self._recent_file.read_bytes())
        except (OSError, ValueError):
            return []
        found: list[DataConfig] = []
        for item in items if isinstance(items, list) else []:
            with contextlib.suppress(ValueError):
                found.append(DataConfig.model_validate(item))
        return found[:_MAX_RECENT]

    def add_recent(self, config: DataConfig) -> None:
        """This was opened now."""
        key = _key(config)
        rest = [known for known in self.recent() if _key(known) != key]
        items = [known.model_dump(mode="json", exclude_defaults=True) for known in (config, *rest)][:_MAX_RECENT]
        with contextlib.suppress(OSError):
            self._recent_file.parent.mkdir(parents=True, exist_ok=True)
            safe_io.write_json(self._recent_file, items)

    def clear_recent(self) -> None:
        """Forget what was opened."""
        with contextlib.suppress(OSError):
            self._recent_file.unlink(missing_ok=True)


def title_of(config: DataConfig) -> str:
    """A short name for opened data: the folder's or file's name, else the kind of data."""
    if config.path:
        name = config.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return printable(name or config.path)
    return (config.dataset or "?").rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()


def _key(config: DataConfig) -> tuple[Any, ...]:
    return (config.path, config.dataset, json.dumps(config.options, sort_keys=True, default=str))
