"""Opens data off the GUI thread, and finds the rows that filters leave. Pure functions; no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.config import DataConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import DataError
from tlstudio.data.curation import Curation, with_chosen_split
from tlstudio.data.edits import Table
from tlstudio.data.index import Index
from tlstudio.data.moved import relocated
from tlstudio.registry import Catalog
from tlstudio.registry.catalog import within_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlstudio.data.query import Known, Sort

ANY = -2
"""A filter that lets everything through."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Images that can be browsed: how to open them again, the table, each image's split ``(N,)`` int8, and the user's edits."""

    config: DataConfig
    images: ImageSet
    splits: NDArray[np.int8]
    curation: Curation | None = None
    index: Index | None = None
    fresh: bool = False
    """Whether the table was read from the data now, not from the index."""

    @cached_property
    def table(self) -> Table:
        """The images after the user's edits, if there are any."""
        if self.curation is not None:
            return self.curation.table
        none = np.zeros(len(self.images), np.bool_)
        return Table(images=self.images, splits=self.splits, excluded=none, edited=none)

    def renewed(self) -> Opened:
        """The same after an edit."""
        if self.curation is None:
            return self
        table = self.curation.table
        return replace(self, images=table.images, splits=table.splits, fresh=False)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What to show: a class label, a split, a kind of issue and a query, all together, and in which order."""

    label: int = ANY
    split: int = ANY
    issue: str = ""
    text: str = ""
    order: Sort = "table"
    descending: bool = False


def open_data(catalog: Catalog, config: DataConfig, workspace: Path) -> Opened:
    """Open the images of a configuration with the user's edits; raises as `Catalog.open_images` and `Curation`."""
    if config.path is not None:
        config = config.model_copy(update={"path": str(Path(config.path).expanduser().absolute())})
    config = with_chosen_split(relocated(config, workspace), workspace)
    index = Index(config, kinds=catalog.datasets)
    known = index.load_images()
    images = catalog.open_images(config) if known is None else within_limits(known, config)
    if not len(images):
        raise DataError("There are no images to show.", hint="Choose a folder with one subfolder of images for each class.")
    curation = Curation(images, config, workspace)
    table = curation.table
    return Opened(config=config, images=table.images, splits=table.splits, curation=curation, index=index, fresh=known is None)


def filter_rows(known: Known, wanted: Filter) -> NDArray[np.int64]:
    """The rows that a filter leaves, in its order; raises `UserError` where its text cannot be understood."""
    from tlstudio.data.query import find, sort

    mask = np.ones(len(known.images), bool)
    if wanted.label != ANY:
        mask &= known.images.labels == wanted.label
    if wanted.split != ANY:
        mask &= known.table.splits == wanted.split
    if wanted.issue:
        mask &= find(known, f"issue:{wanted.issue}")
    if wanted.text:
        mask &= find(known, wanted.text)
    return sort(known, np.flatnonzero(mask), wanted.order, issue=wanted.issue, descending=wanted.descending)


def count_classes(opened: Opened, split: int) -> NDArray[np.int64]:
    """Images for each class ``(C + 1,)`` in a split (or `ANY`); the last one counts those without a class."""
    labels = opened.images.labels if split == ANY else opened.images.labels[opened.splits == split]
    counts = np.bincount(labels.astype(np.int64) + 1, minlength=len(opened.images.classes) + 1)
    return np.roll(counts, -1)
