"""The frozen beginning of a network, run once for each image: its output never changes, so it is kept.

How it is computed is the business of `SplitModel`; where it is kept, and behind which stage, `choose_cache` decides by
its size.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from tlstudio.api.backbone import Backbone
from tlstudio.api.config import RunConfig
from tlstudio.engine import augment as views
from tlstudio.engine.device import Place
from tlstudio.engine.fitting import Fitting
from tlstudio.engine.loader import ImageSource, ahead, in_batches
from tlstudio.engine.modes import in_eval_mode
from tlstudio.engine.rowstore import RowStore, make_room
from tlstudio.engine.split import SplitModel, split_head
from tlstudio.engine.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Of what is kept on disk."""

_BATCH = 16
"""On a CPU. A cold run of EfficientNet-Lite0 on 397 photos took 9.0 s and 1,000 MiB, with 32 at a time 9.9 s and 1,260 MiB."""
_GPU_BATCH = 64
_MEMORY_SHARE = 0.25
_MEMORY_LIMIT = 4 * 2**30
_DISK_SHARE = 0.5  # of what is free
_KEPT_ANYWAY = 512 * 2**20  # bytes that are kept on disk for the next run, though they fit in memory
_FEWEST_VIEWS = 2


@dataclass(frozen=True, kw_only=True)
class CacheChoice:
    """What is kept: the stages before it, the random views of each image, the images in all, where, and bytes in all."""

    cut: int
    views: int
    images: int
    where: Literal["memory", "disk"]
    size: int

    def keeps(self, run: RunConfig) -> bool:
        """Whether they are kept on disk for later runs as well."""
        return self.where == "disk" or (run.cache == "auto" and self.size <= min(_KEPT_ANYWAY, run.cache_gigabytes * 2**30))


