"""The validation curves of several runs over each other, each run in a colour of its own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.gui.widgets.curve_plot import CurvePlot, CurveStyle


class OverlayCurves(QWidget):
    """Two plots: validation loss and validation accuracy over epochs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = CurvePlot(self.tr("Validation loss"), {})
        self.accuracy = CurvePlot(self.tr("Validation accuracy (%)"), {}, percent=True, legend_below=True)
        self.loss.link(self.accuracy)
        self._runs: list[tuple[str, str, CurveData]] = []
        for plot in (self.loss, self.accuracy):
            plot.cursor_moved.connect(self.show_values)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.GRID)
        layout.addWidget(self.loss, 1)
        layout.addWidget(self.accuracy, 1)

    def set_runs(self, runs: Sequence[tuple[str, str, CurveData]]) -> None:
        """Show these: id, name and curves of each."""
        self._runs = list(runs)
        colors = run_colors([run_id for run_id, _, _ in runs])
        styles = {run_id: CurveStyle(title=name, series=colors[run_id], marks=True) for run_id, name, _ in runs}
        for plot, metric, factor in ((self.loss, "loss", 1.0), (self.accuracy, "accuracy", 100.0)):
            plot.set_styles(styles)
            for run_id, _, data in runs:
                plot.set_curve(run_id, data.epoch_positions, factor * data.metric("val", metric))
        for plot in (self.loss, self.accuracy):
            plot.set_span(max((float(data.epochs) for _, _, data in runs), default=1.0))
        self.show_values(None)

    def show_values(self, position: float | None) -> None:
        """Tell each run's values at a place on the horizontal axis."""
        for plot, metric in ((self.loss, "val_loss"), (self.accuracy, "val_accuracy")):
            plot.set_cursor(position)
            texts = []
            for _, name, data in self._runs if position is not None else ():
                value = data.at(position or 0.0).get(metric)
                if value is not None:
                    texts.append(f"{name} {100 * value:.1f} %" if metric == "val_accuracy" else f"{name} {value:.3g}")
            plot.set_readout(" · ".join(texts))


def run_colors(ids: Sequence[str]) -> dict[str, int]:
    """A colour number for each run: its own wherever it is shown, unless another shown run has that one already."""
    count = len(theme.colors().series)
    taken: dict[str, int] = {}
    for run_id in ids:
        wanted = zlib.crc32(run_id.encode()) % count
        free = [(wanted + step) % count for step in range(count) if (wanted + step) % count not in taken.values()]
        taken[run_id] = free[0] if free else wanted
    return taken
