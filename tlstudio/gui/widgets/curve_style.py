"""How a curve is drawn: its colour of the theme, its line, its marks."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPen

from tlstudio.gui import theme
from tlstudio.gui.widgets.plot_library import pg

_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
DASHES = len(_DASHES)
"""How many styles of line there are."""


@dataclass(frozen=True, kw_only=True)
class CurveStyle:
    """How a curve is drawn. ``color`` is a field of `theme.Colors`, mixed with the ground by ``fade`` (0 = pure)."""

    title: str
    color: str = "text"
    series: int = -1
    """Instead of ``color``: an index into `theme.Colors.series`."""
    fade: float = 0.0
    dash: int = 0
    """The style of the line: solid, dashed, dotted, both."""
    marks: bool = False
    """A dot at every point, while there are few."""
    star: bool = False
    """One star instead of a line."""
    counts: bool = True
    """Whether the vertical range must show all of it."""

    def pen_color(self) -> QColor:
        """The colour under the theme now in force."""
        now = theme.colors()
        color = now.series[self.series] if self.series >= 0 else getattr(now, self.color)
        return theme.mix(color, now.base, self.fade)

    def suits(self, other: CurveStyle) -> bool:
        """Whether a curve that was made for the other style can take this one."""
        return (self.title, self.marks, self.star, self.counts) == (other.title, other.marks, other.star, other.counts)

    def pen(self, width: int = 1) -> QPen:
        """What draws the line."""
        return pg.mkPen(self.pen_color(), width=width, style=_DASHES[self.dash % DASHES])
