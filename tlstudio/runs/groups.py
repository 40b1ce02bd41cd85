"""Repetitions of one configuration, over seeds or over folds, as a group of runs. Knows files only.

A member is a run like any other whose ``run.json`` names the group. The group's id follows from the configuration, so the same
wish made again finds what was done before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from tlstudio.api.config import TrainConfig, parse_config
from tlstudio.api.errors import UserError
from tlstudio.runs.spread import Spread, spread_of
from tlstudio.runs.store import RunInfo, list_runs
from tlstudio.runs.table import differing_settings

Kind = Literal["seeds", "folds"]
ACCURACY = "val_accuracy"
_STAYS = ("completed", "running", "queued")
_VARIES: dict[Kind, tuple[str, str]] = {"seeds": ("run", "seed"), "folds": ("data", "fold")}
_ONE: dict[str, str] = {"seeds": "seed", "folds": "fold"}
CAVEATS: dict[Kind, str] = {
    "seeds": "All runs split the images the same way: the spread is that of training, not that of other images.",
    "folds": "The runs share training images, so the true uncertainty is somewhat larger than this interval.",
}
"""How far a group's interval holds."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A run that belongs to a group, done or not; ``number`` is its seed or its fold."""

    group: str
    kind: Kind
    number: int
    config: TrainConfig

    @property
    def title(self) -> str:
        """Such as ``seed 3``."""
        return f"{_ONE[self.kind]} {self.number}"

    @property
    def record(self) -> dict[str, Any]:
        """What ``run.json`` keeps."""
        return {"id": self.group, "kind": self.kind, "number": self.number}


@dataclass(frozen=True, kw_only=True)
class Group:
    """What is known of a group: ``runs`` the newest completed one of each number, ``others`` those that do not count.

    ``accuracy`` is that on the validation images, each run's by its saved model; ``None`` where no run has one. ``differing``
    names the settings in which the runs differ though only the seed or the fold should.
    """

    id: str
    kind: Kind
    runs: tuple[RunInfo, ...]
    others: tuple[RunInfo, ...]
    accuracy: Spread | None
    differing: tuple[str, ...]

    @property
    def result(self) -> tuple[str, ...]:
        """Sentences: mean and standard deviation of the accuracy, the interval of the mean, and how far that holds."""
        spread = self.accuracy
        if spread is None:
            return ("No run is complete and has validation images: there is no accuracy to tell.",)
        if spread.deviation is None or spread.low is None or spread.high is None:
            return (f"Accuracy {_percent(spread.mean)} in the one run that is done; two are needed for a spread.",)
        return (
            f"Accuracy {_percent(spread.mean)} on average of {spread.n} runs, standard deviation "
            f"{100 * spread.deviation:.1f} points.",
            f"95 % interval of the mean: {_percent(spread.low)} to {_percent(spread.high)} "
            f"(Student's t, {spread.n - 1} degree{'s' if spread.n > 2 else ''} of freedom).",
            CAVEATS[self.kind],
        )

    def reservations(self, title: Callable[[str], str] = str) -> tuple[str, ...]:
        """Sentences: what is not counted, and in what the runs differ; ``title`` names a setting."""
        said = []
        if self.others:
            n = len(self.others)
            said.append(f"Not counted: {n} {'run that is' if n == 1 else 'runs that are'} not complete, or done again later.")
        if self.differing:
            names = ", ".join(map(title, self.differing))
            said.append(f"Mind that the runs differ in {names}: they do not repeat one configuration.")
        return tuple(said)


def plan_seeds(config: TrainConfig, count: int) -> list[Member]:
    """``count`` runs whose seeds count up from the configuration's own; the images are split the same way in all."""
    first = config.run.seed
    return [_member(config, "seeds", seed, {"run": {"seed": seed}}) for seed in range(first, first + count)]


def plan_folds(config: TrainConfig, count: int) -> list[Member]:
    """``count`` runs, in each of which another part of the images measures."""
    parts = [{"data": {"split": "kfold", "folds": count, "fold": fold}} for fold in range(count)]
    return [_member(config, "folds", fold, part) for fold, part in enumerate(parts)]


