"""What the pages share: the catalog, the workspace, the opened images, the run in progress. Pages talk through its signals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from tlstudio.api.config import DataConfig
    from tlstudio.api.dataset import ImageSet
    from tlstudio.registry import Catalog
    from tlstudio.runs.store import RunInfo


@dataclass(frozen=True, kw_only=True)
class OpenedData:
    """Images that a user opened, and the configuration that opens them again."""

    config: DataConfig
    images: ImageSet

    @property
    def training_images(self) -> int:
        """About how many are trained on; the run counts them."""
        from tlstudio.api.dataset import TRAIN  # nothing for the first paint

        splits, config = self.images.splits, self.config
        if splits is not None and config.split == "auto" and (own := int((splits == TRAIN).sum())):
            return own
        return round(len(self.images) * (1.0 - config.val_fraction))


@dataclass(frozen=True, kw_only=True)
class GoOn:
    """The wish that a run goes on where its newest checkpoint is.

    Args:
        epochs: how many more a finished run shall have; ``None`` to go on as it was meant.
    """

    run: RunInfo
    epochs: int | None = None


class AppContext(QObject):
    """Shared state of the window. Signals carry plain objects (``Signal(object)``)."""

    catalog_changed = Signal(object)
    """Catalog: plugins were loaded."""
    data_changed = Signal(object)
    """OpenedData: other images were opened."""
    run_event = Signal(object)
    """Event of the run in progress."""
    run_active_changed = Signal(object)
    """bool: a run started or ended."""
    run_still_changed = Signal(object)
    """bool: the run is held, by the user or by itself, or goes on."""
    runs_changed = Signal()
    """The list of runs in the workspace changed."""
    page_requested = Signal(object)
    """str: show the page with this name (data, train, runs, evaluate, predict, plugins, settings)."""
    run_requested = Signal(object)
    """str: show the run with this id (the runs page), or use it for predictions (the predict page)."""
    config_requested = Signal(object)
    """TrainConfig: put these settings into the train page's form."""
    reproduction_requested = Signal(object)
    """RunInfo: do this run again as it was, now (the train page does)."""
    going_on_requested = Signal(object)
    """GoOn: a run shall go on, now (the train page does that)."""
    watch_requested = Signal(object)
    """RunInfo: show this run of another process live (the train page does)."""
    data_requested = Signal(object)
    """DataConfig: open these images (the data page does)."""
    problem = Signal(object)
    """UserError or Exception to show to the user."""
    message = Signal(object)
    """str: one line for the status bar."""

    def __init__(self, workspace: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.workspace = workspace
        self.catalog: Catalog | None = None
        self.data: OpenedData | None = None
        self.run_active = False
        self.closing = False
        """Whether the window goes as soon as the run has ended: no other begins."""

    def may_start(self) -> bool:
        """Whether a run could begin in this window now."""
        return self.catalog is not None and not self.run_active and not self.closing

    def set_catalog(self, catalog: Catalog) -> None:
        """Plugins are loaded."""
        self.catalog = catalog
        self.catalog_changed.emit(catalog)

    def set_data(self, opened: OpenedData) -> None:
        """Other images are open now."""
        self.data = opened
        self.data_changed.emit(opened)

    def set_run_active(self, active: bool) -> None:
        """A run started or ended."""
        self.run_active = active
        self.run_active_changed.emit(active)
