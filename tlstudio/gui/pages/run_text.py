"""What is known of one run as simple rich text: facts, remarks, settings, what differs from the defaults first."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.gui import theme
from tlstudio.gui.pages.run_replay import Replay
from tlstudio.gui.pages.runs_model import status_text
from tlstudio.gui.widgets.fields import UNITS, title_of
from tlstudio.gui.widgets.form import fields_of
from tlstudio.runs.store import RunInfo


def run_html(run: RunInfo, found: Replay, widget: QWidget, group: str = "") -> str:
    """Facts, remarks and settings of a run as simple rich text.

    Args:
        run: which one.
        found: what it told.
        widget: whose words these are.
        group: what is to be said of the group that it belongs to.
    """
    tr, muted = widget.tr, theme.colors().muted.name()
    parts: list[str] = []
    facts = [(tr("Status"), status_text(run.status)), (tr("Id"), run.id)]
    if run.parent:
        facts.append((tr("Parent"), run.parent))
    if found.prepared is not None:
        images = ", ".join(f"{count:,} {split}" for split, count in found.prepared.images.items() if count)
        facts += [
            (tr("Device"), found.prepared.device),
            (tr("Weights"), found.prepared.weights),
            (tr("Images"), images),
            (tr("Classes"), _some(found.prepared.classes)),
        ]
    parts += [_table(facts, muted), group]
    if found.failure is not None:
        text = "<br>".join(html.escape(line) for line in (found.failure.error, found.failure.hint) if line)
        parts.append(f"<p style='color:{theme.colors().error.name()}'>{text}</p>")
    if found.notes:
        parts.append(_heading(tr("Remarks")))
        parts += [f"<p style='margin:2px 0'>{html.escape(note.text)}</p>" for note in found.notes]
    changed, defaults = settings_of(run.config)
    if changed:
        parts += [_heading(tr("Changed settings")), _table(changed, muted)]
    parts += [_heading(tr("Settings at their defaults")), _table(defaults, muted)]
    return "".join(parts)


def settings_of(config: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Label and value of every setting: those that differ from the defaults, and the others."""
    changed, same = [], []
    for name, info in fields_of(TrainConfig).items():
        value: Any = config
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        default = info.get_default(call_default_factory=True)
        if value == default and (value == {} or name == "data.path"):
            continue  # says nothing
        row = (title_of(name, info), value_text(value, UNITS.get(name, "")))
        (same if value == default else changed).append(row)
    return changed, same


def value_text(value: Any, unit: str = "") -> str:
    """A setting's value for the eye."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None or value == "":
        return "auto" if value is None else "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {item}" for key, item in value.items()) or "–"
    return f"{value} {unit}".rstrip()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f", … ({len(names)})" if len(names) > 12 else "")


def _heading(text: str) -> str:
    return f"<p style='margin:10px 0 2px 0'><b>{html.escape(text)}</b></p>"


def _table(rows: Sequence[tuple[str, str]], muted: str) -> str:
    cells = "".join(
        f"<tr><td style='color:{muted}; padding-right:12px'>{html.escape(key)}</td><td>{html.escape(value)}</td></tr>"
        for key, value in rows
    )
    return f"<table cellspacing='0' cellpadding='1'>{cells}</table>"
