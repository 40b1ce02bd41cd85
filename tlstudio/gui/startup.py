"""What happens after the window is painted: load plugins, open data, import torch. Each step leaves the window alive."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from tlstudio.api.config import DEFAULT_BACKBONE, DataConfig, RunConfig
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.pages.data import SAMPLE
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.registry import Catalog, load_catalog

_DATA_FIRST_MS = 2000  # what opens slowly does not hold up torch for longer


class Startup(QObject):
    """Runs the steps; ``warm`` fires when torch is imported (or could not be)."""

    warm = Signal()

    def __init__(
        self,
        window: MainWindow,
        *,
        open_path: Path | None,
        demo: bool,
        plugins_off: Iterable[str],
        all_plugins_off: bool,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._demo = demo
        self._config = DataConfig(path=str(open_path)) if open_path is not None else SAMPLE if demo else None
        self._off, self._all_off = tuple(plugins_off), all_plugins_off
        self._plots = False
        self._warming = False
        QTimer.singleShot(0, self, self._load_plugins)

    @Slot()
    def _load_plugins(self) -> None:
        if self._config is not None:
            self._window.context.data_changed.connect(self._go_on)
            self._window.data_page.open_config(self._config)  # shows that it opens; goes on when the plugins are there
        off, all_off = self._off, self._all_off
        run_in_background(
            self,
            lambda _task: load_catalog(off=off, all_off=all_off),
            done=self._plugins_loaded,
            failed=self._window.context.problem.emit,
        )

    def _plugins_loaded(self, catalog: Catalog) -> None:
        self._window.context.set_catalog(catalog)
        # The plots' library makes no Qt object when it is imported, so another thread may do it.
        run_in_background(self, lambda _task: importlib.import_module("pyqtgraph"), done=self._plots_ready)

    def _plots_ready(self, _module: object) -> None:
        self._plots = True
        if self._config is None or self._window.context.data is not None:
            self._go_on()
        else:
            QTimer.singleShot(_DATA_FIRST_MS, self, self._warm_up)

    @Slot(object)
    def _go_on(self, _opened: object = None) -> None:
        """Data and plots are there: show what was asked for, and only then let torch take the interpreter."""
        if not self._plots:
            return
        if self._demo:
            self._demo = False
            self._window.show_page("train")
        QTimer.singleShot(0, self, self._warm_up)

    @Slot()
    def _warm_up(self) -> None:
        catalog = self._window.context.catalog
        if not self._warming and catalog is not None:
            self._warming = True
            run_in_background(self, lambda _task: _warm_up(catalog), done=self._warmed, failed=self._not_warmed)

    def _warmed(self, device: str) -> None:
        self._window.set_device(device)
        self.warm.emit()

    def _not_warmed(self, error: BaseException) -> None:
        self._window.set_device(self.tr("torch cannot be used"))
        self._window.context.problem.emit(error)
        self.warm.emit()


def _look_into_no_sources() -> None:
    """Keep Qt's binding from reading the source of every imported module: 0.7 s and 110 MB for torch.

    It looks for its own ``__feature__`` switch, which nothing here uses.
    """
    feature = sys.modules.get("shibokensupport.feature")
    if hasattr(feature, "_mod_uses_pyside"):
        feature._mod_uses_pyside = lambda _module: False


def _warm_up(catalog: Catalog) -> str:
    """Import the engine and with it torch; returns what it computes on. By name, since the window must not import torch."""
    _look_into_no_sources()
    warm = importlib.import_module("tlstudio.engine.warmup").warm_up
    warm(catalog.backbones.get(DEFAULT_BACKBONE))
    return str(importlib.import_module("tlstudio.engine.device").choose_place(RunConfig()).title)
