"""The frozen beginning of a network, run once for each image: its output never changes, so it is kept.

How it is computed is the business of `SplitModel`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tlstudio.engine.device import Place
from tlstudio.engine.loader import ImageSource, ahead, in_batches
from tlstudio.engine.split import SplitModel as SplitModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 32
_MEMORY_SHARE = 0.25
_MEMORY_LIMIT = 4 * 2**30


class FeatureCache:
    """Outputs of the frozen prefix by draw and row, in memory."""

    def __init__(self, model: SplitModel, source: ImageSource) -> None:
        self._model = model
        self._source = source
        self._index: dict[int, dict[int, int]] = {}
        self._values: dict[int, Tensor] = {}

    def fill(self, rows: NDArray[np.int64], draw: int | None) -> Iterator[int]:
        """Compute what is missing of one draw; yields how many images are done."""
        key = -1 if draw is None else draw
        known = self._index.setdefault(key, {})
        todo = np.array([row for row in rows if int(row) not in known], dtype=np.int64)
        tasks = (partial(self._source.batch, part, draw=draw) for part in in_batches(todo, _BATCH))
        parts = [self._values[key]] if key in self._values else []
        done = len(rows) - len(todo)
        for pixels, kept in ahead(tasks):
            if not len(kept):
                continue
            features = self._model.prefix(to_input(pixels, self._source, self._model.place))
            known.update({int(row): len(known) + i for i, row in enumerate(kept)})
            parts.append(features.contiguous())
            done += len(kept)
            yield done
        if parts:
            self._values[key] = torch.cat(parts)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], draw: int | None) -> tuple[Tensor, NDArray[np.int64]]:
        """Features and the rows they belong to."""
        key = -1 if draw is None else draw
        known = self._index[key]
        kept = np.array([row for row in rows if int(row) in known], dtype=np.int64)
        values = self._values[key]
        where = torch.tensor([known[int(row)] for row in kept], dtype=torch.int64, device=values.device)
        return values.index_select(0, where), kept


def fits_in_memory(model: SplitModel, source: ImageSource, place: Place, images: int) -> bool:
    """Whether the prefix's output for so many images fits the memory budget."""
    side = source.preprocessing.image_size
    sample = model.prefix(torch.zeros(1, 3, side, side, device=place.device).to(memory_format=torch.channels_last))
    need = sample.numel() * sample.element_size() * images
    return need <= min(_MEMORY_LIMIT, _MEMORY_SHARE * _memory())


def to_input(pixels: NDArray[np.uint8], source: ImageSource, place: Place) -> Tensor:
    """``(N, S, S, 3)`` uint8 pixels as ``(N, 3, S, S)`` normalised float32 on the device, in channels-last order."""
    tensor = torch.from_numpy(pixels)
    if place.device.type == "cuda":
        tensor = tensor.pin_memory()
    tensor = tensor.to(place.device, non_blocking=True).permute(0, 3, 1, 2)
    mean = torch.tensor(source.preprocessing.mean, device=place.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(source.preprocessing.std, device=place.device).view(1, 3, 1, 1) * 255.0
    return (tensor.float() - mean) / std


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
