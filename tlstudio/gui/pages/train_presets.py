"""The preset that the settings of the form were taken from: puts its settings into the fields, and takes them back later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QCoreApplication

from tlstudio.api.config import AUTO_STRATEGY
from tlstudio.gui.widgets.form import FieldRow
from tlstudio.registry.presets import WHAT_LEARNS, Preset


class PresetChoice:
    """Which preset was chosen, and what it brought besides what learns.

    Args:
        rows: the fields of the form, by their dotted names.
    """

    def __init__(self, rows: Mapping[str, FieldRow]) -> None:
        self._rows = rows
        self._preset: Preset | None = None
        self._brought: dict[str, Any] = {}

    @property
    def note(self) -> str:
        """The chosen one and when it is right; empty where none is."""
        return f"{title_of(self._preset)}. {about_of(self._preset)}" if self._preset is not None else ""

    def put(self, preset: Preset) -> bool:
        """Put its settings into the fields, but for those that the user has set; whether that changed any."""
        before = {name: row.editor.value() for name, row in self._rows.items()}
        self._take_back()
        self._set(WHAT_LEARNS, preset.settings[WHAT_LEARNS])
        others = {name: value for name, value in preset.missing(self._value).items() if name != WHAT_LEARNS}
        for name, value in others.items():
            self._set(name, value)
        self._preset, self._brought = preset, others
        return before != {name: row.editor.value() for name, row in self._rows.items()}

    def follow(self) -> None:
        """Something else may be chosen now; with the default, or *Automatic*, goes what the preset brought."""
        if self._preset is not None and self._value(WHAT_LEARNS) != self._preset.settings[WHAT_LEARNS]:
            self._preset = None
        if self._preset is None and (self._value(WHAT_LEARNS) == AUTO_STRATEGY or not self._rows[WHAT_LEARNS].is_changed):
            self._take_back()

    def forget(self) -> None:
        """Other settings were put into all fields."""
        self._preset, self._brought = None, {}

    def _take_back(self) -> None:
        for name, value in self._brought.items():
            if self._value(name) == value:  # else the user has changed it since
                self._rows[name].set_default()
        self._brought = {}

    def _set(self, name: str, value: Any) -> None:
        if self._value(name) != value:
            self._rows[name].editor.set_value(value)

    def _value(self, name: str) -> Any:
        return self._rows[name].editor.value()


def title_of(preset: Preset) -> str:
    """The situation that it is for, in the user's language."""
    return QCoreApplication.translate("Presets", preset.title)


def about_of(preset: Preset) -> str:
    """When it is right, in the user's language."""
    return QCoreApplication.translate("Presets", preset.about)
