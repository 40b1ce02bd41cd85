"""Images to batches of pixels: decoded once by threads, kept on disk or in memory, fetched ahead of their use."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import PIL

from tlstudio import faults
from tlstudio.api.backbone import Preprocessing
from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.errors import DataError, ExitCode, ImageError
from tlstudio.api.images import printable
from tlstudio.engine import augment as views
from tlstudio.engine.augment import Preset, plain_view, random_views, reduced
from tlstudio.engine.balance import balanced_epoch
from tlstudio.engine.random import epoch_order, sample_generator
from tlstudio.engine.reading import SLICE, Abandoned, Readers, is_gone
from tlstudio.engine.rowstore import RowStore, make_room

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Item = TypeVar("_Item")

_MEMORY_BUDGET = 2 * 2**30
_LOST_LIMIT = 20
_LOST_SHARE = 0.01
_AT_ONCE = 64
_HANGS_SECONDS = 120.0  # after which a read does not come back
_SLOW_SECONDS = 1.0  # after which nobody waits for it who wants the run to end


class ImagesGone(DataError):
    """The drive with the images of a run is gone or does not answer; they lay below ``root``."""

    def __init__(self, title: str, detail: str, hint: str, *, root: Path) -> None:
        super().__init__(title, detail, hint, ExitCode.RETRY)
        self.root = root


class ImageSource:
    """The images of a run as pixels. One row's plain view is always the same; a varied one depends on the draw and the row.

    Args:
        images: the table.
        preprocessing: geometry of the views.
        preset: random variation of training views.
        augment: its details.
        seed: of the run.
        store: where the pictures of image files are kept from run to run; closed with the source.
        memory: bytes that pictures may occupy which are not kept there; 2 GiB by default.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocessing: Preprocessing,
        *,
        preset: Preset = "none",
        augment: AugmentConfig | None = None,
        seed: int = 0,
        store: RowStore | None = None,
        memory: int | None = None,
    ) -> None:
        self.images = images
        self.preprocessing = preprocessing
        self.preset = preset
        self.augment = augment or AugmentConfig()
        self.seed = seed
        self.unreadable: dict[int, str] = {}
        self._store = store if images.read is None else None  # what is no file is read at once
        self.sizes: dict[int, int] = {}
        """Bytes of the files that were looked at, by row; 0 for what is no file."""
        self._keys: dict[int, bytes] = {}
        self._memory = _MEMORY_BUDGET if memory is None else memory
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._guard = threading.Lock()
        self.unwanted: Callable[[], bool] = lambda: False
        """Whether the user has ended the run: nobody waits then for a read that does not come back."""
        self._reading: dict[int, float] = {}  # since when, by row
        self._hanging: set[int] = set()
        self._pool = Readers(os.cpu_count() or 1, "decode")

    @property
    def varies(self) -> bool:
        """Whether a training view is another than the plain one."""
        return views.varies(self.preset, self.augment)

    @property
    def variation(self) -> tuple[object, ...]:
        """All but the draw and the row that a varied view depends on."""
        augment = self.augment
        return self.seed, self.preset, augment.vertical_flip, augment.policy, augment.magnitude, augment.erase

    def close(self) -> None:
        """End the decoding threads, but for those whose read does not come back."""
        self._pool.close()
        if self._store is not None:
            self._store.close()

    def read_all(self, rows: Sequence[int] | NDArray[np.int64]) -> Iterator[int]:
        """Decode every image once, so that bad ones are known (`unreadable`) before training.

        Yields how many are done, again and again while a read does not come back.

        Raises:
            ImagesGone: nor does the folder of the images.
        """
        read = self._guarded(self._keep)
        parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
        waiting = deque((part, self._pool.submit(_each, read, part)) for part in parts)
        done = 0
        try:
            while waiting:
                part, future = waiting[0]
                if self._is_done(future):
                    done += future.result()
                    waiting.popleft()
                elif (at := self._hangs_at(part)) is not None:
                    done += at + 1
                    waiting[0] = part[at + 1 :], self._pool.submit(_each, read, part[at + 1 :])
                yield done
        finally:
            for _, future in waiting:
                future.cancel()
        if self._store is not None:
            self._store.save()

    def batch(
        self, rows: Sequence[int] | NDArray[np.int64], *, draw: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Pixels ``(n, S, S, 3)`` uint8 and the rows they belong to; a row that cannot be read is left out and noted.

        Args:
            draw: number of the random variation; ``None`` for the plain view.

        Raises:
            Abandoned: a read does not come back, and the user has ended the run.
            ImagesGone: nor does the folder of the images.
        """
        found = self.pictures(rows)
        kept = np.array([row for row, picture in zip(rows, found, strict=True) if picture is not None], dtype=np.int64)
        pictures = [picture for picture in found if picture is not None]
        if not pictures:
            side = self.preprocessing.image_size
            return np.empty((0, side, side, 3), np.uint8), kept
        if draw is None or not self.varies:
            return np.stack(self._pool.map(lambda picture: plain_view(picture, self.preprocessing), pictures)), kept
        share = -(-len(pictures) // (os.cpu_count() or 1))
        parts = [slice(start, start + share) for start in range(0, len(pictures), share)]
        made = self._pool.map(self._random, [pictures[part] for part in parts], [kept[part] for part in parts], repeat(draw))
        return np.concatenate(made), kept

    def pictures(self, rows: Sequence[int] | NDArray[np.int64]) -> list[NDArray[np.uint8] | None]:
        """`picture` of each row, ``None`` where it cannot be read, which is noted; raises as `batch`."""
        read = self._guarded(self.picture)
        futures = [self._pool.submit(read, int(row)) for row in rows]
        try:
            return [self._awaited(int(row), future) for row, future in zip(rows, futures, strict=True)]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def picture(self, row: int) -> NDArray[np.uint8]:
        """What is kept of one image (`tlstudio.engine.augment.reduced`), ``(H, W, 3)`` uint8, read-only.

        Raises:
            ImageError: it cannot be read.
        """
        known = self._pictures.get(row)
        if known is not None:
            return known
        key = self.key(row)
        if self._store is not None:
            stored = self._store.get(key)
            if stored is not None:
                return stored
        if faults.active is not None:
            faults.active.count("read")
        picture = reduced(self.images.load(row), self.preprocessing)
        if not (self._store is not None and self._store.put(key, picture)):
            with self._guard:
                if picture.nbytes <= self._memory and self.images.read is None:
                    self._memory -= picture.nbytes
                    self._pictures[row] = picture
        return picture

    def _keep(self, row: int) -> NDArray[np.uint8] | None:
        """Read an image, unless it is kept: what is kept was readable, and is looked at when it is used."""
        return None if self._store is not None and self.key(row) in self._store else self.picture(row)

    def key(self, row: int) -> bytes:
        """16 bytes that name the content of one image: of a file by its path, size and time of change.

        Raises:
            ImageError: there is no such file.
        """
        known = self._keys.get(row)
        if known is None:
            known, self.sizes[row] = _key_of(self.images, row)
            self._keys[row] = known
        return known

    def check_losses(self, known: int, total: int) -> None:
        """Notice when many images that were readable at the start no longer are.

        Raises:
            ImagesGone: the folder of the images is not there at all.
            DataError: it is, and they cannot be read.
        """
        lost = len(self.unreadable) - known
        if lost > max(_LOST_LIMIT, _LOST_SHARE * total):
            names = [printable(self.images.keys[row]) for row in list(self.unreadable)[known : known + 10]]
            title, detail = f"{lost} images can no longer be read.", "\n".join(names)
            hint = "Check that the drive is connected, then go on with the run."
            if self.images.root is not None and is_gone(self.images.root):
                raise ImagesGone(title, detail, hint, root=self.images.root)
            raise DataError(title, detail, hint)

    def _guarded(self, view: Callable[[int], NDArray[np.uint8] | None]) -> Callable[[int], NDArray[np.uint8] | None]:
        def guarded(row: int) -> NDArray[np.uint8] | None:
            if row in self._hanging:
                return None
            self._reading[row] = time.monotonic()
            try:
                return view(row)
            except ImageError as error:
                self.unreadable.setdefault(row, error.title)
                return None
            finally:
                self._reading.pop(row, None)

        return guarded

    def _awaited(self, row: int, future: Future[NDArray[np.uint8] | None]) -> NDArray[np.uint8] | None:
        while not self._is_done(future):
            if self.unwanted() and self._slower_than(_SLOW_SECONDS):
                raise Abandoned
            if self._hangs_at([row]) is not None:
                return None
        return future.result()

    def _is_done(self, future: Future[_Item]) -> bool:
        """Whether it is, within a moment."""
        return future.done() or bool(wait([future], timeout=SLICE).done)

    def _slower_than(self, seconds: float) -> list[int]:
        """Rows whose reads have taken longer and are not back."""
        now = time.monotonic()
        return [row for row, since in self._reading.copy().items() if now - since > seconds]

    def _hangs_at(self, rows: Sequence[int] | NDArray[np.int64]) -> int | None:
        """The place of the first of these rows whose read does not come back: such an image counts as unreadable from now on.

        Raises:
            ImagesGone: the folder of the images does not answer either.
        """
        for row in self._slower_than(_HANGS_SECONDS):
            if self.images.root is not None and is_gone(self.images.root, self.unwanted):
                if self.unwanted():
                    raise Abandoned
                raise ImagesGone(
                    "The drive with the images does not answer.",
                    f"{printable(self.images.keys[row])} could not be read in {_HANGS_SECONDS:.0f} seconds.",
                    "Check that the drive is connected, then go on with the run.",
                    root=self.images.root,
                )
            self._hanging.add(row)
            if self._reading.pop(row, None) is not None:
                self.unreadable.setdefault(row, f"no answer in {_HANGS_SECONDS:.0f} seconds")
                self._pool.replace()
        return next((place for place, row in enumerate(rows) if int(row) in self._hanging), None)

    def _random(self, pictures: list[NDArray[np.uint8]], rows: NDArray[np.int64], draw: int) -> NDArray[np.uint8]:
        generators = [sample_generator(self.seed, draw, int(row)) for row in rows]
        return random_views(pictures, self.preprocessing, self.preset, generators, augment=self.augment)


def open_pictures(folder: Path, name: str, preprocessing: Preprocessing, budget: int) -> RowStore:
    """The store of the pictures of one set of images, below ``folder``; those of others make room for it.

    Args:
        name: of the images; see `tlstudio.data.curation.identity`.
        preprocessing: as its pictures are prepared for it.
        budget: bytes for all stores below ``folder``.
    """
    about = {"version": views.VERSION, "decoder": PIL.__version__, "resize": preprocessing.resize,
             "interpolation": preprocessing.interpolation}  # fmt: skip
    own = folder / f"{name}-{preprocessing.resize}-{preprocessing.interpolation}"
    others = make_room(folder, budget // 2, keep=[own])
    return RowStore(own, np.uint8, budget=budget - others, about=about)


def epoch_batches(
    rows: NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    least: int = 2,
    classes: NDArray[np.int32] | None = None,
) -> list[NDArray[np.int64]]:
    """The rows of one training epoch in shuffled batches.

    Args:
        least: a last batch of fewer images joins the one before it: batch norm cannot learn from a single image.
        classes: of each of the rows, for an epoch that shows all classes equally often (`balanced_epoch`).
    """
    if classes is not None:
        rows = rows[balanced_epoch(classes, seed=seed, epoch=epoch)]
    return in_batches(rows[epoch_order(seed, epoch, len(rows))], batch_size, least=least)


def in_batches(rows: NDArray[np.int64], batch_size: int, *, least: int = 1) -> list[NDArray[np.int64]]:
    """Rows in order, cut into batches; a last one of fewer rows than ``least`` joins the one before it."""
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    if len(batches) > 1 and len(batches[-1]) < least:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def ahead(tasks: Iterable[Callable[[], _Item]], *, depth: int = 2) -> Iterator[_Item]:
    """The results of the tasks in order, each computed in a thread up to ``depth`` tasks ahead of its use."""
    waiting: deque[Future[_Item]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _each(read: Callable[[int], object], rows: Sequence[int] | NDArray[np.int64]) -> int:
    for row in rows:
        read(int(row))
    return len(rows)


def _key_of(images: ImageSet, row: int) -> tuple[bytes, int]:
    path, size = images.path(row), 0
    if path is None:
        parts: tuple[object, ...] = (images.keys[row], row)
    else:
        try:
            found = os.stat(path)
        except OSError as error:
            raise ImageError("file not found" if isinstance(error, FileNotFoundError)
                             else f"cannot be read ({error.strerror or error})") from None  # fmt: skip
        box = None if images.boxes is None else images.boxes[row].tolist()
        size = found.st_size
        parts = (path, size, found.st_mtime_ns, box, images.limits)
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogateescape"), digest_size=16).digest(), size
