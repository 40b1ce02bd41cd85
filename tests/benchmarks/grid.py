"""How the grid of the Data page does with a million images: `python tests/benchmarks/grid.py [--warm] [--size WxH]`.

Makes the files once (hard links to 2,000 distinct JPEGs, in 1,000 folders), shows the real browser, scrolls it by wheel, page
keys and scroll bar while it decodes, selects everything, and prints how long the first thumbnails took, the gaps between the
ticks of a 10 ms timer in the window's thread, and the memory. Needs a screen, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from PySide6.QtCore import QObject, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.api.config import DataConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.gui import theme
from tlstudio.gui.opening import Opened
from tlstudio.gui.pages.data_browser import DataBrowser
from tlstudio.gui.widgets.background import finish_all

TICK = 0.010
_DISTINCT = 2_000
_FOLDERS = 1_000
_SLEEPER = """
import time
worst = []
while True:
    before = time.perf_counter()
    time.sleep(0.010)
    print(before, time.perf_counter() - before - 0.010, flush=True)
"""


def make_images(root: Path, count: int, size: tuple[int, int]) -> tuple[str, ...]:
    """``count`` files of so many pixels in 1,000 folders, made once; their keys."""
    each = -(-count // _FOLDERS)
    keys = [f"class_{i // each:04}/img_{i % each:05}.jpg" for i in range(count)]
    done = root / f"done-{count}"
    if done.exists():
        return tuple(keys)
    began = time.perf_counter()
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(_DISTINCT):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        small.resize(size, Image.Resampling.BICUBIC).save(root / f"source_{i}.jpg", quality=92)
    for i in range(_FOLDERS):
        (root / f"class_{i:04}").mkdir(exist_ok=True)
    for i, key in enumerate(keys):
        os.link(root / f"source_{i % _DISTINCT}.jpg", root / key)
    done.touch()
    print(f"made {count:,} files in {time.perf_counter() - began:.0f} s under {root}")
    return tuple(keys)


def open_images(folder: Path, count: int, size: tuple[int, int]) -> Opened:
    """The table of the files, as a data set's plugin would build it."""
    root = folder / f"{size[0]}x{size[1]}"
    keys = make_images(root, count, size)
    each = -(-count // _FOLDERS)
    images = ImageSet(
        classes=tuple(f"class_{i:04}" for i in range(_FOLDERS)),
        keys=keys,
        labels=(np.arange(count) // each).astype(np.int32),
        root=root,
    )
    return Opened(config=DataConfig(path=str(root)), images=images, splits=np.zeros(count, np.int8))


class Bench(QObject):
    """Steers the browser from the event loop; each step of the plan says what to wait for."""

    def __init__(self, browser: DataBrowser, opened: Opened, seconds: float) -> None:
        super().__init__()
        self._browser, self._opened, self._seconds = browser, opened, seconds
        self._doing = "start"
        self.gaps: dict[str, list[tuple[float, float]]] = {}
        self._steps = self._plan()
        self._ready: Callable[[], bool] = lambda: True
        self._last = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(round(1000 * TICK))

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.setdefault(self._doing, []).append((self._last, now - self._last - TICK))
        if self._ready():
            try:
                self._ready = next(self._steps)
            except StopIteration:
                self._timer.stop()
                QApplication.quit()
        self._last = now

    def _complete(self) -> bool:
        browser = self._browser
        found = [browser.store.get(browser.row_at(i), browser._side()) for i in browser.grid.visible()]
        return bool(found) and all(thumbnail is not None for thumbnail in found)

    def _plan(self) -> Iterator[Callable[[], bool]]:
        grid, bar = self._browser.grid, self._browser.grid.verticalScrollBar()
        yield _wait(0.5)
        self._doing = "show"
        began = time.perf_counter()
        self._browser.show_data(self._opened)
        shown = time.perf_counter() - began
        yield self._complete
        print(f"show_data {1000 * shown:.0f} ms; all {len(grid.visible())} thumbnails in sight after "
              f"{time.perf_counter() - began:.2f} s")  # fmt: skip
        self._doing = "wheel"
        yield self._repeat(lambda: QApplication.sendEvent(grid.viewport(), _wheel(grid.viewport(), -120)), 0.016)
        self._doing = "page keys"
        yield self._repeat(lambda: QApplication.sendEvent(grid, _key(Qt.Key.Key_PageDown)), 0.050)
        self._doing = "scroll bar"
        rng = random.Random(0)
        at = [0.3]

        def drag() -> None:
            at[0] = min(1.0, max(0.0, at[0] + rng.uniform(-0.002, 0.004)))
            bar.setSliderPosition(int(at[0] * bar.maximum()))

        bar.setSliderDown(True)
        yield self._repeat(drag, 0.016)
        bar.setSliderDown(False)
        waits = []
        self._doing = "jumps"
        for _ in range(8):
            bar.setValue(rng.randrange(bar.maximum()))
            began = time.perf_counter()
            yield self._complete
            waits.append(time.perf_counter() - began)
        print(f"after a jump all thumbnails in sight within {1000 * max(waits):.0f} ms (median {1000 * np.median(waits):.0f})")
        yield from self._select()
        self._doing = "end"
        yield _wait(0.2)

    def _select(self) -> Iterator[Callable[[], bool]]:
        grid = self._browser.grid
        for name, event in (
            ("Ctrl+A", _key(Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)),
            ("Home", _key(Qt.Key.Key_Home)),
            ("Shift+End", _key(Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)),
            ("Shift+Up", _key(Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)),
        ):
            self._doing = name
            began = time.perf_counter()
            QApplication.sendEvent(grid, event)
            print(f"{name}: {1000 * (time.perf_counter() - began):.1f} ms, {self._browser.filters.counts.text()}")
            yield _wait(0.3)

    def _repeat(self, act: Callable[[], object], every: float) -> Callable[[], bool]:
        end, following = time.perf_counter() + self._seconds, [time.perf_counter()]

        def ready() -> bool:
            now = time.perf_counter()
            if now >= following[0]:
                following[0] = max(following[0] + every, now)
                act()
            return now > end

        return ready


def _wheel(viewport: QObject, delta: int) -> QWheelEvent:
    at = QPointF(viewport.rect().center())
    return QWheelEvent(at, viewport.mapToGlobal(at), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton,
                       Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip


def _key(key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> QKeyEvent:
    return QKeyEvent(QKeyEvent.Type.KeyPress, key, modifiers)


def _wait(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def _report(gaps: dict[str, list[tuple[float, float]]], machine: np.ndarray) -> None:
    for doing, found in gaps.items():
        _, late = np.array(found).T
        others = [machine[(machine[:, 0] < b + g + TICK) & (machine[:, 0] + TICK + machine[:, 1] > b), 1].max(initial=0)
                  for b, g in found]  # fmt: skip
        own = 1000 * np.maximum(0, late - others)
        late = 1000 * late
        p99, own_p99 = (np.percentile(values, 99) for values in (late, own))
        print(f"{doing:10} {len(late):5} ticks; gaps in ms: p50 {np.median(late):.1f} p99 {p99:.1f} max {late.max():.1f}; "
              f"without the machine's own: p99 {own_p99:.1f} max {own.max():.1f}")  # fmt: skip


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tlstudio-million")
    parser.add_argument("--pixels", default="500x375", help="of an image")
    parser.add_argument("--size", default="1280x800", help="of the browser, such as 3840x2160")
    parser.add_argument("--zoom", type=int, default=144, help="side of a thumbnail in pixels")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each way of scrolling")
    parser.add_argument("--warm", action="store_true", help="keep the cache of thumbnails for the next run, and use it")
    given = parser.parse_args()
    opened = open_images(given.folder, given.images, _numbers(given.pixels))
    home = Path(tempfile.gettempdir()) / "tlstudio-grid-home" if given.warm else Path(tempfile.mkdtemp())
    os.environ["TLSTUDIO_HOME"] = str(home)
    gc.disable()
    app = QApplication([])
    theme.apply("light")
    browser = DataBrowser()
    browser.resize(*_numbers(given.size))
    browser.filters.zoom.setValue(given.zoom)
    browser.show()
    print(f"memory before: {_resident():.0f} MB")
    machine = subprocess.Popen([sys.executable, "-c", _SLEEPER], stdout=subprocess.PIPE, text=True)
    bench = Bench(browser, opened, given.seconds)
    app.exec()
    machine.terminate()
    lines = [line.split() for line in machine.communicate()[0].splitlines()]
    _report(bench.gaps, np.array([line for line in lines if len(line) == 2], float).reshape(-1, 2))
    print(f"memory: {_resident():.0f} MB now, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
    browser.close_store()
    finish_all(10)
    for file in home.rglob("*.sqlite*"):
        print(f"{file.name}: {file.stat().st_size / 2**20:.1f} MB")


def _numbers(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def _resident() -> float:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
