"""Runs of other processes on the Train page: offered to be watched, watched, left; and runs that begin in the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QVBoxLayout

from tlstudio.api.config import TrainConfig, parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.engine.control import Watcher
from tlstudio.gui.context import AppContext
from tlstudio.gui.runs_now import RunsNow
from tlstudio.gui.thread import watching
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from tlstudio.gui.pages.train import TrainPage
    from tlstudio.runs.store import RunInfo


class Elsewhere(QObject):
    """A bar above the network that says what trains elsewhere, with the one button that goes with it.

    Args:
        page: the Train page.
        context: what the pages share.
        column: the bar is put at its top.
    """

    def __init__(self, page: TrainPage, context: AppContext, column: QVBoxLayout) -> None:
        super().__init__(page)
        self._page, self._context = page, context
        self._said: tuple[str, str] = ("", "")
        self._starting = False
        self.bar = InfoBar()
        column.insertWidget(0, self.bar)
        self.runs = RunsNow(context, page)
        self.runs.changed.connect(self._show)
        context.run_active_changed.connect(self._show)
        context.watch_requested.connect(self.watch)

    @Slot(object)
    def watch(self, run: RunInfo, config: TrainConfig | None = None) -> bool:
        """Show a run of another process as if it ran here; the buttons of the page steer it.

        Args:
            run: which one.
            config: what the form shows of it; by default its settings.
        """
        if self._page.is_running():
            self._context.message.emit(self.tr("This window shows a run already. Stop watching it, or wait for its end."))
            return False
        try:
            config = config or parse_config(run.config)
        except ConfigError as error:
            self._context.problem.emit(error)
            return False
        self._context.page_requested.emit("train")
        return self._page.follow(watching(run.folder), config, run=run.id, control=Watcher())

    def may_watch(self) -> bool:
        """Whether another process trains a run that could be shown here."""
        return bool(self.runs.now.going) and self._context.may_start()

    def watch_first(self) -> None:
        """Show the run that another process has trained longest."""
        if self.may_watch():
            self.watch(self.runs.now.going[0])

    @Slot()
    def start(self) -> None:
        """Train with the settings of the form in a process of its own, and watch that."""
        catalog, config = self._context.catalog, self._page.runnable()
        if catalog is None or config is None or self._starting or self._page.is_running():
            return
        self._starting = True
        workspace = self._context.workspace
        run_in_background(
            self,
            lambda _task: _detached(config, catalog, workspace),
            done=lambda run: self._started(run, config),
            failed=self._failed,
        )

    def _started(self, run: RunInfo | None, config: TrainConfig) -> None:
        self._starting = False
        self._context.runs_changed.emit()
        if run is not None and not self._context.closing:
            self.watch(run, config)

    def _failed(self, error: BaseException) -> None:
        self._starting = False
        self._context.problem.emit(error)

    @Slot(object)
    def _show(self, _changed: object = None) -> None:
        going = self.runs.now.going
        if self._page.is_watching():
            text = self.tr("This run trains in a process of its own: it goes on when the window is closed.")
            said, action, run = (text, "watching"), self.tr("Stop watching"), self._page.stop_watching
        elif going and not self._page.is_running():
            text = self.tr("Another process trains “{name}”.").format(name=going[0].name)
            said, action, run = (text, going[0].id), self.tr("Watch"), self.watch_first
        else:
            said, action, run = ("", ""), "", None
        if said != self._said:
            self._said = said
            self.bar.show_lines([said[0]], action, run, closable=said[1] != "watching")


def _detached(config: TrainConfig, catalog: Catalog, workspace: Path) -> RunInfo | None:
    from tlstudio.engine.detached import start_detached
    from tlstudio.runs.store import read_run

    off = [f"--no-plugins={plugin.name}" for plugin in catalog.plugins if plugin.status == "off"]
    return read_run(start_detached(config, catalog, workspace, ["--workspace", str(workspace), *off]).folder)
