"""What is known of one run: its curves by replay, its settings (what differs from the defaults first) and its notes.

Reading and adding up the events happens in the background; the window only gets the finished `CurveData`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QStackedWidget, QTextBrowser, QVBoxLayout, QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import EpochStarted, Note, Prepared, RunFailed, StageState
from tlstudio.gui import theme
from tlstudio.gui.pages.runs_model import status_text, title_of_run
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.gui.widgets.fields import UNITS, title_of
from tlstudio.gui.widgets.form import fields_of
from tlstudio.gui.widgets.overlay import OverlayCurves
from tlstudio.gui.widgets.plots import RunCurves
from tlstudio.gui.widgets.stage_strip import StageStrip
from tlstudio.runs.replay import read_events
from tlstudio.runs.store import RunInfo

_AT_MOST = 8  # more curves in one plot cannot be told apart


@dataclass(kw_only=True)
class Replay:
    """What the events of a run add up to."""

    curves: CurveData = field(default_factory=CurveData)
    prepared: Prepared | None = None
    stages: tuple[StageState, ...] = ()
    notes: list[Note] = field(default_factory=list)
    failure: RunFailed | None = None


def replay(run: RunInfo, task: Task | None = None) -> Replay:
    """Read the events of a run; ends early when the task is cancelled."""
    result = Replay()
    for event in read_events(run.folder):
        if task is not None and task.cancelled:
            break
        result.curves.feed(event)
        if isinstance(event, Prepared):
            result.prepared, result.stages = event, event.stages
        elif isinstance(event, EpochStarted):
            result.stages = event.stages
        elif isinstance(event, Note):
            result.notes.append(event)
        elif isinstance(event, RunFailed):
            result.failure = event
    return result


class RunDetails(QWidget):
    """Shows one run, or lays the curves of several over each other."""

    problem = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._runs: tuple[RunInfo, ...] = ()
        self._shown: list[Replay] = []
        self.strip = StageStrip(self)
        self.curves = RunCurves(self)
        self.text = QTextBrowser(self)
        self.text.setAccessibleName(self.tr("Settings and notes of the run"))
        self.text.setOpenLinks(False)
        self._title = QLabel(self)
        self._title.setProperty("role", "section")
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._plots = QStackedWidget(self)
        self._plots.addWidget(self.curves)
        self.curves.problem.connect(self.problem)
        theme.changed.connect(self._restyle)
        self._arrange()

    @cached_property
    def overlay(self) -> OverlayCurves:
        """The curves of several runs; made when they are first asked for."""
        overlay = OverlayCurves(self)
        self._plots.addWidget(overlay)
        return overlay

    @property
    def busy(self) -> bool:
        """Whether something is being read."""
        return self._task is not None

    def show_runs(self, runs: Sequence[RunInfo]) -> None:
        """Show these runs; their events are read in the background."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        before, self._runs = self._runs, tuple(runs[:_AT_MOST])
        if not self._runs:
            self._show([])
            return
        if [run.id for run in before] != [run.id for run in self._runs]:
            self._title.setText(self.tr("Reading …"))
        wanted = self._runs
        self._task = run_in_background(
            self, lambda task: [replay(run, task) for run in wanted], done=self._arrived, failed=self._failed
        )

    def _arrived(self, replays: list[Replay]) -> None:
        self._task = None
        self._show(replays)

    def _failed(self, error: BaseException) -> None:
        self._task = None
        self.problem.emit(error)

    def _show(self, replays: list[Replay]) -> None:
        self._shown = replays
        single = len(replays) == 1
        self._plots.setCurrentWidget(self.overlay if len(replays) > 1 else self.curves)
        self.strip.setVisible(single)
        self.text.setVisible(single)
        if single:
            run, found = self._runs[0], replays[0]
            self._title.setText(title_of_run(run))
            self.curves.set_data(found.curves)
            self.strip.set_stages(found.stages)
            self.strip.set_placeholder(self.tr("The run ended before the network was built."))
            self.text.setHtml(run_html(run, found, self))
        elif replays:
            self._title.setText(self.tr("{n} runs").format(n=len(replays)))
            self.overlay.set_runs(
                [(run.id, title_of_run(run), found.curves) for run, found in zip(self._runs, replays, strict=True)]
            )
        else:
            self._title.setText(self.tr("Choose a run to see its curves."))
            self.curves.clear()
            self.text.clear()

    def _restyle(self, _now: object) -> None:
        if len(self._shown) == 1:
            self.text.setHtml(run_html(self._runs[0], self._shown[0], self))

    def _arrange(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(theme.GRID)
        left.addWidget(self._title)
        left.addWidget(self.strip)
        left.addWidget(self._plots, 1)
        self.text.setMinimumWidth(280)
        self.text.setMaximumWidth(420)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, theme.GRID, 2 * theme.GRID, theme.GRID)
        layout.setSpacing(2 * theme.GRID)
        layout.addLayout(left, 3)
        layout.addWidget(self.text, 1)
        self._show([])


def run_html(run: RunInfo, found: Replay, widget: QWidget) -> str:
    """Facts, notes and settings of a run as simple rich text."""
    tr, muted = widget.tr, theme.colors().muted.name()
    parts: list[str] = []
    facts = [(tr("Status"), status_text(run)), (tr("Id"), run.id)]
    if found.prepared is not None:
        images = ", ".join(f"{count:,} {split}" for split, count in found.prepared.images.items() if count)
        facts += [
            (tr("Device"), found.prepared.device),
            (tr("Weights"), found.prepared.weights),
            (tr("Images"), images),
            (tr("Classes"), _some(found.prepared.classes)),
        ]
    parts.append(_table(facts, muted))
    if found.failure is not None:
        text = "<br>".join(html.escape(line) for line in (found.failure.error, found.failure.hint) if line)
        parts.append(f"<p style='color:{theme.colors().error.name()}'>{text}</p>")
    if found.notes:
        parts.append(_heading(tr("Notes")))
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
        row = (title_of(name, info), _value_text(value, UNITS.get(name, "")))
        (same if value == default else changed).append(row)
    return changed, same


def _value_text(value: Any, unit: str) -> str:
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
