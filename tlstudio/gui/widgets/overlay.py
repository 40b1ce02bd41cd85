"""The curves of any number of runs over each other, each in a look of its own, with a legend that tells values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.gui.widgets.curve_plot import CurvePlot
from tlstudio.gui.widgets.curve_style import CurveStyle
from tlstudio.gui.widgets.overlay_legend import Legend, LegendRow
from tlstudio.gui.widgets.run_looks import RunLook, run_looks
from tlstudio.gui.widgets.smoothing import smoothed

Array = NDArray[np.float64]

_RAW = "~raw"
_AT_ONCE = 50_000  # more points are smoothed in the background
_BATCH = 8
_MARKED = 12
"""Of more runs, the points of epochs are not marked: it would take long and be a muddle."""
_STEEPNESS = 3.0
_SLIDER = 100


class OverlaidRun(NamedTuple):
    """What is shown of a run."""

    id: str
    name: str
    data: CurveData
    about: str = ""
    """More of it, in a tooltip."""


@dataclass(frozen=True)
class Points:
    """One curve."""

    plot: int
    run: str
    x: Array
    y: Array


class OverlayCurves(QWidget):
    """Two plots, loss and accuracy, over epochs; at the right, all runs with their values."""

    smoothing_changed = Signal(object)
    """float: how much the curves are smoothed, from 0 to below 1."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = CurvePlot(self.tr("Validation loss"), {})
        self.accuracy = CurvePlot(self.tr("Validation accuracy (%)"), {}, percent=True)
        self.loss.link(self.accuracy)
        self.legend = Legend()
        self.which = QComboBox()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self._amount = QLabel()
        self._runs: list[OverlaidRun] = []
        self._looks: dict[str, RunLook] = {}
        self._task: Task | None = None
        self._points: list[Points] = []
        self._values: list[Array] | None = None
        """What is drawn for each of them, once it is computed."""
        self._waiting: list[str] = []
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._draw_more)
        self._raw = False
        self._make_controls()
        self._arrange()
        for plot in (self.loss, self.accuracy):
            plot.cursor_moved.connect(self.show_values)
            plot.view.setToolTip("")  # it would hide curves while values are read
        self.legend.hidden_changed.connect(self._hide_runs)
        self.legend.current_changed.connect(self._emphasize)

    @property
    def weight(self) -> float:
        """How much a point counts beside the next one: 0 = nothing is smoothed."""
        return 1.0 - 10.0 ** (-_STEEPNESS * self.slider.value() / _SLIDER)

    @property
    def busy(self) -> bool:
        """Whether curves are being smoothed, or some are not drawn yet."""
        return self._task is not None or bool(self._waiting)

    def set_runs(self, runs: Sequence[tuple[str, str, CurveData] | OverlaidRun]) -> None:
        """Show these: id, name and curves of each."""
        self._runs = [OverlaidRun(*run) for run in runs]
        self._looks = run_looks([run.id for run in self._runs])
        self.legend.set_rows([LegendRow(run.id, run.name, self._looks[run.id], run.about) for run in self._runs])
        self._draw_all()
        for plot in (self.loss, self.accuracy):
            plot.set_span(max((float(run.data.epochs) for run in self._runs), default=1.0))
        self.show_values(None)

    @Slot(object)
    def show_values(self, position: float | None) -> None:
        """Tell each run's values at a place on the horizontal axis; without one, those of its best epoch."""
        split, steps = self._split(), self.which.currentData() == "steps"
        rows: dict[str, tuple[float | None, float | None]] = {}
        for plot in (self.loss, self.accuracy):
            plot.set_cursor(position)
        for run in self._runs:
            if position is None:
                best = run.data.best()
                values = run.data.at(best[0]) if best else {}
            else:
                values = run.data.at(position)
            loss = values.get("loss" if steps and position is not None else f"{split}_loss")
            rows[run.id] = loss, values.get(f"{split}_accuracy")
        epoch = None if position is None else position if steps else max(1, round(position))
        self.legend.set_values(rows, epoch)

    def _split(self) -> str:
        return "val" if self.which.currentData() == "val" else "train"

    def _draw_all(self) -> None:
        """New curves in both plots, and what is smoothed of them."""
        steps, split = self.which.currentData() == "steps", self._split()
        self._points = []
        for run in self._runs:
            epochs = run.data.epoch_positions
            x, y = run.data.steps[:2] if steps else (epochs, run.data.metric(split, "loss"))
            self._points.append(Points(0, run.id, x, y))
            self._points.append(Points(1, run.id, epochs, 100.0 * run.data.metric(split, "accuracy")))
        self._raw = self.slider.value() > 0
        self._values = None
        first = [run.id for place, run in enumerate(self._runs) if place < _BATCH or run.id in self.loss.names]
        self._waiting = [run.id for run in self._runs if run.id not in first]
        styles = self._styles(first)
        for plot in (self.loss, self.accuracy):
            plot.set_styles(styles)
        self._set_raw(first)
        self._hide_runs()
        self._smooth()
        self._more.start() if self._waiting else self._more.stop()

    @Slot()
    def _draw_more(self) -> None:
        """The next few of many runs, so that the window can do other things between them."""
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        styles = self._styles(batch)
        for plot in (self.loss, self.accuracy):
            plot.add_styles(styles)
        self._set_raw(batch)
        if self._values is not None:
            self._set_curves(self._values, batch)
        self._hide_runs()
        if self._waiting:
            self._more.start()

    def _styles(self, runs: Sequence[str]) -> dict[str, CurveStyle]:
        raw = {run + _RAW: self._style(run, fade=0.72, counts=False) for run in runs} if self._raw else {}
        marks = not self._raw and len(self._runs) <= _MARKED
        return {**raw, **{run: self._style(run, marks=marks) for run in runs}}

    def _set_raw(self, runs: Sequence[str]) -> None:
        if self._raw:
            self._set_curves([each.y for each in self._points], runs, _RAW)

    def _style(self, run: str, *, fade: float = 0.0, counts: bool = True, marks: bool = False) -> CurveStyle:
        look = self._looks[run]
        return CurveStyle(title="", series=look.color, dash=look.dash, fade=fade, counts=counts, marks=marks)

    def _smooth(self) -> None:
        """Draw the smoothed curves; where there are many points, as soon as they are computed."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        points, weight = self._points, self.weight
        if weight == 0.0 or sum(len(each.x) for each in points) < _AT_ONCE:
            self._smoothed([smoothed(each.y, weight) for each in points])
            return
        self._task = run_in_background(
            self, lambda task: [each.y if task.cancelled else smoothed(each.y, weight) for each in points], done=self._smoothed
        )

    def _smoothed(self, values: list[Array]) -> None:
        self._task = None
        self._values = values
        self._set_curves(values, [run.id for run in self._runs])

    def _set_curves(self, values: Sequence[Array], runs: Sequence[str], suffix: str = "") -> None:
        """Draw one list of numbers for each of `_points`, as far as they are of these runs and these have curves yet."""
        wanted = set(runs) - set(self._waiting)
        for place, plot in enumerate((self.loss, self.accuracy)):
            both = zip(self._points, values, strict=True)
            plot.set_curves({each.run + suffix: (each.x, y) for each, y in both if each.plot == place and each.run in wanted})

    @Slot()
    def _smoothing_moved(self) -> None:
        self._amount.setText(f"{self.weight:.3f}" if self.weight > 0.99 else f"{self.weight:.2f}")
        self.slider.setAccessibleDescription(self._amount.text())
        if self._raw != (self.slider.value() > 0):
            self._draw_all()
        else:
            self._smooth()
        self.smoothing_changed.emit(self.weight)

    @Slot()
    def _which_changed(self) -> None:
        which = self.which.currentData()
        self.loss.set_title({"val": self.tr("Validation loss"), "train": self.tr("Training loss")}.get(
            which, self.tr("Training loss, each step")
        ))  # fmt: skip
        self.accuracy.set_title(self.tr("Validation accuracy (%)") if which == "val" else self.tr("Training accuracy (%)"))
        self._draw_all()
        self.show_values(None)

    @Slot()
    def _hide_runs(self) -> None:
        hidden = self.legend.hidden()
        for plot in (self.loss, self.accuracy):
            plot.hide_curves({name for name in plot.names if name.removesuffix(_RAW) in hidden})

    @Slot(object)
    def _emphasize(self, run: str) -> None:
        for plot in (self.loss, self.accuracy):
            plot.emphasize(run)

    def put_below_legend(self, widget: QWidget) -> None:
        """Put a widget below the legend; while it is shown, the legend is shorter."""
        self._right.addWidget(widget, 2)

    def _make_controls(self) -> None:
        for value, title in (
            ("val", self.tr("Validation")),
            ("train", self.tr("Training, each epoch")),
            ("steps", self.tr("Training, each step")),
        ):
            self.which.addItem(title, value)
        self.which.setAccessibleName(self.tr("Which curves"))
        self.which.setToolTip(self.tr("Measured on validation images, or on training images while they were learnt from"))
        self.which.currentIndexChanged.connect(self._which_changed)
        self.slider.setRange(0, _SLIDER)
        self.slider.setFixedWidth(15 * theme.GRID)
        self.slider.setAccessibleName(self.tr("Smoothing"))
        self.slider.setToolTip(
            self.tr("Exponential moving average: how much each point counts beside the next one. 0 = nothing is smoothed.")
        )
        self.slider.valueChanged.connect(self._smoothing_moved)
        self._amount.setMinimumWidth(5 * theme.GRID)
        theme.set_role(self._amount, "caption")
        self._amount.setText("0.00")
        log = self.loss.add_tool("chart-line-up", self.tr("Logarithmic axis"), checkable=True)
        log.toggled.connect(self.loss.set_log)

    def _arrange(self) -> None:
        self.controls = QHBoxLayout()
        self.controls.setSpacing(theme.GRID)
        label = QLabel(self.tr("Smoothing"))
        label.setBuddy(self.slider)
        for widget in (self.which, label, self.slider, self._amount):
            self.controls.addWidget(widget)
        plots = QHBoxLayout()
        plots.setSpacing(2 * theme.GRID)
        plots.addWidget(self.loss, 1)
        plots.addWidget(self.accuracy, 1)
        left = QVBoxLayout()
        left.setSpacing(theme.HALF)
        left.addLayout(plots, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.GRID)
        self._right = QVBoxLayout()
        self._right.setSpacing(theme.GRID)
        self._right.addWidget(self.legend, 1)
        layout.addLayout(left, 1)
        layout.addLayout(self._right)
