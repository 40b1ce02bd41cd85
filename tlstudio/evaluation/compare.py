"""Whether one run's model is better than another's, on images that both can be judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlstudio.api.config import TrainConfig, read_config
from tlstudio.api.dataset import SPLIT_WORDS, ImageSet
from tlstudio.api.errors import UserError
from tlstudio.data.curation import Curation, identity
from tlstudio.evaluation.kept import predicted_classes
from tlstudio.evaluation.paired import bootstrap_interval, mcnemar
from tlstudio.evaluation.report import read_split
from tlstudio.registry.catalog import Catalog
from tlstudio.runs.store import RunInfo, find_run

_USUAL_LEVEL = 0.05


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """How many images of either run's split do not take part, by reason.

    ``trained_on``: one of the runs, or one whose result it started from, has learned from them. ``elsewhere``: they are not in
    that split of both. ``unusable``: they are gone, have lost their class, or cannot be read.
    """

    trained_on: int = 0
    elsewhere: int = 0
    unusable: int = 0


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image that exactly one of the models has right."""

    key: str
    true: str
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same images.

    ``both``, ``only_first``, ``only_second`` and ``neither`` count the images that these have right. ``p`` is that of the exact
    McNemar test, ``low`` to ``high`` the 95 % interval of ``difference``, the second's accuracy minus the first's.
    ``unknown_parents`` are runs, no longer there, from whose results one of the two started.
    """

    split: str
    both: int
    only_first: int
    only_second: int
    neither: int
    p: float
    low: float
    high: float
    left_out: LeftOut
    disagreements: tuple[Disagreement, ...]
    unknown_parents: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many images both were judged on."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def accuracies(self) -> tuple[float, float]:
        """Of the first and the second model."""
        return (self.both + self.only_first) / self.images, (self.both + self.only_second) / self.images

    @property
    def difference(self) -> float:
        """The second's accuracy minus the first's."""
        return (self.only_second - self.only_first) / self.images

    @property
    def doubtful(self) -> bool:
        """Whether chance alone would make such a difference in more than 5 of 100 cases."""
        return self.p > _USUAL_LEVEL


def compare_runs(
    first: RunInfo,
    second: RunInfo,
    catalog: Catalog,
    workspace: Path,
    *,
    split: str | None = None,
    progress: Callable[[int, int], bool] | None = None,
) -> Comparison:
    """Judge the models of two runs on the images that are in the split of both and that neither has learned from.

    Args:
        split: ``val`` or ``test``; by default the test images where both have some.
        progress: ``progress(done, total)`` for each model; ``False`` ends it, with the images that both were asked by then.

    Raises:
        UserError: there is nothing to compare them on, or a run kept no model.
        DataError: the images are gone.
    """
    kept = read_split(first.folder), read_split(second.folder)
    name = split or ("test" if kept[0].get("test") and kept[1].get("test") else "val")
    configs = _config(first), _config(second)
    _require_same(configs, kept)
    learned, unknown = _learned((first, second), kept, workspace)
    sets = set(kept[0].get(name, ())), set(kept[1].get(name, ()))
    either = dict.fromkeys([*kept[0].get(name, ()), *kept[1].get(name, ())])
    keys = [key for key in either if key in sets[0] and key in sets[1] and key not in learned]
    trained_on = sum(key in learned for key in either)
    elsewhere = len(either) - trained_on - len(keys)
    recipe = catalog.resolve(configs[0], workspace=workspace)
    images = Curation(recipe.open_images(), recipe.config.data, workspace).table.taking_part()
    rows = _rows(images, keys, kept[0]["classes"])
    if not rows:
        raise _nothing_in_common(name, len(either), trained_on, elsewhere)
    answers = [predicted_classes(run.folder, catalog, images, rows, progress) for run in (first, second)]
    rows = [row for row in rows if row in answers[0] and row in answers[1]]
    if not rows:
        raise UserError("None of the images that both runs can be judged on can be read.")
    left_out = LeftOut(trained_on=trained_on, elsewhere=elsewhere, unusable=len(keys) - len(rows))
    return _judged(images, rows, (answers[0], answers[1]), name, left_out, unknown)


def _judged(
    images: ImageSet,
    rows: list[int],
    answers: tuple[dict[int, str], dict[int, str]],
    split: str,
    left_out: LeftOut,
    unknown: tuple[str, ...],
) -> Comparison:
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    apart = []
    for row in rows:
        true, first, second = images.classes[images.labels[row]], answers[0][row], answers[1][row]
        counts[first == true, second == true] += 1
        if (first == true) != (second == true):
            apart.append(Disagreement(key=images.keys[row], true=true, first=first, second=second))
    only_first, only_second = counts[True, False], counts[False, True]
    low, high = bootstrap_interval(len(rows), only_first, only_second)
    return Comparison(
        split=split, both=counts[True, True], only_first=only_first, only_second=only_second, neither=counts[False, False],
        p=mcnemar(only_first, only_second), low=low, high=high, left_out=left_out, disagreements=tuple(apart),
        unknown_parents=unknown,
    )  # fmt: skip


def _config(run: RunInfo) -> TrainConfig:
    return read_config(run.folder / "config.json")


def _require_same(configs: tuple[TrainConfig, TrainConfig], kept: tuple[dict[str, Any], dict[str, Any]]) -> None:
    if identity(configs[0].data) != identity(configs[1].data):
        places = [config.data.path or config.data.dataset or "?" for config in configs]
        raise UserError(
            "The two runs are of different images.",
            detail="\n".join(places),
            hint="Compare runs that opened the same folder or file with the same options.",
        )
    classes = [set(part["classes"]) for part in kept]
    if classes[0] != classes[1]:
        raise UserError("The two models know different classes.", detail=", ".join(sorted(classes[0] ^ classes[1])))


def _learned(runs: Iterable[RunInfo], kept: Iterable[dict[str, Any]], workspace: Path) -> tuple[set[str], tuple[str, ...]]:
    """The keys that any of these runs, or of those whose results they started from, has learned from; and runs not found."""
    learned: set[str] = set()
    unknown: list[str] = []
    for run, part in zip(runs, kept, strict=True):
        learned.update(part.get("train", ()))
        data, seen, parent = identity(_config(run).data), {run.id}, run.parent
        while parent and parent not in seen:
            seen.add(parent)
            before = find_run(workspace, parent)
            if before is None:
                unknown.append(parent)
                break
            if identity(_config(before).data) == data:  # keys of other images would mean nothing here
                learned.update(read_split(before.folder).get("train", ()))
            parent = before.parent
    return learned, tuple(dict.fromkeys(unknown))


def _rows(images: ImageSet, keys: list[str], classes: Iterable[str]) -> list[int]:
    """Where these images are now, without those that are gone or have no class that the models know."""
    known = set(classes)
    where = {key: row for row, key in enumerate(images.keys)}
    return [row for key in keys if (row := where.get(key, -1)) >= 0 and _class(images, row) in known]


def _class(images: ImageSet, row: int) -> str | None:
    label = int(images.labels[row])
    return images.classes[label] if label >= 0 else None


def _nothing_in_common(split: str, either: int, trained_on: int, elsewhere: int) -> UserError:
    word = SPLIT_WORDS.get(split, split)
    if not either:
        return UserError(
            f"Neither run has {word} images.",
            hint="Train with a share of them above 0 (data.val_fraction, data.test_fraction).",
        )
    return UserError(
        "There is no image on which the two runs can be compared.",
        detail=f"Of the {either:,} {word} images of the two, {trained_on:,} were learned from by one of them, and "
        f"{elsewhere:,} are not in that split of both; the others are gone or have no class now.",
        hint="Train both with the same split: the same data.split, data.split_seed and shares.",
    )
