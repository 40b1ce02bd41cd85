"""How smooth the real window stays while it trains: `python tests/benchmarks/smooth.py [STRATEGY:EPOCHS ...] [--walk]`.

Opens the window on the sample, trains once with each strategy, and prints the longest gaps between the ticks of a 10 ms timer
in the window's thread. With ``--walk`` it goes through the pages while it trains. Needs a screen, or QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

TICK = 0.010
_WALK_SECONDS = 1.5
_PAGES = ("data", "runs", "plugins", "settings", "evaluate", "predict", "train")


class Bench(QObject):
    """Steers the window from its own event loop; each step of the plan says what to wait for."""

    def __init__(self, plans: list[tuple[str, int]], walk: bool) -> None:
        super().__init__()
        self._plans, self._walk = plans, walk
        self._steps = self._plan()
        self._ready: Callable[[], bool] = lambda: True
        self._doing = "start"
        self._gaps: list[tuple[float, str]] = []
        self._last = self._began = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(round(1000 * TICK))

    def _tick(self) -> None:
        now = time.perf_counter()
        self._gaps.append((now - self._last - TICK, f"{self._doing} at {self._last - self._began:.1f} s"))
        if self._ready():
            try:
                self._ready = next(self._steps)
            except StopIteration:
                self._timer.stop()
                self._window().close()
        self._last = now

    def _window(self):  # type: ignore[no-untyped-def]
        return next((widget for widget in QApplication.topLevelWidgets() if type(widget).__name__ == "MainWindow"), None)

    def _plan(self) -> Iterator[Callable[[], bool]]:
        yield lambda: self._window() is not None
        window = self._window()
        yield lambda: "Preparing" not in window.status.device.text()
        for strategy, epochs in self._plans:
            yield _wait(3)
            page = window.page("train")
            config = page.form.config()
            page.set_config(
                config.model_copy(
                    update={
                        "freezing": type(config.freezing)(strategy=strategy),
                        "run": config.run.model_copy(update={"epochs": epochs}),
                    }
                )
            )
            yield _wait(1)
            self._gaps, self._doing, self._began = [], "training", time.perf_counter()
            page.start()
            visits = 0
            while page.is_running():
                yield _wait(_WALK_SECONDS, unless=lambda page=page: not page.is_running())
                if self._walk and page.is_running():
                    self._doing = f"training, {_PAGES[visits % len(_PAGES)]} page"
                    window.show_page(_PAGES[visits % len(_PAGES)])
                    visits += 1
            self._doing = "ended"
            took = time.perf_counter() - self._began
            yield _wait(0.5)
            worst = ", ".join(f"{1000 * gap:.0f} ({doing})" for gap, doing in sorted(self._gaps, reverse=True)[:8])
            print(f"{strategy}: {took:.0f} s, {len(self._gaps)} ticks; longest gaps in ms: {worst}")


def _wait(seconds: float, unless: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end or unless()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plans", nargs="*", default=["freezing/head-only:30", "freezing/last-stages:4"])
    parser.add_argument("--walk", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["TLSTUDIO_HOME"] = home
        app = QApplication([])
        bench = Bench([(name, int(epochs)) for name, _, epochs in (plan.partition(":") for plan in given.plans)], given.walk)
        from tlstudio.gui.app import run_window

        run_window(demo=True)
        del bench, app


if __name__ == "__main__":
    main()
