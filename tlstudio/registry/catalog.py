"""All that plugins added, by qualified name, and the step from a configuration to a recipe with every name resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from tlstudio.api.backbone import BackboneSpec, Preprocessing
from tlstudio.api.config import DataConfig, TrainConfig
from tlstudio.api.conflicts import conflicts
from tlstudio.api.dataset import DatasetSpec, ImageSet, Options
from tlstudio.api.errors import ConfigError, DataError, Problem
from tlstudio.api.freezing import FreezingSpec
from tlstudio.api.images import Limits
from tlstudio.api.observers import ObserverSpec
from tlstudio.api.problems import problems_of
from tlstudio.data.archives import is_archive, unpacked
from tlstudio.data.moved import relocated
from tlstudio.registry.presets import PRESETS, Situation, is_automatic, preset_for
from tlstudio.registry.strategies import with_saved
from tlstudio.registry.weights import ResolvedWeights, by_bare_name, resolve_weights

if TYPE_CHECKING:
    from tlstudio.registry.manager import PluginRecord
    from tlstudio.registry.observers import Fault

_Spec = TypeVar("_Spec")
_MOST_NAMED = 40
_RATES = {"sgd": 10.0, "rmsprop": 0.03, "radam": 3.0, "adafactor": 10.0}  # times AdamW's: see `usual_rate`


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A configuration with every name resolved. ``config`` is complete: data-set kind and learning rate are filled in.

    ``undecided`` says that what learns is left to the program and nobody has looked at the images yet; the strategy is then a
    stand-in, and strategy and learning rate in ``config`` are as they were.
    """

    config: TrainConfig
    backbone: BackboneSpec
    weights: ResolvedWeights
    preprocessing: Preprocessing
    dataset: DatasetSpec
    dataset_options: Options
    strategy: FreezingSpec
    strategy_options: Options
    undecided: bool = False

    def open_images(self) -> ImageSet:
        """The table of images; raises `DataError` where they cannot be used."""
        return within_limits(self.dataset.open(self.dataset_options), self.config.data)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What plugins registered, by qualified name ``plugin/name``, and the plugins themselves.

    ``refused`` holds the networks that a plugin knows and does not offer, with the reasons; ``observer_faults`` the observers
    that raised while this catalog was in use, by name: they hear no more runs.
    """

    plugins: tuple[PluginRecord, ...]
    backbones: Mapping[str, BackboneSpec]
    datasets: Mapping[str, DatasetSpec]
    strategies: Mapping[str, FreezingSpec]
    refused: Mapping[str, str] = field(default_factory=dict)
    observers: Mapping[str, ObserverSpec] = field(default_factory=dict)
    observer_faults: dict[str, Fault] = field(default_factory=dict, compare=False)

    def recognise(self, path: Path) -> str:
        """The qualified name of the data set that knows this path best.

        Raises:
            DataError: there is nothing at that path, or no data set knows it.
        """
        if not path.exists():
            raise DataError(f"There is nothing at {path}.", hint="Check the spelling, or whether the drive is connected.")
        sure = {name: _sureness(spec, path) for name, spec in self.datasets.items()}
        best = max(sure, key=lambda name: sure[name], default=None)
        if best is None or sure[best] <= 0.0:
            raise DataError(
                f"No data set recognises {path}.",
                hint="Open a folder with one subfolder of images for each class, an archive of such a folder, a CSV file with "
                "the columns path and label, or one of the other kinds that the help page on data sets shows.",
            )
        return best

    def open_images(self, data: DataConfig) -> ImageSet:
        """The table of images of a data configuration alone, for browsing.

        Raises:
            ConfigError: unknown kind or options.
            DataError: the images cannot be used.
        """
        problems: list[Problem] = []
        found = self._dataset(data, problems)
        if found is None:
            raise ConfigError(tuple(problems))
        _, spec, options = found
        return within_limits(spec.open(options), data)

    def resolve(self, config: TrainConfig, *, workspace: Path, situation: Situation | None = None) -> Recipe:
        """Turn names into records.

        Args:
            config: what the user wants.
            workspace: where runs lie that weights may come from, and what knows where images went.
            situation: what the choice of what learns goes by, where that is left to the program; ``None`` where nobody has
                looked yet.

        Raises:
            ConfigError: with every problem at once, each at its field.
            DataError: there is no such data set.
            WeightsError: the weights are not on this machine.
        """
        problems: list[Problem] = []
        config = config.model_copy(update={"data": relocated(config.data, workspace)})
        config = with_saved(config, workspace, problems)
        unsaved = bool(problems)  # a saved strategy that is not there: said already
        problems += conflicts(config)
        backbone = _lookup(self.backbones, config.model.backbone, "model.backbone", problems, self.refused)
        undecided = is_automatic(config) and situation is None
        asked = config
        if is_automatic(config):
            config = (PRESETS[0] if situation is None else preset_for(situation)).applied(config)
        strategy = None if unsaved else _lookup(self.strategies, config.freezing.strategy, "freezing.strategy", problems)
        strategy_options = (
            _options(strategy[1].options, config.freezing.options, "freezing.options", problems) if strategy else None
        )
        dataset = self._dataset(config.data, problems)
        if backbone and (problem := backbone[1].size_problem(config.data.image_size)):
            problems.append(Problem(field="data.image_size", message=problem))
        if problems or backbone is None or strategy is None or strategy_options is None or dataset is None:
            raise ConfigError(tuple(problems))
        weights = resolve_weights(config.model.weights, *backbone, workspace)
        preprocessing = (weights.preprocessing or _usual_preprocessing(backbone[1])).at(config.data.image_size)
        rate = config.optim.learning_rate
        if rate is None:
            rate = usual_rate(strategy[1], config.optim.optimizer)
        update: dict[str, Any] = {
            "data": config.data.model_copy(update={"dataset": dataset[0]}),
            "model": config.model.model_copy(update={"backbone": backbone[0]}),
        }
        if not undecided:
            update["freezing"] = config.freezing.model_copy(update={"strategy": strategy[0]})
            update["optim"] = config.optim.model_copy(update={"learning_rate": rate})
        complete = (asked if undecided else config).model_copy(update=update)
        return Recipe(
            config=complete,
            backbone=backbone[1],
            weights=weights,
            preprocessing=preprocessing,
            dataset=dataset[1],
            dataset_options=dataset[2],
            strategy=strategy[1],
            strategy_options=strategy_options,
            undecided=undecided,
        )

    def _dataset(self, data: DataConfig, problems: list[Problem]) -> tuple[str, DatasetSpec, Options] | None:
        path = None if data.path is None else Path(data.path).expanduser().absolute()
        if path is not None and is_archive(path):
            path = unpacked(path)
        if data.dataset is None and path is None:
            problems.append(Problem(field="data.path", message="choose a folder, an archive or a file of labels"))
            return None
        name = data.dataset or self.recognise(path or Path())
        found = _lookup(self.datasets, name, "data.dataset", problems)
        if found is None:
            return None
        given = dict(data.options)
        if "path" in found[1].options.model_fields:
            if path is not None:
                given["path"] = path
            elif "path" not in given:
                problems.append(Problem(field="data.path", message=f"{found[0]} needs a path"))
                return None
        options = _options(found[1].options, given, "data.options", problems)
        return None if options is None else (*found, options)


def usual_rate(strategy: FreezingSpec, optimizer: str) -> float:
    """The learning rate that suits a strategy: the strategy's own is for AdamW.

    Plain gradient steps need about ten times as much; Adafactor's steps are relative to the size of the weights, and need as
    much; RMSprop's are as long as Adam's, the first much longer, and its momentum adds up ten of them;
    RAdam's first ones are short.
    """
    return strategy.learning_rate * _RATES.get(optimizer, 1.0)


def _usual_preprocessing(backbone: BackboneSpec) -> Preprocessing:
    """For weights of which nothing else is known: that of the backbone's first published set."""
    return backbone.weights[0].preprocessing if backbone.weights else backbone.preprocessing


