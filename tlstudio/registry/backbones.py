"""The catalog's backbones as a list to search: figures that help to choose, words that find one, whose weights are here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tlstudio.api.backbone import BackboneSpec
from tlstudio.registry.weights import WeightSet, weight_sets

TOP1 = "ImageNet top-1"
"""The published figure by which backbones are compared; a fraction."""

Sets = Mapping[str, tuple[WeightSet, ...]]
"""The sets of weights by qualified name of their backbone."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A backbone in a list.

    Args:
        name: qualified, such as ``torchvision/resnet18``.
    """

    name: str
    spec: BackboneSpec

    @cached_property
    def accuracy(self) -> float | None:
        """The best published top-1 accuracy on ImageNet-1k of its sets; ``None`` where none is published."""
        return max((known.metrics[TOP1] for known in self.spec.weights if TOP1 in known.metrics), default=None)

    @property
    def image_size(self) -> int:
        """The side in pixels of the images that it expects, unless a run says otherwise."""
        weights = self.spec.weights
        return (weights[0].preprocessing if weights else self.spec.preprocessing).image_size

    @cached_property
    def _squeezed(self) -> tuple[str, str]:
        return _squeeze(self.name.rpartition("/")[2]), _squeeze(self.spec.title)

    @cached_property
    def _text(self) -> str:
        plain = f"{self.spec.title} {self.name} {self.spec.family}".casefold()
        return " ".join((plain, *self._squeezed, _squeeze(self.spec.family)))

    def rank(self, query: str) -> int | None:
        """How well a search finds it: 0 it goes by that name, 1 its name begins so, 2 it has all words; ``None``: not at all.

        Words may come in any order and with or without hyphens: ``resnet 18``, ``ResNet-18`` and ``resnet18`` are one.
        """
        for word in query.casefold().split():
            if word not in self._text and not ((short := _squeeze(word)) and short in self._text):
                return None
        wanted = _squeeze(query)
        if wanted in self._squeezed:
            return 0
        return 1 if any(name.startswith(wanted) for name in self._squeezed) else 2


ORDERS: Mapping[str, Callable[[Listed], Any]] = {
    "family": lambda item: (item.spec.family.casefold(), item.spec.params, item.spec.title.casefold()),
    "name": lambda item: item.spec.title.casefold(),
    "params": lambda item: item.spec.params,
    "flops": lambda item: item.spec.flops or None,
    "size": lambda item: item.image_size,
    "accuracy": lambda item: item.accuracy,
}
"""By what a list may be in order; ``None`` where the figure is not known."""


def list_backbones(backbones: Mapping[str, BackboneSpec]) -> list[Listed]:
    """All of them, family by family, small before large."""
    return sorted((Listed(name=name, spec=spec) for name, spec in backbones.items()), key=ORDERS["family"])


def in_order(items: Iterable[Listed], order: str, *, descending: bool = False) -> list[Listed]:
    """Sorted by one of `ORDERS`; those whose figure is not known come last either way."""
    key = ORDERS[order]
    given = list(items)
    known = sorted((item for item in given if key(item) is not None), key=key, reverse=descending)
    return [*known, *(item for item in given if key(item) is None)]


def search(items: Iterable[Listed], query: str, here: Iterable[str] = ()) -> list[Listed]:
    """Those that a search finds, the best first: by name, then with weights on this machine, then as they stood.

    Args:
        here: qualified names of those whose weights are on this machine.
    """
    at_hand = frozenset(here)
    found = [(rank, item.name not in at_hand, item) for item in items if (rank := item.rank(query)) is not None]
    return [item for _, _, item in sorted(found, key=lambda entry: entry[:2])]


def families(items: Iterable[Listed]) -> dict[str, int]:
    """How many there are of each family, by name."""
    counts = Counter(item.spec.family for item in items)
    return {family: counts[family] for family in sorted(counts, key=str.casefold)}


def all_sets(backbones: Mapping[str, BackboneSpec]) -> dict[str, tuple[WeightSet, ...]]:
    """All sets of weights by backbone, each with its place on this machine. Looks at the disk for every one of them."""
    found: dict[str, list[WeightSet]] = {name: [] for name in backbones}
    for known in weight_sets(backbones):
        found[known.backbone].append(known)
    return {name: tuple(sets) for name, sets in found.items()}


def at_hand(sets: Sets) -> frozenset[str]:
    """The qualified names of the backbones for which weights are on this machine."""
    return frozenset(name for name, known in sets.items() if any(item.path is not None for item in known))


def _squeeze(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