def choose_cache(sizes: Sequence[int], *, train: int, val: int, views: int, memory: int, disk: int) -> CacheChoice | None:
    """What to keep: behind the last frozen stage where it fits, else where the tensor is smallest, else of fewer views.

    Args:
        sizes: bytes of one image's features behind 1, 2, … frozen stages.
        train: training images, each in so many ``views``.
        val: validation images, each in one view.
        memory: bytes to spare, 0 for none.
        disk: bytes to spare.
    """
    if not sizes:
        return None
    last = len(sizes)
    smallest = min(range(1, last + 1), key=lambda cut: (sizes[cut - 1], -cut))
    fewer = max(memory, disk) // max(1, sizes[smallest - 1]) - val
    tries = [(last, views), (smallest, views)]
    if views > _FEWEST_VIEWS:
        tries.append((smallest, min(views, max(_FEWEST_VIEWS, fewer // max(1, train)))))
    for cut, count in tries:
        images = train * count + val
        size = sizes[cut - 1] * images
        if size <= memory:
            return CacheChoice(cut=cut, views=count, images=images, where="memory", size=size)
        if size <= disk:
            return CacheChoice(cut=cut, views=count, images=images, where="disk", size=size)
    return None


@torch.no_grad()
def feature_sizes(backbone: Backbone, frozen: int, side: int, place: Place) -> list[int]:
    """Bytes of one image's output behind 1, 2, … ``frozen`` stages; behind all of them, of the pooled features.

    One image is computed: PyTorch's meta device, which computes none, takes three times as long.

    Args:
        side: of the image, in pixels.
    """
    x = torch.zeros(1, 3, side, side, device=place.device)
    each = (place.autocast or torch.float32).itemsize
    sizes = []
    with in_eval_mode(backbone.module, backbone.head):
        for stage in list(backbone.stages.values())[:frozen]:
            x = stage(x)
            sizes.append(x.numel() * each)
        if frozen == len(backbone.stages):
            for layer in split_head(backbone.head)[0]:
                x = layer(x)
            sizes[-1] = x.numel() * each
    return sizes


def spare_memory(run: RunConfig, device: torch.device) -> int:
    """Bytes of the device's memory that features may take."""
    if run.cache in {"disk", "off"}:
        return 0
    there = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _memory()
    return int(min(_MEMORY_LIMIT, _MEMORY_SHARE * there))


def spare_disk(run: RunConfig, folder: Path) -> int:
    """Bytes of the disk that features may take, below a folder that may not exist yet."""
    if run.cache in {"memory", "off"}:
        return 0
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    try:
        free = shutil.disk_usage(there).free if there is not None else 0
    except OSError:
        return 0
    return int(min(run.cache_gigabytes * 2**30, _DISK_SHARE * free))


class FeatureCache:
    """Outputs of the frozen prefix by draw and row, in memory or on disk; what is on disk serves later runs as well.

    Args:
        model: computes them.
        source: the images.
        fitting: computes as many of them at once as fit.
        in_memory: whether all of them are held in memory.
        store: where they are kept on disk; closed with the cache.
    """

    def __init__(
        self, model: SplitModel, source: ImageSource, fitting: Fitting, *, in_memory: bool, store: RowStore | None
    ) -> None:
        self._model = model
        self._source = source
        self._fitting = fitting
        self._in_memory = in_memory
        self._store = store
        self._place_of: dict[int | None, NDArray[np.int64]] = {}
        self._values: dict[int | None, Tensor] = {}

    def close(self) -> None:
        """Let another process write to the store."""
        if self._store is not None:
            self._store.close()

    def fill(self, rows: NDArray[np.int64], draw: int | None) -> Iterator[int]:
        """Compute what is missing of one draw; yields how many images are done."""
        places = self._place_of.setdefault(draw, np.full(len(self._source.images), -1, np.int64))
        missing = rows[places[rows] < 0]
        done = len(rows) - len(missing)
        if not len(missing):
            return
        stored = np.array([self._is_stored(int(row), draw) for row in missing], bool)
        done += self._load(missing[stored], draw)
        yield done
        todo = missing[places[missing] < 0]
        for features, kept in self._computed(todo, draw):
            self._keep(features, kept, draw, room=len(todo))
            done += len(kept)
            yield done
        if self._store is not None:
            self._store.save()

    def share(self, rows: NDArray[np.int64], draw: int | None, world: World) -> None:
        """Let every process have the features that the others have computed of these rows."""
        if world.alone or not self._in_memory:
            return
        places = self._place_of[draw]
        have = rows[places[rows] >= 0]
        device = self._model.place.device
        values = self._values[draw].index_select(0, torch.from_numpy(places[have]).to(device))
        others = zip(world.each(torch.from_numpy(have).to(device)), world.each(values), strict=True)
        for found, features in others:
            there = found.cpu().numpy()
            new = places[there] < 0
            if new.any():
                self._keep(features[torch.from_numpy(new).to(device)], there[new], draw, room=len(rows), save=False)

    def batch(self, rows: Sequence[int] | NDArray[np.int64], draw: int | None) -> tuple[Tensor, NDArray[np.int64]]:
        """Features on the device, and the rows they belong to."""
        places = self._place_of[draw][rows]
        kept = np.asarray(rows, dtype=np.int64)[places >= 0]
        device = self._model.place.device
        if self._in_memory:
            values = self._values[draw]
            return values.index_select(0, torch.from_numpy(places[places >= 0]).to(values.device)), kept
        found = [self._from_store(int(row), draw) for row in kept]
        lost = np.array([row for row, value in zip(kept, found, strict=True) if value is None], np.int64)
        again: dict[int, Tensor] = {}
        for values, part in self._computed(lost, draw):
            again.update(zip(part.tolist(), values.cpu().to(self._dtype), strict=True))
        whole = [again.get(int(row)) if value is None else value for row, value in zip(kept, found, strict=True)]
        there = [value for value in whole if value is not None]
        kept = kept[[value is not None for value in whole]]
        return (torch.stack(there) if there else torch.empty(0)).to(device, non_blocking=True), kept

    def _computed(self, rows: NDArray[np.int64], draw: int | None) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
        size = _BATCH if self._model.place.device.type == "cpu" else _GPU_BATCH
        for images, kept in on_device(self._source, self._model.place, in_batches(rows, size), draw):
            if len(kept):
                yield self._fitting.run(self._model.prefix, images), kept

    def _keep(self, features: Tensor, rows: NDArray[np.int64], draw: int | None, *, room: int, save: bool = True) -> None:
        features = features.to(self._dtype)
        places = self._place_of[draw]
        if self._store is not None and save:
            for row, value in zip(rows, _as_numpy(features), strict=True):
                self._store.put(self._key(int(row), draw), value)
        if not self._in_memory:
            places[rows] = rows
            return
        used = int(places.max()) + 1
        values = self._values.get(draw)
        if values is None or used + len(rows) > len(values):
            grown = features.new_empty((used + max(room, len(rows)), *features.shape[1:]))
            if values is not None:
                grown[:used] = values[:used]
            values = self._values[draw] = grown
        values[used : used + len(rows)] = features
        places[rows] = np.arange(used, used + len(rows))

    def _load(self, rows: NDArray[np.int64], draw: int | None) -> int:
        """Take from the store what it has of these rows; returns how many that are."""
        if not self._in_memory:
            self._place_of[draw][rows] = rows
            return len(rows)
        found = 0
        for part in in_batches(rows, _BATCH):
            values = [self._from_store(int(row), draw) for row in part]
            good = [value for value in values if value is not None]
            if good:
                kept = part[[value is not None for value in values]]
                self._keep(torch.stack(good).to(self._model.place.device), kept, draw, room=len(rows), save=False)
                found += len(good)
        return found

    def _is_stored(self, row: int, draw: int | None) -> bool:
        return self._store is not None and self._key(row, draw) in self._store

    def _from_store(self, row: int, draw: int | None) -> Tensor | None:
        if self._store is None:
            return None
        array = self._store.get(self._key(row, draw))
        return None if array is None else torch.from_numpy(array.copy()).view(self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        return self._model.plan.prefix.dtype or torch.float32

    def _key(self, row: int, draw: int | None) -> bytes:
        image = self._source.key(row)
        if draw is None or not self._source.varies:
            return image
        facts = (draw, row, *self._source.variation)
        return hashlib.blake2b(image + repr(facts).encode(), digest_size=16).digest()


def open_features(
    folder: Path, name: str, weights: str, model: SplitModel, source: ImageSource, budget: int, room: int
) -> RowStore:
    """The store of what one prefix gives for one set of images, below ``folder``; those of others make room for it.

    It is named after all that the features depend on: the values of the frozen weights, the cut, the geometry and the
    precision. What depends on the image and its variation is in the keys.

    Args:
        name: of the images; see `tlstudio.data.curation.identity`.
        weights: see `weights_digest`.
        budget: bytes for all stores below ``folder``.
        room: how many of them this one will take.
    """
    precision = model.plan.prefix.dtype or torch.float32
    about = {"version": VERSION, "torch": str(torch.__version__), "weights": weights, "cut": model.frozen,
             "precision": str(precision), "preprocessing": repr(source.preprocessing), "views": views.VERSION}  # fmt: skip
    digest = hashlib.sha256(repr(sorted(about.items())).encode()).hexdigest()[:12]
    own = folder / f"{name}-{digest}"
    others = make_room(folder, max(0, budget - room), keep=[own])
    return RowStore(own, np.float32 if precision is torch.float32 else np.uint16, budget=budget - others, about=about)


def weights_digest(backbone: Backbone, stages: int) -> str:
    """A digest of the values of the first stages: parameters and statistics."""
    digest = hashlib.blake2b(digest_size=16)
    for stage in list(backbone.stages.values())[:stages]:
        for name, tensor in stage.state_dict().items():
            digest.update(name.encode() + str(tuple(tensor.shape)).encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def on_device(
    source: ImageSource, place: Place, parts: Iterable[NDArray[np.int64]], draw: int | None
) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """Normalised images ``(N, 3, S, S)`` float32 and their rows, batch by batch; what comes next is fetched meanwhile.

    To a GPU it is copied from pinned memory, in a stream of its own.
    """
    stream = torch.cuda.Stream(place.device) if place.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def fetch(part: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64], torch.cuda.Event | None]:
        pixels, kept = source.batch(part, draw=draw)
        tensor = torch.from_numpy(pixels)
        if stream is None:
            return tensor, kept, None
        with torch.cuda.stream(stream):
            return tensor.pin_memory().to(place.device, non_blocking=True), kept, stream.record_event()

    for pixels, kept, copied in ahead(partial(fetch, part) for part in parts):
        if copied is not None:
            current = torch.cuda.current_stream(place.device)
            current.wait_event(copied)
            pixels.record_stream(current)
        yield to_input(pixels, source, place) if len(kept) else pixels.float(), kept


def to_input(pixels: Tensor, source: ImageSource, place: Place) -> Tensor:
    """``(N, S, S, 3)`` uint8 pixels as ``(N, 3, S, S)`` normalised float32 on the device, in channels-last order."""
    tensor = pixels.to(place.device, non_blocking=True).permute(0, 3, 1, 2)
    mean = torch.tensor(source.preprocessing.mean, device=place.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(source.preprocessing.std, device=place.device).view(1, 3, 1, 1) * 255.0
    return tensor.float().sub_(mean).div_(std)


def _as_numpy(features: Tensor) -> NDArray[np.generic]:
    """Features on the CPU; of half precision, their bits."""
    values = features.detach().cpu()
    array: NDArray[np.generic] = (values if values.dtype == torch.float32 else values.view(torch.uint16)).numpy()
    return array


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
