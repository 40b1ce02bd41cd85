"""What a run's images are, so that one that goes on can tell whether they are still the same, and name what is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlstudio.api.dataset import SPLIT_NAMES, ImageSet
from tlstudio.api.images import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMED = 3
Rows = Mapping[int, "NDArray[np.int64]"]


@dataclass(frozen=True, kw_only=True)
class Taken:
    """The images of a run as its ``split.json`` keeps them.

    Args:
        classes: in the order of the model's outputs.
        keys: by split name, in the order of rows; those of ``rest`` take no part, but are counted as rows.
        labels: of the same, the number of the class; and their ``sizes`` in bytes, 0 where they are no files.
        order: a digest of all keys in the order of rows: a row's number decides how an image is varied.
    """

    classes: tuple[str, ...]
    keys: Mapping[str, list[str]]
    labels: Mapping[str, list[int]]
    sizes: Mapping[str, list[int]]
    rest: list[str]
    order: str

    @classmethod
    def of(cls, images: ImageSet, rows: Rows, sizes: Mapping[int, int]) -> Taken:
        """Of a table, the rows of each split, and the sizes of files."""
        taken = np.zeros(len(images), np.bool_)
        for part in rows.values():
            taken[part] = True
        order = hashlib.sha256()
        for key in images.keys:
            order.update(key.encode("utf-8", "surrogateescape") + b"\0")
        names = {SPLIT_NAMES[split]: part for split, part in rows.items()}
        return cls(
            classes=tuple(images.classes),
            keys={name: [images.keys[row] for row in part] for name, part in names.items()},
            labels={name: images.labels[part].tolist() for name, part in names.items()},
            sizes={name: [sizes.get(int(row), 0) for row in part] for name, part in names.items()},
            rest=[images.keys[row] for row in np.flatnonzero(~taken)],
            order=order.hexdigest(),
        )

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Taken:
        """Of what ``split.json`` holds; raises `KeyError` and the like where it is none."""
        keys = {name: list(kept[name]) for name in SPLIT_NAMES}
        return cls(classes=tuple(kept["classes"]), keys=keys, labels=kept["labels"], sizes=kept["sizes"],
                   rest=[*kept["rest"]], order=str(kept["order"]))  # fmt: skip

    def record(self) -> dict[str, Any]:
        """As ``split.json`` keeps it."""
        return {"classes": list(self.classes), **self.keys, "labels": dict(self.labels), "sizes": dict(self.sizes),
                "rest": self.rest, "order": self.order}  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """SHA-256 over classes, and key, size, label and split of every image, in order."""
        return hashlib.sha256(json.dumps(self.record(), sort_keys=True).encode()).hexdigest()

    def rows(self, images: ImageSet) -> dict[int, NDArray[np.int64]]:
        """Where the images are now; those that are gone are left out."""
        where = {key: row for row, key in enumerate(images.keys)}
        return {
            split: np.array([where[key] for key in self.keys[name] if key in where], np.int64)
            for split, name in enumerate(SPLIT_NAMES)
        }

    def difference(self, now: Taken) -> str:
        """What is another now, in a line for each kind; empty where nothing is."""
        if self.fingerprint == now.fingerprint:
            return ""
        then_all, now_all = self._all(), now._all()
        gone = [key for key in then_all if key not in now_all]
        new = [key for key in now_all if key not in then_all]
        both = [(key, then_all[key], now_all[key]) for key in then_all if key in now_all]
        labels = [key for key, then, then_now in both if then[:1] != then_now[:1]]
        sizes = [key for key, then, then_now in both if then[1:] != then_now[1:] and key not in set(labels)]
        lines = (
            [f"Classes were {', '.join(self.classes)}; now {', '.join(now.classes)}."] if self.classes != now.classes else []
        )
        kinds = ((gone, "gone"), (new, "new"), (labels, "of another class"), (sizes, "changed"))
        lines += [f"{len(keys):,} images are {what}: {some(keys)}" for keys, what in kinds if keys]
        return "\n".join(lines or ["The images come in another order."])

    def _all(self) -> dict[str, tuple[int, int]]:
        found = dict.fromkeys(self.rest, (-1, 0))
        for name, keys in self.keys.items():
            found.update(zip(keys, zip(self.labels[name], self.sizes[name], strict=True), strict=True))
        return found


def some(keys: Sequence[str]) -> str:
    """The first few of these names, for people."""
    return ", ".join(printable(key) for key in keys[:_NAMED]) + (", …" if len(keys) > _NAMED else "")
