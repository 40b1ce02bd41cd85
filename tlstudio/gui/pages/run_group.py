"""The group that chosen runs belong to, as simple rich text: mean and interval, how far they hold, each run's accuracy."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from PySide6.QtWidgets import QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.gui import theme
from tlstudio.gui.pages.runs_model import group_text, status_text
from tlstudio.gui.widgets.fields import title_of
from tlstudio.gui.widgets.form import fields_of
from tlstudio.runs.groups import ACCURACY, Group, group_of
from tlstudio.runs.store import RunInfo

ALL_LINK = "group:"
RUN_LINK = "run:"
"""Before a run's id."""


def group_of_chosen(chosen: Sequence[RunInfo], runs: Sequence[RunInfo]) -> Group | None:
    """The group that all chosen runs belong to; ``None`` where there is no such.

    Args:
        chosen: which are meant.
        runs: all of the workspace.
    """
    names = {run.group for run in chosen}
    if len(names) != 1 or "" in names:
        return None
    return group_of([run for run in runs if run.group in names])


def group_html(group: Group, chosen: Collection[str], widget: QWidget) -> str:
    """Result, reservations and members of a group; the chosen ones are bold, links choose others.

    Args:
        chosen: ids of runs.
        widget: whose words these are.
    """
    colors = theme.colors()
    first, *more = group.result
    reservations = group.reservations(_title)
    parts = [
        f"<p style='margin:10px 0 2px 0'><b>{widget.tr('Group')} {html.escape(group.id)}</b></p>",
        _line(f"<b>{first}</b>"),
    ]
    parts += map(_line, more)
    for text in reservations:
        color = colors.error if group.differing and text == reservations[-1] else colors.muted
        parts.append(_line(html.escape(text), color.name()))
    others = sorted(group.others, key=lambda run: run.group_number)
    rows = [_row(run, group, chosen) for run in (*group.runs, *others)]
    parts.append(f"<table cellspacing='0' cellpadding='1' style='margin:4px 0'>{''.join(rows)}</table>")
    if not {run.id for run in (*group.runs, *group.others)} <= set(chosen):
        parts.append(_line(f"<a href='{ALL_LINK}'>{widget.tr('Choose all runs of the group')}</a>"))
    return "".join(parts)


def _row(run: RunInfo, group: Group, chosen: Collection[str]) -> str:
    muted, counted = theme.colors().muted.name(), run in group.runs
    name, value = html.escape(group_text(run).partition(" · ")[0]), run.metrics.get(ACCURACY)
    figure = "–" if value is None else f"{100 * value:.1f} %"
    cells = (
        f"<a href='{RUN_LINK}{run.id}'>{f'<b>{name}</b>' if run.id in chosen else name}</a>",
        figure if counted else f"<span style='color:{muted}'>{figure}</span>",
        "" if counted else f"<span style='color:{muted}'>{status_text(run.status)}</span>",
    )
    return (
        f"<tr><td style='padding-right:12px'>{cells[0]}</td><td align='right'>{cells[1]}</td>"
        f"<td style='padding-left:12px'>{cells[2]}</td></tr>"
    )


def _line(text: str, color: str = "") -> str:
    text = text.replace(" %", "&nbsp;%").replace("Student's t", "Student's&nbsp;t")
    return f"<p style='margin:2px 0{f'; color:{color}' if color else ''}'>{text}</p>"


def _title(name: str) -> str:
    info = fields_of(TrainConfig).get(name)
    return title_of(name, info) if info is not None else name