def within_limits(images: ImageSet, data: DataConfig) -> ImageSet:
    """The images, taken as the configuration allows: how large ones, and whether cut ones."""
    limits = Limits(megapixels=data.megapixels, damaged=data.accept_damaged)
    return images if limits == images.limits else replace(images, limits=limits)


def _sureness(spec: DatasetSpec, path: Path) -> float:
    if spec.recognise is None:
        return 0.0
    try:
        return float(spec.recognise(path))
    except Exception:  # noqa: BLE001 - one plugin's fault must not keep the others from looking
        return 0.0


def _lookup(
    items: Mapping[str, _Spec], name: str, field: str, problems: list[Problem], refused: Mapping[str, str] | None = None
) -> tuple[str, _Spec] | None:
    """Find by qualified name, or by the bare name where only one plugin has it; of the ``refused``, the reason is told."""
    if name in items:
        return name, items[name]
    matches = by_bare_name(name, items)
    if len(matches) == 1:
        return matches[0], items[matches[0]]
    reason = "" if matches else refusal(name, refused or {})
    message = f"not offered: {name!r}; {reason}" if reason else _missing(name, matches, items)
    problems.append(Problem(field=field, message=message))
    return None


def refusal(name: str, refused: Mapping[str, str]) -> str:
    """Why a network that goes by this name, or by it behind its plugin's, is not offered; empty where none does."""
    return next((reason for key, reason in refused.items() if name in (key, key.partition("/")[2])), "")


def _missing(name: str, matches: list[str], known: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = list(known)
    if matches:
        return f"{name!r} is in more than one plugin: {', '.join(matches)}"
    bare = {key.partition("/")[2]: key for key in names}
    near = get_close_matches(name, names, n=1) or [bare[key] for key in get_close_matches(name, list(bare), n=1)]
    if near:
        return f"unknown: {name!r}; did you mean {near[0]}?"
    known = ", ".join(sorted(names)) if len(names) <= _MOST_NAMED else f"{len(names)} names; `tlstudio plugins list` has them"
    return f"unknown: {name!r}; known: {known}"


def _options(model: type[Options], given: Mapping[str, Any], prefix: str, problems: list[Problem]) -> Options | None:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        known = tuple(f"{prefix}.{field}" for field in model.model_fields)
        problems.extend(problems_of(error, prefix=f"{prefix}.", known=known))
        return None
