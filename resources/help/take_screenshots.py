"""Takes the screenshots of the README and the help from the running program.

    python resources/help/take_screenshots.py [IMAGES] [--only pages|strips] [--theme dark] [--size 1280x800]
                                              [--out resources/help/images]

The program opens IMAGES (a folder of class folders; by default the sample), trains the head of the bundled network on it, then
the last stage, and shows the pages that the README has; then the stage strip of some strategies, each light and dark. A screen
is needed (for instance `xvfb-run`, or QT_QPA_PLATFORM=offscreen).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from tlstudio.api.config import SAMPLE_DATASET, SAMPLE_STRATEGY, DataConfig, FreezingConfig
from tlstudio.gui import app, theme
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.pages.train_network import NetworkView

_EVERY_MS = 100
_SETTLE_TICKS = 8
_STRIPS = {"gradual": 5, "lp-ft": 7, "lora": 1, "custom": 8}
"""The strategies whose strips are shown, and the epoch that each shows."""
_STRIP_EPOCHS = 12
_STRIP_WINDOW = 1241
"""Pixels; the strip in it shows all of its words and fits the width of a help page."""

Ready = Callable[[], bool]


class Tour(QObject):
    """Walks through the pages of the running window; each step says what to wait for."""

    def __init__(self, images: Path | None, only: str, scheme: str, size: tuple[int, int], out: Path) -> None:
        super().__init__()
        self._images, self._only, self._scheme, self._size, self._out = images, only, scheme, size, out
        out.mkdir(parents=True, exist_ok=True)
        self._steps = self._walk()
        self._ready: Ready = lambda: True
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(_EVERY_MS)

    def _tick(self) -> None:
        if not self._ready():
            return
        try:
            self._ready = next(self._steps)
        except StopIteration:
            self._timer.stop()
            self._window().close()

    def _window(self) -> MainWindow:
        return next(widget for widget in QApplication.topLevelWidgets() if isinstance(widget, MainWindow))

    def _walk(self) -> Iterator[Ready]:
        yield lambda: any(isinstance(widget, MainWindow) for widget in QApplication.topLevelWidgets())
        window = self._window()
        theme.apply(self._scheme)  # type: ignore[arg-type]
        window.resize(*self._size)
        yield lambda: window.context.catalog is not None
        window.open_config(DataConfig(path=str(self._images)) if self._images else DataConfig(dataset=SAMPLE_DATASET))
        yield lambda: window.context.data is not None
        if self._only != "strips":
            yield from self._take_pages(window)
        if self._only != "pages":
            yield from self._take_strips(window)

    def _take_pages(self, window: MainWindow) -> Iterator[Ready]:
        scan = window.page("data").view.scan
        yield lambda: scan.complete and not scan.running
        yield from self._take("data", ticks=3 * _SETTLE_TICKS)
        yield from self._train({"freezing": {"strategy": SAMPLE_STRATEGY}, "run": {"epochs": 12}})
        last = {"freezing": {"strategy": "freezing/last-stages"}, "augment": {"preset": "none"}}
        yield from self._train({**last, "run": {"epochs": 6, "name": "last stages"}})
        yield from self._take("train")
        for page in ("runs", "evaluate", "predict"):
            window.show_page(page)
            if page == "predict":
                window.page("predict").add_paths(self._some_files())
            if page == "evaluate":
                yield lambda: window.page("evaluate").report is not None
            elif page == "predict":
                yield lambda: bool(window.page("predict").paths) and None not in window.page("predict").predictions
            yield from self._take(page, ticks=2 * _SETTLE_TICKS)

    def _take_strips(self, window: MainWindow) -> Iterator[Ready]:
        """Each strategy on the strip and on the time axis, in both themes: the dark picture has ``-dark`` in its name."""
        window.show_page("train")
        window.resize(_STRIP_WINDOW, self._size[1])
        page = window.page("train")
        network: NetworkView = page.network
        page.form.form.rows["run.epochs"].editor.set_value(_STRIP_EPOCHS)
        for name, epoch in _STRIPS.items():
            if name == "custom":
                page.form.set_freezing(FreezingConfig(strategy=SAMPLE_STRATEGY))
                yield from self._shown(network)
                self._draw(network)
            else:
                page.form.set_freezing(FreezingConfig(strategy=f"freezing/{name}"))
            yield from self._shown(network)
            network.raster.epoch_chosen.emit(epoch - 1)
            for scheme in ("light", "dark"):
                theme.apply(scheme)  # type: ignore[arg-type]
                yield from self._wait(_SETTLE_TICKS)
                box = network.strip.geometry()
                if network.raster.isVisible():
                    box = box.united(network.raster.geometry())
                around = box.adjusted(-theme.HALF, -theme.HALF, theme.HALF, theme.HALF)
                corner = network.mapTo(window, around.topLeft())
                picture = window.grab(around.translated(corner - around.topLeft()))
                picture.save(str(self._out / f"strip-{name}{'-dark' if scheme == 'dark' else ''}.png"))

    def _shown(self, network: NetworkView) -> Iterator[Ready]:
        yield from self._wait(_SETTLE_TICKS)
        yield lambda: bool(network.strip.stages)

    def _draw(self, network: NetworkView) -> None:
        """Let the last stages learn, one after the other, and the last of all faster: three drags."""
        names = [stage.name for stage in network.strip.stages]
        boxes = [box.center().toPoint() for box in network.strip.rectangles()]
        _drag(network.strip, *reversed(boxes[-5:]))
        for stage, epoch in ((names[-4], 3), (names[-5], 6)):
            row = names.index(stage)
            _drag(network.raster, *(network.raster.cell(row, column).center().toPoint() for column in (epoch + 1, epoch)))
        _drag(network.strip, boxes[-2], boxes[-2] - QPoint(0, 15), boxes[-2] - QPoint(0, 29))

    def _train(self, settings: dict[str, object]) -> Iterator[Ready]:
        from tlstudio.api import TrainConfig

        window = self._window()
        window.show_page("train")
        page = window.page("train")
        data = window.context.data
        assert data is not None
        config = TrainConfig.model_validate({**settings, "data": data.config.model_dump()})
        page.set_config(config)
        yield from self._wait(_SETTLE_TICKS)
        page.start()
        yield lambda: not page.is_running()

    def _some_files(self) -> list[Path]:
        """Image files to predict; those of the sample are written first, since it has none."""
        if self._images is not None:
            return sorted(self._images.rglob("*.jpg"))[:12]
        data = self._window().context.data
        assert data is not None
        folder = Path(os.environ["TLSTUDIO_HOME"]) / "digits"
        folder.mkdir()
        for row in range(0, 15 * 61, 61):
            data.images.load(row).save(folder / f"scan-{row:04}.png")
        return sorted(folder.iterdir())

    def _take(self, name: str, ticks: int = _SETTLE_TICKS) -> Iterator[Ready]:
        yield from self._wait(ticks)
        self._window().grab().save(str(self._out / f"{name}.png"))

    def _wait(self, ticks: int) -> Iterator[Ready]:
        for _ in range(ticks):
            yield lambda: True


def _drag(widget: QWidget, *points: QPoint) -> None:
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[0])
    for point in points[1:]:
        QTest.mouseMove(widget, point)
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, points[-1])


def main() -> int:
    """Run the program and the tour through it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("--only", choices=["pages", "strips"], default="")
    parser.add_argument("--theme", choices=["light", "dark"], default="light")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    options = parser.parse_args()
    width, height = (int(part) for part in options.size.split("x"))
    application = QApplication([])
    with tempfile.TemporaryDirectory() as home:
        os.environ["TLSTUDIO_HOME"] = home
        tour = Tour(options.images, options.only, options.theme, (width, height), options.out)
        status = app.run_window()
        tour.deleteLater()
    application.quit()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
