"""What happens once the window is painted: load plugins, open data, import torch. Each step leaves the window alive.

Nothing that takes long to import (pydantic, numpy, the plugins, torch) is imported before the first paint.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QStackedWidget, QWidget

from tlstudio import paths
from tlstudio.gui.main_window import PAGES, MainWindow
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.gui.widgets.first_paint import after_first_paint

if TYPE_CHECKING:
    from tlstudio.registry import Catalog

_PAUSE_MS = 100  # for what the user does meanwhile
_TRAIN_PARTS = (
    "tlstudio.gui.widgets.backbone_box", "tlstudio.gui.pages.train_form", "tlstudio.gui.pages.train_monitor",
    "tlstudio.gui.widgets.plot_library", "tlstudio.gui.pages.train_network", "tlstudio.gui.pages.train",
)  # fmt: skip
_DATA_PARTS = (
    "tlstudio.gui.pages.data_filters", "tlstudio.gui.pages.data_scan", "tlstudio.gui.pages.data_browser",
    "tlstudio.gui.pages.data_view",
)  # fmt: skip
"""Imported one in a turn of the event loop. Not in another thread: a class of Qt's that is made there while this one makes
widgets has ended the process (PySide6 6.11)."""
_DATA_FIRST_MS = 2000  # what opens slowly does not hold up torch for longer


class Startup(QObject):
    """Runs the steps; ``warm`` fires when torch is imported (or could not be).

    Args:
        window: it is shown already, or soon.
        open_path: images to open.
        demo: open the sample, and show the Train page.
        plugins_off: names of plugins not to load.
        all_plugins_off: load only what ships.
        remembered: the workspace, where it is the one of an earlier start and may be gone by now.
    """

    warm = Signal()

    def __init__(
        self,
        window: MainWindow,
        *,
        open_path: Path | None,
        demo: bool,
        plugins_off: Iterable[str],
        all_plugins_off: bool,
        remembered: Path | None = None,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._demo = demo
        self._opens = demo or open_path is not None
        self._off, self._all_off = tuple(plugins_off), all_plugins_off
        self._remembered = remembered
        self._plots = False
        self._warming = False
        if self._opens:
            window.data_page.open_when_ready(open_path, behind=demo)
            window.context.data_changed.connect(self._go_on)
        after_first_paint(window, self._begin)

    def _begin(self) -> None:
        off, all_off, remembered = self._off, self._all_off, self._remembered
        run_in_background(
            self,
            lambda _task: _load(off, all_off, remembered),
            done=self._plugins_loaded,
            failed=self._window.context.problem.emit,
        )

    def _plugins_loaded(self, found: tuple[Catalog, bool]) -> None:
        catalog, workspace_there = found
        if not workspace_there:  # before anything is read from it
            self._window.without_workspace()
        self._window.context.set_catalog(catalog)
        self._import(_TRAIN_PARTS, self._plots_ready)

    def _import(self, names: tuple[str, ...], then: Callable[[], None]) -> None:
        """Import modules of the window, one in a turn of the event loop."""
        if not names:
            then()
            return
        try:
            importlib.import_module(names[0])
        except Exception as error:  # noqa: BLE001 - shown; the rest of the window works
            self._no_plots(error)
            return
        QTimer.singleShot(0, self, lambda: self._import(names[1:], then))

    def _plots_ready(self) -> None:
        self._plots = True
        if not self._opens or self._window.context.data is not None:
            self._go_on()
        else:
            QTimer.singleShot(_DATA_FIRST_MS, self, self._warm_up)

    def _no_plots(self, error: BaseException) -> None:
        self._window.data_page.draw()
        self._window.context.problem.emit(error)

    @Slot(object)
    def _go_on(self, _opened: object = None) -> None:
        """Data and plots are there: show what was asked for, and only when it is painted let torch take the interpreter."""
        if not self._plots:
            return
        if self._demo:
            self._demo = False
            self._window.show_page("train")
            after_first_paint(self._window.train_page, self._warm_up)
        else:
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
        self._import(_DATA_PARTS, self._draw_the_rest)

    def _draw_the_rest(self) -> None:
        self._window.data_page.draw()
        self._window.offer.look()
        self._make_pages(PAGES)

    def _make_pages(self, names: tuple[str, ...]) -> None:
        """Make the pages that nobody has looked at yet, one at a time: the first look is quick then, also during a run."""
        if names and not self._window.context.run_active:
            page = self._window.page(names[0])
            if not page.isVisible():
                page.resize(self._window.stack.size())
                for part in (page, *(part for stack in page.findChildren(QStackedWidget) for part in _parts(stack))):
                    part.grab()  # styles, lays out and paints it once: most of what a first look costs
            QTimer.singleShot(_PAUSE_MS, self, lambda: self._make_pages(names[1:]))

    def _not_warmed(self, error: BaseException) -> None:
        self._window.set_device(self.tr("torch cannot be used"))
        self._window.context.problem.emit(error)
        self.warm.emit()


def _load(off: tuple[str, ...], all_off: bool, remembered: Path | None) -> tuple[Catalog, bool]:
    """Load the plugins, and import what the Data page needs to show images; also, whether the remembered workspace is there."""
    from tlstudio.registry import load_catalog

    catalog = load_catalog(off=off, all_off=all_off)
    importlib.import_module("tlstudio.gui.opening")
    return catalog, remembered is None or remembered == paths.workspace() or remembered.is_dir()


def _parts(stack: QStackedWidget) -> list[QWidget]:
    return [stack.widget(index) for index in range(stack.count())]


def _warm_up(catalog: Catalog) -> str:
    """Import the engine and with it torch; returns what it computes on. By name, since the window must not import torch."""
    from tlstudio.api.config import DEFAULT_BACKBONE, RunConfig

    warm = importlib.import_module("tlstudio.engine.warmup").warm_up
    warm(catalog.backbones.get(DEFAULT_BACKBONE))
    return str(importlib.import_module("tlstudio.engine.device").choose_place(RunConfig()).title)
