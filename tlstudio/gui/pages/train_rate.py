"""The search for a learning rate, begun from the Train page: one dialog at a time, for the settings of the form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.gui.context import AppContext
from tlstudio.gui.thread import Runner

if TYPE_CHECKING:
    from tlstudio.gui.pages.rate_dialog import RateDialog


class RateSearch(QObject):
    """Opens the dialog and tells what the user takes.

    Args:
        finder: what searches, such as `tlstudio.gui.thread.find_rate`.
        parent: the page that the dialog stands before.
    """

    chosen = Signal(object)
    """float: the user takes this learning rate."""

    def __init__(self, context: AppContext, finder: Runner, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._finder, self._page = context, finder, parent
        self.dialog: RateDialog | None = None
        """The search, while it is open."""

    def begin(self, config: TrainConfig) -> None:
        """Search with these settings, unless a search is open already."""
        catalog = self._context.catalog
        if self.dialog is not None or catalog is None:
            return
        from tlstudio.gui.pages.rate_dialog import RateDialog  # nothing for the first paint

        self.dialog = RateDialog(self._finder, config, catalog, self._context.workspace, self._page)
        self.dialog.chosen.connect(self.chosen)
        self.dialog.finished.connect(self._closed)
        self.dialog.open()

    def shut_down(self) -> None:
        """End the search and wait for it; for the very end of the program."""
        if self.dialog is not None:
            self.dialog.shut_down()

    @Slot()
    def _closed(self) -> None:
        self.dialog = None
