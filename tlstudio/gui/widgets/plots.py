"""The curves of a run: loss and accuracy over its epochs, live from events or at once from a finished `CurveData`."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QToolButton, QWidget

from tlstudio import safe_io
from tlstudio.api.events import Event
from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.gui.widgets.curve_plot import CurvePlot
from tlstudio.gui.widgets.curve_style import CurveStyle

_FASTEST_MS = 50
_SLOWEST_MS = 500
_SHARE = 5  # drawing takes at most about a fifth of the window's time


class RunCurves(QWidget):
    """Two plots side by side that draw themselves when their data changed, at most 20 times a second."""

    problem = Signal(object)
    """Exception: an export could not be written."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data = CurveData()
        self._drawn: dict[str, tuple[int, float, int]] = {}
        self._span = 0.0
        self._turn = 0
        self.redraws = 0
        """How often the plots were drawn anew."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tick)
        self._interval = _FASTEST_MS
        self.loss = CurvePlot(self.tr("Loss"), self._loss_styles(), parent=self)
        self.accuracy = CurvePlot(
            self.tr("Accuracy (%)"), self._accuracy_styles(), percent=True, legend_below=True, parent=self
        )
        self.loss.link(self.accuracy)
        self._log = self.loss.add_tool("chart-line-up", self.tr("Logarithmic axis"), checkable=True)
        self._log.toggled.connect(self.loss.set_log)
        for plot, name in ((self.loss, "loss"), (self.accuracy, "accuracy")):
            self._add_export(plot, name)
            plot.cursor_moved.connect(self.show_values)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.GRID)
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.accuracy, 1)

    @property
    def data(self) -> CurveData:
        """What is shown."""
        return self._data

    def clear(self) -> None:
        """Empty plots, for a run that begins."""
        self.set_data(CurveData())

    def expect(self, epochs: int) -> None:
        """While there is nothing to show, how long the next run would be."""
        if not self._data.run and epochs != self._data.epochs:
            self._data.epochs = epochs
            self._mark_dirty()

    def set_data(self, data: CurveData) -> None:
        """Show a run that was read elsewhere."""
        self._data = data
        self._span = 0.0
        self._mark_dirty()
        self.show_values(None)

    def feed(self, event: Event) -> None:
        """Take an event of the run that is going; drawing follows by itself, a little later."""
        changed = self._data.feed(event)
        if changed or self._span != self._wanted_span():
            self._mark_dirty()

    @Slot()
    def redraw(self) -> None:
        """Draw whatever changed since the last time. Does nothing while out of sight."""
        while self._draw_next():
            pass

    @Slot()
    def _tick(self) -> None:
        """Draw one part; the others have their turns next time, so that the window can do other things between them."""
        began = time.perf_counter()
        drawn = self._draw_next()
        cost = 1000 * (time.perf_counter() - began) + max(self.loss.paint_ms, self.accuracy.paint_ms)
        self._interval = int(min(_SLOWEST_MS, max(_FASTEST_MS, _SHARE * cost)))
        if drawn:
            self._mark_dirty()

    def _draw_next(self) -> bool:
        """Draw one part whose numbers changed; returns whether there was one. The one that was drawn last comes last: numbers
        that come faster than they are drawn would else leave the others as they were."""
        if not self.isVisible():
            return False
        data = self._data
        state = (id(data), self._wanted_span())
        parts = (
            ("steps", self._draw_steps, (*state, data.version)),
            ("loss", self._draw_loss, (*state, data.epoch_version)),
            ("accuracy", self._draw_accuracy, (*state, data.epoch_version)),
        )
        for name, draw, now in (*parts[self._turn :], *parts[: self._turn]):
            self._turn = (self._turn + 1) % len(parts)
            if self._drawn.get(name) != now:
                self._drawn[name] = now
                self.redraws += 1
                self._fit()
                draw()
                return True
        return False

    def _fit(self) -> None:
        """Bring the axes in line with what there is."""
        span = self._wanted_span()
        if span != self._span:
            self._span = span
            for plot in (self.loss, self.accuracy):
                plot.set_span(span)

    @Slot(object)
    def show_values(self, position: float | None) -> None:
        """Tell the values at a place on the horizontal axis, on both plots; ``None``: the newest ones."""
        for plot in (self.loss, self.accuracy):
            plot.set_cursor(position)
            self._tell(plot, math.inf if position is None else position)

    def export_png(self, plot: CurvePlot, path: Path) -> None:
        """Write a plot as a picture of twice its size on the screen; raises `OSError`."""
        if not plot.to_image().save(str(path), "PNG"):
            raise OSError(self.tr("{path} could not be written.").format(path=path))

    def export_svg(self, plot: CurvePlot, path: Path) -> None:
        """Write a plot as vectors; raises `OSError`."""
        path.touch()
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        plot.draw_on(generator)

    def export_csv(self, path: Path) -> None:
        """Write all points of both plots; raises `OSError`."""
        safe_io.write_text(path, self._data.to_csv())

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what came while out of sight."""
        super().showEvent(event)
        self._mark_dirty()

    def _mark_dirty(self) -> None:
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(self._interval)

    def _tell(self, plot: CurvePlot, position: float) -> None:
        names = ("smoothed", "val_loss") if plot is self.loss else ("train_accuracy", "val_accuracy")
        labels = (self.tr("train"), self.tr("validation"))
        values = self._data.at(position)
        told = _in_words(values, dict(zip(names, labels, strict=True)))
        epoch = [self.tr("epoch {n}").format(n=int(values["epoch"]))] if "epoch" in values else []
        plot.set_readout(" · ".join([*epoch, *told]), " · ".join(told))

    def _wanted_span(self) -> float:
        return float(self._data.epochs or (self._data.epoch_positions[-1] if len(self._data.epoch_positions) else 1.0))

    def _draw_steps(self) -> None:
        x, raw, smooth = self._data.steps
        self.loss.set_curve("raw", x, raw)
        self.loss.set_curve("smooth", x, smooth)
        self._tell(self.loss, math.inf)

    def _draw_loss(self) -> None:
        data = self._data
        self.loss.set_curve("val", data.epoch_positions, data.metric("val", "loss"))
        best = data.best()
        self._draw_best(self.loss, best[1] if best else 0.0)
        self._tell(self.loss, math.inf)

    def _draw_accuracy(self) -> None:
        data = self._data
        for split in ("train", "val"):
            self.accuracy.set_curve(split, data.epoch_positions, 100 * data.metric(split, "accuracy"))
        best = data.best()
        self._draw_best(self.accuracy, 100 * best[2] if best else 0.0)
        self._tell(self.accuracy, math.inf)

    def _draw_best(self, plot: CurvePlot, value: float) -> None:
        best = self._data.best()
        plot.set_marks(best[0] if best else None, [float(epoch) for epoch, _ in self._data.frozen_until[1:]])
        plot.set_curve("best", np.array([best[0]] if best else []), np.array([value] if best else []))

    def _loss_styles(self) -> dict[str, CurveStyle]:
        return {
            "raw": CurveStyle(title=self.tr("each step"), color="muted", fade=0.65, counts=False),
            "smooth": CurveStyle(title=self.tr("train, smoothed"), color="text", fade=0.2),
            "val": CurveStyle(title=self.tr("validation"), color="accent", marks=True),
            "best": CurveStyle(title=self.tr("best epoch"), color="accent", star=True),
        }

    def _accuracy_styles(self) -> dict[str, CurveStyle]:
        return {
            "train": CurveStyle(title=self.tr("train"), color="text", fade=0.35),
            "val": CurveStyle(title=self.tr("validation"), color="accent", marks=True),
            "best": CurveStyle(title=self.tr("best epoch"), color="accent", star=True),
        }

    def _add_export(self, plot: CurvePlot, name: str) -> None:
        button = plot.add_tool("export", self.tr("Save this plot as a picture or as numbers"))
        menu = QMenu(button)
        for label, suffix in (
            (self.tr("Picture (PNG)…"), "png"),
            (self.tr("Vectors (SVG)…"), "svg"),
            (self.tr("Numbers (CSV)…"), "csv"),
        ):
            menu.addAction(label).triggered.connect(lambda _=False, s=suffix: self._ask_and_export(plot, f"{name}.{s}"))
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _ask_and_export(self, plot: CurvePlot, name: str) -> None:
        text, _ = QFileDialog.getSaveFileName(self, self.tr("Save"), name)
        if not text:
            return
        path = Path(text)
        try:
            if path.suffix.lower() == ".csv":
                self.export_csv(path)
            elif path.suffix.lower() == ".svg":
                self.export_svg(plot, path)
            else:
                self.export_png(plot, path)
        except OSError as error:
            self.problem.emit(error)


def _in_words(values: dict[str, float], labels: dict[str, str]) -> list[str]:
    texts = []
    for name, label in labels.items():
        if name in values:
            value = values[name]
            texts.append(f"{label} {100 * value:.1f} %" if name.endswith("accuracy") else f"{label} {value:.3g}")
    return texts