def _member(config: TrainConfig, kind: Kind, number: int, update: Mapping[str, Mapping[str, Any]]) -> Member:
    data = config.model_dump(mode="json")
    own = parse_config({**data, **{section: {**data[section], **fields} for section, fields in update.items()}})
    asked = own.model_dump(mode="json", exclude_defaults=True)
    section, field = _VARIES[kind]
    asked.get(section, {}).pop(field, None)
    asked.get("run", {}).pop("name", None)
    asked = {name: fields for name, fields in asked.items() if fields}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return Member(group=f"{kind}-{digest}", kind=kind, number=number, config=own)


def plan_more(config: TrainConfig, kind: Kind, count: int, runs: Sequence[RunInfo]) -> list[Member]:
    """As `plan_seeds` and `plan_folds`; where the seed is that of a run of the group, they count up from the group's first.

    So a configuration that was taken from one of a group's runs means that group, not a second one half over it.
    """
    if kind == "folds":
        return plan_folds(config, count)
    group = plan_seeds(config, 1)[0].group
    numbers = {run.group_number for run in runs if run.group == group and run.status in _STAYS}
    seed = min(numbers) if config.run.seed in numbers else config.run.seed
    return plan_seeds(config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})}), count)


def missing(members: Sequence[Member], runs: Sequence[RunInfo]) -> list[Member]:
    """Those that are not done, do not wait in the queue and are not going."""
    there = {(run.group, run.group_number) for run in runs if run.status in _STAYS}
    return [member for member in members if (member.group, member.number) not in there]


def repeats(run: RunInfo, config: TrainConfig) -> bool:
    """Whether a run is one of those that repeat this configuration, whatever the seed or the fold in that is."""
    if not run.group:
        return False
    kind = cast(Kind, run.group.partition("-")[0])
    folds = int(run.config.get("data", {}).get("folds", 2))
    members = plan_folds(config, folds) if kind == "folds" else plan_seeds(config, 1)
    return members[0].group == run.group


def done(runs: Iterable[RunInfo], group: str) -> dict[int, RunInfo]:
    """The newest completed run of each number of a group."""
    found = [run for run in runs if run.group == group and run.status == "completed"]
    return {run.group_number: run for run in sorted(found, key=lambda run: run.created)}


def list_groups(workspace: Path) -> list[Group]:
    """All groups of a workspace, the newest first."""
    by_id: dict[str, list[RunInfo]] = {}
    for run in list_runs(workspace):
        if run.group:
            by_id.setdefault(run.group, []).append(run)
    return [group_of(runs) for runs in by_id.values()]


def require_group(workspace: Path, text: str) -> Group:
    """A group by its id or the unique beginning of it; where there is none, or more than one, a `UserError`."""
    groups = list_groups(workspace)
    found = [group for group in groups if group.id == text] or [group for group in groups if group.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    known = "\n".join(group.id for group in groups)
    if found:
        raise UserError(f"{text!r} is the beginning of {len(found)} groups.", detail=known, hint="Give more of the id.")
    raise UserError(f"There is no group {text!r} in {workspace}.", detail=known, hint="`tlstudio runs group` lists them.")


def group_of(runs: Sequence[RunInfo]) -> Group:
    """The group that these runs make up; they all name the same one."""
    group, kind = runs[0].group, cast(Kind, runs[0].group.partition("-")[0])
    counted = dict(sorted(done(runs, group).items()))
    figures = [run.metrics[ACCURACY] for run in counted.values() if ACCURACY in run.metrics]
    return Group(
        id=group,
        kind=kind,
        runs=tuple(counted.values()),
        others=tuple(run for run in runs if run not in counted.values()),
        accuracy=spread_of(figures) if figures else None,
        differing=tuple(name for name in differing_settings(tuple(counted.values())) if name != ".".join(_VARIES[kind])),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
