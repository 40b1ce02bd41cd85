"""A small picture of the learning rate over the epochs: the head's as a line, those of slower stages below it, in dashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.editors import number_text
from tlstudio.gui.widgets.schedule_curve import Line, Planned, head_line, stage_lines

if TYPE_CHECKING:
    import pyqtgraph as pg

_HEIGHT = 132
_AXIS_WIDTH = 52
_NOTHING = 1e-3  # of the highest rate: less is as good as none
_DASHES = (Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine, Qt.PenStyle.DashDotDotLine)


class SchedulePlot(QWidget):
    """Draws nothing before it is seen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._planned: Planned | None = None
        self._drawn: Planned | None = None
        self._view: pg.PlotWidget | None = None
        self.caption = QLabel(self)
        self.caption.setWordWrap(True)
        theme.set_role(self.caption, "caption")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, theme.HALF, 0, 0)
        self._column.setSpacing(theme.HALF)
        self._column.addWidget(self.caption)
        theme.changed.connect(self._restyle)

    def show_planned(self, planned: Planned | None) -> None:
        """Draw this; ``None`` where a setting is not valid, which is told at its field."""
        self._planned = planned
        self._draw()

    @property
    def curves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What is drawn: epochs and rates, the head's first."""
        items = self._view.getPlotItem().listDataItems() if self._view is not None else []
        return [item.getData() for item in items]

    def showEvent(self, event: QShowEvent) -> None:
        """Now it is seen."""
        super().showEvent(event)
        self._draw()

    def _draw(self) -> None:
        if not self.isVisible() or self._planned == self._drawn:
            return
        self._drawn = planned = self._planned
        if self._view is None:
            self._view = _make_view(self)
            self._column.insertWidget(0, self._view)
        self._view.clear()
        if planned is None:
            self.caption.setText("")
            return
        now, pg = theme.colors(), _pyqtgraph()
        head, stages = head_line(planned), stage_lines(planned)
        self._view.plot(head.epochs, head.rates, pen=pg.mkPen(now.learn, width=1))
        for line, dash in zip(stages, _DASHES, strict=False):
            color = theme.mix(now.learn, now.base, 0.3)
            self._view.plot(line.epochs, line.rates, pen=pg.mkPen(color, width=1, style=dash), connect="finite")
        self._view.getViewBox().setXRange(0, planned.epochs, padding=0.02)
        self._view.getViewBox().setYRange(0, max(float(head.rates.max()), 1e-12), padding=0.06)
        text = self._words(planned)
        if stages:
            names = "; ".join(self._named(line) for line in stages)
            text += " " + self.tr("In dashes, from the fastest: {stages}.").format(stages=names)
        self.caption.setText(text)
        self._view.setAccessibleDescription(text)

    def _words(self, planned: Planned) -> str:
        """What the curve shows."""
        head = head_line(planned)
        highest, last = float(head.rates.max()), float(head.rates[-1])
        peak, end = _short(highest), _short(last if last > _NOTHING * highest else 0.0)
        peak_at = float(head.epochs[int(head.rates.argmax())])
        if planned.optim.schedule == "plateau":
            factor, patience = number_text(planned.optim.decay_factor), planned.optim.plateau_patience
            text = self.tr("{peak}; times {factor} when the validation loss has not fallen for more than {n} epochs.").format(
                peak=peak, factor=factor, n=patience
            )
        elif planned.optim.schedule == "constant":
            text = self.tr("{peak} all the time.").format(peak=peak)
        else:
            text = self.tr("{peak} at its highest, {end} in the last step.").format(peak=peak, end=end)
        if planned.optim.warmup_steps or planned.optim.schedule == "one_cycle":
            text += " " + self.tr("It rises for {n} epochs.").format(n=f"{peak_at:.1f}")
        return text

    def _named(self, line: Line) -> str:
        names = line.names[0] if len(line.names) == 1 else f"{line.names[0]} … {line.names[-1]}"
        begins = round(line.first) + 1
        return self.tr("{stages} (from epoch {n})").format(stages=names, n=begins) if begins > 1 else names

    @Slot()
    def _restyle(self) -> None:
        if self._view is not None:
            _style(self._view)
            self._drawn = None
            self._draw()


def _pyqtgraph() -> Any:
    """Imported when something is drawn: the form is there before any plot."""
    import pyqtgraph as pg

    return pg


def _make_view(parent: QWidget) -> pg.PlotWidget:
    view = _pyqtgraph().PlotWidget(parent)
    view.setFixedHeight(_HEIGHT)
    view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    view.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)  # the wheel scrolls the form
    view.setAccessibleName(parent.tr("Learning rate over the epochs"))
    item = view.getPlotItem()
    item.setMenuEnabled(False)
    item.hideButtons()
    item.showGrid(x=False, y=True, alpha=0.5)
    item.getViewBox().disableAutoRange()
    item.getAxis("left").setWidth(_AXIS_WIDTH)
    for side in ("left", "bottom"):
        item.getAxis(side).enableAutoSIPrefix(False)
        item.getAxis(side).setStyle(maxTickLevel=0)
    _style(view)
    return view


def _style(view: pg.PlotWidget) -> None:
    now, pg = theme.colors(), _pyqtgraph()
    view.setBackground(now.base)
    for side in ("left", "bottom"):
        axis = view.getPlotItem().getAxis(side)
        axis.setPen(pg.mkPen(now.line))
        axis.setTextPen(pg.mkPen(now.muted))
        axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
    view.getPlotItem().setLabel("bottom", view.tr("Epoch"), color=now.muted.name())


def _short(rate: float) -> str:
    return number_text(float(f"{rate:.2g}"))
