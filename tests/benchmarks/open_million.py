"""How long a million image files take to open: `python tests/benchmarks/open_million.py [FOLDER] [--count 1000000]`.

Makes the files once (see grid.py), then opens them through the plugins as the window does: first without an index, then with
the one that the first opening left, each in a process of its own. Prints the time until the page shows images, until every
visible thumbnail is there, and the memory. Needs a screen, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from grid import make_images

_SIZE = (500, 375)


def open_once(root: Path, home: Path) -> None:
    """Open in this process and print three numbers: seconds to images, seconds to all thumbnails, MB resident at the end."""
    os.environ["TLSTUDIO_HOME"] = str(home)
    from PySide6.QtCore import QEventLoop, QTimer
    from PySide6.QtWidgets import QApplication

    from tlstudio.gui import theme
    from tlstudio.gui.context import AppContext
    from tlstudio.gui.main_window import MainWindow
    from tlstudio.gui.memory import Memory
    from tlstudio.gui.widgets.background import finish_all
    from tlstudio.registry import load_catalog

    app = QApplication([])
    theme.apply("light")
    window = MainWindow(AppContext(home / "workspace"), Memory())
    window.resize(1280, 800)
    window.show()
    window.context.set_catalog(load_catalog())
    app.processEvents()
    began = time.perf_counter()
    times: list[float] = []

    def look() -> None:
        if window.data_page.opened is None:
            return
        if not times:
            times.append(time.perf_counter() - began)
        browser = window.data_page.view.browser
        if all(browser.store.get(browser.row_at(i), browser._side()) for i in browser.grid.visible()):
            times.append(time.perf_counter() - began)
            loop.quit()

    timer, loop = QTimer(), QEventLoop()
    timer.timeout.connect(look)
    timer.start(5)
    window.open_path(root)
    loop.exec()
    timer.stop()
    # what the opening leaves for the next time is written behind it
    saved = QTimer()
    saved.timeout.connect(lambda: None if window.data_page.view.scan.running else loop.quit())
    saved.start(50)
    loop.exec()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    window.data_page.shut_down()
    finish_all(60.0)
    print(f"RESULT {times[0]:.3f} {times[1]:.3f} {peak:.0f}", flush=True)
    os._exit(0)


def main() -> int:
    """Measure in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path(tempfile.gettempdir()) / "tlstudio-million")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = options.folder / f"{_SIZE[0]}x{_SIZE[1]}"
    if options.once:
        open_once(root, options.once)
    make_images(root, options.count, _SIZE)
    with tempfile.TemporaryDirectory() as home:
        for name, repeats in (("without an index", 1), ("with the index", options.repeats)):
            command = [sys.executable, __file__, str(options.folder), "--once", home]
            outputs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(repeats)]
            rows = [[float(word) for word in output.split("RESULT")[1].split()] for output in outputs]
            images, thumbnails, peak = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{name}: images after {images:.2f} s, all visible thumbnails after {thumbnails:.2f} s, peak {peak:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
