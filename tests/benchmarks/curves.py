"""How quickly overlaid curves follow the mouse: `python tests/benchmarks/curves.py [--points 1000000] [--runs 1 6 30]`.

Overlays runs of so many steps each, smoothed, with their raw lines behind; then moves and zooms the view, and prints the median
and the longest time of a frame, painting included. 30 frames a second leave 33 ms. Beside it, the time that was computed
for it, which other work on the machine does not lengthen. It uses the screen, or no screen with QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
from PySide6.QtWidgets import QApplication

from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.gui.widgets.overlay import OverlayCurves

_FRAMES = 60
_SPAN = 100.0


class Steps(CurveData):
    """A run of many steps, without its events."""

    def __init__(self, points: int, seed: int) -> None:
        super().__init__()
        self.epochs = int(_SPAN)
        x = np.linspace(0.0, _SPAN, points)
        loss = 2.0 / (1.0 + x) + np.random.default_rng(seed).normal(0.3, 0.05, points)
        self._arrays = (x, loss, loss)

    @property
    def steps(self):  # type: ignore[no-untyped-def]
        """Epoch position, loss, smoothed loss."""
        return self._arrays


def views() -> Iterator[tuple[str, float, float]]:
    """What is looked at, frame by frame: moved, then zoomed in from all to a thousandth."""
    for frame in range(_FRAMES):
        yield "move", 20.0 + frame / 4, 60.0 + frame / 4
    for frame in range(_FRAMES):
        width = _SPAN * 1000 ** (-frame / _FRAMES)
        yield "zoom", 50.0 - width / 2, 50.0 + width / 2


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, nargs="*", default=[1, 6, 30])
    options = parser.parse_args()
    app = QApplication.instance() or QApplication(sys.argv[:1])
    for count in options.runs:
        overlay = OverlayCurves()
        overlay.resize(1180, 380)
        overlay.show()
        overlay.set_runs([(f"{number:04x}", f"run {number}", Steps(options.points, number)) for number in range(count)])
        overlay.which.setCurrentIndex(2)
        overlay.slider.setValue(60)
        began = time.perf_counter()
        while overlay.busy:
            app.processEvents()
        smoothing = time.perf_counter() - began
        frames: dict[str, list[float]] = {}
        for what, low, high in views():
            began, cpu = time.perf_counter(), time.thread_time()
            overlay.loss.view.getViewBox().setXRange(low, high, padding=0)
            overlay.loss.view.repaint()
            app.processEvents()
            frames.setdefault(what, []).append(1000 * (time.perf_counter() - began))
            frames.setdefault(f"{what} (computing)", []).append(1000 * (time.thread_time() - cpu))
        told = "   ".join(f"{what} {statistics.median(ms):5.1f} ms, at most {max(ms):5.1f}" for what, ms in frames.items())
        print(f"{count:3} runs of {options.points:,} steps: {told}   (smoothed within {smoothing:.2f} s)")
        overlay.close()


if __name__ == "__main__":
    main()
