"""Opens data off the GUI thread, and finds the rows that filters leave. Pure functions; no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tlstudio.api.config import DataConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import DataError
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Table
from tlstudio.registry import Catalog

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANY = -2
"""A filter that lets everything through."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Images that can be browsed: how to open them again, the table, each image's split ``(N,)`` int8, and the user's edits."""

    config: DataConfig
    images: ImageSet
    splits: NDArray[np.int8]
    curation: Curation | None = None

    @property
    def table(self) -> Table | None:
        """The images after the user's edits; ``None`` where nothing can be edited."""
        return None if self.curation is None else self.curation.table

    def renewed(self) -> Opened:
        """The same after an edit."""
        table = self.table
        return self if table is None else replace(self, images=table.images, splits=table.splits)


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What to show: a class label, a split, rows with an issue, and a text in the name."""

    label: int = ANY
    split: int = ANY
    rows: frozenset[int] | None = None
    text: str = ""


def open_data(catalog: Catalog, config: DataConfig, workspace: Path) -> Opened:
    """Open the images of a configuration with the user's edits; raises as `Catalog.open_images` and `Curation`."""
    if config.path is not None:
        config = config.model_copy(update={"path": str(Path(config.path).expanduser().absolute())})
    images = catalog.open_images(config)
    if not len(images):
        raise DataError("There are no images to show.", hint="Choose a folder with one subfolder of images for each class.")
    curation = Curation(images, config, workspace)
    return Opened(config=config, images=curation.table.images, splits=curation.table.splits, curation=curation)


def filter_rows(opened: Opened, wanted: Filter) -> NDArray[np.int64]:
    """The rows that a filter leaves, in the order of the table."""
    images = opened.images
    mask = np.ones(len(images), bool)
    if wanted.label != ANY:
        mask &= images.labels == wanted.label
    if wanted.split != ANY:
        mask &= opened.splits == wanted.split
    if wanted.rows is not None:
        issue = np.zeros(len(images), bool)
        issue[list(wanted.rows)] = True
        mask &= issue
    rows = np.flatnonzero(mask)
    text = wanted.text.strip().casefold()
    if text:
        keys = images.keys
        rows = np.array([row for row in rows.tolist() if text in keys[row].casefold()], dtype=np.int64)
    return rows


def count_classes(opened: Opened, split: int) -> NDArray[np.int64]:
    """Images for each class ``(C + 1,)`` in a split (or `ANY`); the last one counts those without a class."""
    labels = opened.images.labels if split == ANY else opened.images.labels[opened.splits == split]
    counts = np.bincount(labels.astype(np.int64) + 1, minlength=len(opened.images.classes) + 1)
    return np.roll(counts, -1)
