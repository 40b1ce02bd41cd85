"""What the window remembers between starts: geometry, look and workspace (an INI file), and what was opened last."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QByteArray, QSettings

from tlstudio import paths
from tlstudio.gui.theme import Choice

if TYPE_CHECKING:
    from tlstudio.api.config import DataConfig

_MAX_RECENT = 8
_MAX_QUERIES = 20
_MAX_RUNS = 200
_CHOICES: tuple[Choice, ...] = ("system", "light", "dark")


class Source(Protocol):
    """Where data come from: a `DataConfig`, or what is remembered of one."""

    @property
    def path(self) -> str | None:
        """Folder, archive or CSV file."""

    @property
    def dataset(self) -> str | None:
        """Name of the data-set plugin."""


@dataclass(frozen=True, kw_only=True)
class Recent:
    """Data that were opened once, as the file tells; the window shows them before it can check a configuration."""

    path: str | None
    dataset: str | None
    options: dict[str, Any]
    item: dict[str, Any]

    def config(self) -> DataConfig:
        """What opens them again."""
        from tlstudio.api.config import DataConfig

        with contextlib.suppress(ValueError):
            return DataConfig.model_validate(self.item)
        return DataConfig(path=self.path, dataset=self.dataset)


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

    @property
    def workspace(self) -> Path | None:
        """The workspace that the user chose last; ``None`` where it was never another than the default one."""
        value = self._settings.value("workspace/folder", "")
        return Path(value) if isinstance(value, str) and value else None

    @workspace.setter
    def workspace(self, folder: Path) -> None:
        self._settings.setValue("workspace/folder", str(folder))
        self._settings.sync()  # a crash may come before Qt would write it

    def state(self, name: str) -> QByteArray | None:
        """Geometry of a window or splitter."""
        value = self._settings.value(f"geometry/{name}")
        return value if isinstance(value, QByteArray) else None

    def set_state(self, name: str, value: QByteArray) -> None:
        """Keep it."""
        self._settings.setValue(f"geometry/{name}", value)

    def arrangement(self, name: str) -> dict[str, Any]:
        """How the user arranged something, such as the columns of a table; empty where nobody did."""
        with contextlib.suppress(ValueError, TypeError):
            found = json.loads(self._settings.value(f"arrangement/{name}", "{}"))
            return found if isinstance(found, dict) else {}
        return {}

    def set_arrangement(self, name: str, value: dict[str, Any]) -> None:
        """Keep it."""
        self._settings.setValue(f"arrangement/{name}", json.dumps(value))

    def queries(self) -> list[str]:
        """Filters that the user typed, newest first."""
        value = self._settings.value("data/queries", "[]")
        with contextlib.suppress(ValueError, TypeError):
            found = json.loads(value)
            return [text for text in found if isinstance(text, str)][:_MAX_QUERIES]
        return []

    def add_query(self, text: str) -> None:
        """This was looked for."""
        items = [text, *(known for known in self.queries() if known != text)][:_MAX_QUERIES]
        self._settings.setValue("data/queries", json.dumps(items))

    def left(self) -> list[str]:
        """Ids of runs that were saved because the window closed."""
        return self._ids("left")

    def set_left(self, run: str) -> None:
        """This one was, just now."""
        self._add_id("left", run)

    def declined(self) -> list[str]:
        """Ids of runs that the user does not want to be offered again."""
        return self._ids("declined")

    def decline(self, run: str) -> None:
        """Nor this one."""
        self._add_id("declined", run)

    def forget_run(self, run: str) -> None:
        """It goes on: what was said of it holds no longer."""
        for name in ("left", "declined"):
            if run in (ids := self._ids(name)):
                self._settings.setValue(f"runs/{name}", json.dumps([known for known in ids if known != run]))

    def _ids(self, name: str) -> list[str]:
        value = self._settings.value(f"runs/{name}", "[]")
        with contextlib.suppress(ValueError, TypeError):
            return [run for run in json.loads(value) if isinstance(run, str)]
        return []

    def _add_id(self, name: str, run: str) -> None:
        if run:
            ids = [run, *(known for known in self._ids(name) if known != run)][:_MAX_RUNS]
            self._settings.setValue(f"runs/{name}", json.dumps(ids))

    def recent(self) -> list[Recent]:
        """What was opened last, newest first."""
        try:
            items = json.loads(self._recent_file.read_bytes())
        except (OSError, ValueError):
            return []
        found = [_recent(item) for item in items] if isinstance(items, list) else []
        return [recent for recent in found if recent is not None][:_MAX_RECENT]

    def add_recent(self, config: DataConfig) -> None:
        """This was opened now."""
        from tlstudio import safe_io

        item = config.model_dump(mode="json", exclude_defaults=True)
        new = _recent(item)
        items = [item, *(known.item for known in self.recent() if new is None or _key(known) != _key(new))][:_MAX_RECENT]
        with contextlib.suppress(OSError):
            self._recent_file.parent.mkdir(parents=True, exist_ok=True)
            safe_io.write_json(self._recent_file, items)

    def clear_recent(self) -> None:
        """Forget what was opened."""
        with contextlib.suppress(OSError):
            self._recent_file.unlink(missing_ok=True)


def title_of(config: Source) -> str:
    """A short name for opened data: the folder's or file's name, else the kind of data."""
    if config.path:
        from tlstudio.api.images import printable

        name = config.path.replace("\\", "/").rstrip("/").rpartition("/")[2]
        return printable(name or config.path)
    return (config.dataset or "?").rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()


def _recent(item: object) -> Recent | None:
    if not isinstance(item, dict):
        return None
    path, dataset, options = item.get("path"), item.get("dataset"), item.get("options", {})
    if not (isinstance(path, str | None) and isinstance(dataset, str | None) and isinstance(options, dict)):
        return None
    return Recent(path=path, dataset=dataset, options=options, item=item) if path or dataset else None


def _key(config: Recent) -> tuple[Any, ...]:
    return (config.path, config.dataset, json.dumps(config.options, sort_keys=True, default=str))
