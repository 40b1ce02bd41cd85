"""The picture of a search for a learning rate: each batch's loss as a faint dot, their average as a line, over rising rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from tlstudio.api.events import RateFound, RateTried
from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_plot import round_range
from tlstudio.gui.widgets.editors import number_text

_REDRAW_MS = 33
_AXIS_WIDTH = 52
_POWERS = (-6, 0)  # of ten, before anything was tried


class RatePlot(QWidget):
    """Follows the events of a search; redraws at most thirty times a second."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tried: list[RateTried] = []
        self._found: RateFound | None = None
        self.view = pg.PlotWidget(self)
        self.view.setAccessibleName(self.tr("Loss over the learning rate"))
        self.view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.view.setMinimumSize(320, 200)
        item = self.view.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setMouseEnabled(False, False)
        item.setLogMode(x=True)
        item.showGrid(x=False, y=True, alpha=0.5)
        item.getViewBox().disableAutoRange()
        item.getViewBox().setRange(xRange=_POWERS, yRange=(0.0, 1.0))
        item.getAxis("left").setWidth(_AXIS_WIDTH)
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(maxTickLevel=0)
        item.getAxis("bottom").enableAutoSIPrefix(False)
        self._dots = pg.PlotDataItem(pen=None, symbol="o", symbolSize=4)
        self._line = pg.PlotDataItem(antialias=False)
        self._best = pg.InfiniteLine(angle=90, label="", labelOpts={"position": 0.93, "anchors": [(1, 0.5)] * 2})
        self._lowest = pg.InfiniteLine(angle=90, label="", labelOpts={"position": 0.82, "anchors": [(0, 0.5)] * 2})
        for part in (self._dots, self._line, self._best, self._lowest):
            self.view.addItem(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REDRAW_MS)
        self._timer.timeout.connect(self._draw)
        theme.changed.connect(self._restyle)
        self._restyle()

    @property
    def points(self) -> Sequence[RateTried]:
        """What was tried so far."""
        return tuple(self._tried)

    def feed(self, event: RateTried | RateFound) -> None:
        """Take an event of the search."""
        if isinstance(event, RateTried):
            self._tried.append(event)
        else:
            self._found = event
        if not self._timer.isActive():
            self._timer.start()

    @Slot()
    def _draw(self) -> None:
        rates = np.array([event.rate for event in self._tried])
        losses = np.array([event.loss for event in self._tried])
        smoothed = np.array([event.smoothed for event in self._tried])
        self._dots.setData(rates, losses)
        self._line.setData(rates, smoothed)
        if len(rates):
            steps = self._tried[0].steps
            ratio = (rates[-1] / rates[0]) ** (1 / max(1, len(rates) - 1)) if len(rates) > 1 else 1.2
            right = max(rates[-1], rates[0] * ratio ** (steps - 1) if self._found is None else rates[-1])
            self.view.getViewBox().setXRange(math.log10(rates[0]), math.log10(right), padding=0.03)
            ends = round_range((float(smoothed.min()), float(smoothed.max())), from_zero=0.5)
            if ends is not None:
                self.view.getViewBox().setYRange(*ends, padding=0.05)
        for line, rate, text in (
            (self._best, self._found and self._found.rate, self.tr("falls fastest")),
            (self._lowest, self._found and self._found.lowest, self.tr("lowest")),
        ):
            line.setVisible(bool(rate))
            if rate:
                line.setValue(math.log10(rate))
                line.label.setFormat(f"{text}: {short_rate(rate)}")

    @Slot()
    def _restyle(self) -> None:
        now = theme.colors()
        self.view.setBackground(now.base)
        item = self.view.getPlotItem()
        for side, text in (("left", self.tr("Loss")), ("bottom", self.tr("Learning rate"))):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(now.line))
            axis.setTextPen(pg.mkPen(now.muted))
            axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
            item.setLabel(side, text, color=now.muted.name())
        self._dots.setSymbolBrush(pg.mkBrush(theme.mix(now.learn, now.base, 0.6)))
        self._dots.setSymbolPen(None)
        self._line.setPen(pg.mkPen(now.learn, width=1))
        self._best.setPen(pg.mkPen(now.accent, width=1))
        self._best.label.setColor(now.accent)
        self._lowest.setPen(pg.mkPen(now.muted, width=1, style=Qt.PenStyle.DashLine))
        self._lowest.label.setColor(now.muted)
        self._draw()


def short_rate(rate: float) -> str:
    """A learning rate with two digits, as it is typed into the field."""
    return number_text(float(f"{rate:.1e}"))
