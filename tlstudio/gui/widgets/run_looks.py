"""The colour and the style of line of each run: given when a run is first drawn beside others, and the same ever after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QGuiApplication, QIcon, QPainter, QPixmap

from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_style import DASHES, CurveStyle

LINE_WIDTH = 3 * theme.GRID


@dataclass(frozen=True)
class RunLook:
    """Indices of a colour of `theme.Colors.series` and of a style of line."""

    color: int
    dash: int


_given: dict[str, RunLook] = {}


def run_looks(ids: Sequence[str]) -> dict[str, RunLook]:
    """The looks of runs that are drawn together: as different as they can be, without any run changing its colour.

    A new run takes what is rarest among the others. Two that were given the same look in different company keep their
    colour, and one is drawn in another style of line while they are together.
    """
    colors = len(theme.colors().series)
    every = [RunLook(color, dash) for dash in range(DASHES) for color in range(colors)]
    looks = {run_id: _given[run_id] for run_id in ids if run_id in _given}
    taken: Counter[RunLook] = Counter()
    for run_id, look in looks.items():
        others = (RunLook(look.color, (look.dash + step) % DASHES) for step in range(DASHES))
        looks[run_id] = min(others, key=lambda other: taken[other])
        taken[looks[run_id]] += 1
    ever = Counter(_given.values())
    for run_id in ids:
        if run_id not in looks:
            shades = Counter(look.color for look in looks.values())
            look = min(every, key=lambda look: (taken[look], shades[look.color], look.dash, ever[look]))
            _given[run_id] = looks[run_id] = look
            taken[look] += 1
            ever[look] += 1
    return {run_id: looks[run_id] for run_id in ids}


def look_of(run_id: str) -> RunLook | None:
    """The look of a run that was drawn beside others already."""
    return _given.get(run_id)


def line_icon(look: RunLook) -> QIcon:
    """A piece of the line, for legends and tables, under the theme now in force."""
    app = QGuiApplication.instance()
    ratio = app.devicePixelRatio() if isinstance(app, QGuiApplication) else 1.0
    pixmap = QPixmap(round(LINE_WIDTH * ratio), round(theme.ICON * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setPen(CurveStyle(title="", series=look.color, dash=look.dash).pen(round(2 * ratio)))
    painter.drawLine(QPointF(1, theme.HALF * 2), QPointF(LINE_WIDTH - 1, theme.HALF * 2))
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # else it would be tinted
    return icon
