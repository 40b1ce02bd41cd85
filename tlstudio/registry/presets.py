"""Presets by situation: what to train, by how many images there are and how near they are to those the weights have seen.

The four quarters of the tutorials' advice (few or many images, close or far) and the start from random values. Which strategy
each takes was chosen by measurement (`tests/benchmarks/strategies.py`). Knows no torch: `tlstudio.engine.likeness` looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tlstudio.api.config import AUTO_STRATEGY, TrainConfig

WHAT_LEARNS = "freezing.strategy"
"""The setting that every preset has."""

MANY = 1000
MANY_A_CLASS = 100
"""Training images, in all and of the rarest half of the classes, from which on they count as many."""

CLOSE = 0.5
"""Likeness from which on images count as close. Found: ants and bees 0.74, blood cells 0.42, CIFAR-10 0.20, textiles 0.05."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What a choice of settings can go by.

    Args:
        images: training images.
        a_class: of them in a typical class (the median).
        pretrained: whether the network starts from trained weights.
        signs: why the images are plainly unlike photographs; empty where they are not.
        likeness: how sure the pretrained network is, 0 to 1, of what it sees in them; ``None`` where nobody has looked.
    """

    images: int
    a_class: int
    pretrained: bool
    signs: str = ""
    likeness: float | None = None

    @property
    def many(self) -> bool:
        """Whether there are enough images to change much of a network by them."""
        return self.images >= MANY and self.a_class >= MANY_A_CLASS

    @property
    def far(self) -> bool:
        """Whether the images are of another kind than those that the weights were trained on."""
        return bool(self.signs) or (self.likeness is not None and self.likeness < CLOSE)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings for one situation, by their dotted names, and when they are right in one plain sentence."""

    name: str
    title: str
    about: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, config: TrainConfig) -> TrainConfig:
        """The configuration with these settings, where it does not say something else than the defaults do."""
        values = config.model_dump(mode="python")
        for name, value in self.missing(lambda name: _setting(values, name)).items():
            section, key = name.split(".")
            values[section][key] = value
        return TrainConfig.model_validate(values)

    def missing(self, value: Callable[[str], Any]) -> dict[str, Any]:
        """Those of these settings that are at their defaults still, by dotted names.

        Args:
            value: what a setting is now.
        """
        usual = TrainConfig().model_dump(mode="python")
        return {name: wanted for name, wanted in self.settings.items() if value(name) == _setting(usual, name)}


PRESETS = (
    Preset(
        name="few-close",
        title="Few images, close to photographs",
        about="The network knows such pictures already: only the head learns, which is quick and hard to spoil.",
        settings={"freezing.strategy": "freezing/head-only"},
    ),
    Preset(
        name="few-far",
        title="Few images of another kind",
        about="What the network knows stays and is corrected in every layer: small matrices beside its weights learn (LoRA).",
        settings={"freezing.strategy": "freezing/lora"},
    ),
    Preset(
        name="many-close",
        title="Many images, close to photographs",
        about="Enough images to adapt the last stages, and no need to change the early ones.",
        settings={"freezing.strategy": "freezing/last-stages"},
    ),
    Preset(
        name="many-far",
        title="Many images of another kind",
        about="Enough images to change the whole network, and reason to: everything learns, more slowly than the head.",
        settings={"freezing.strategy": "freezing/full"},
    ),
    Preset(
        name="scratch",
        title="From random values",
        about="Nothing was learned before: everything learns at the full rate; it takes many images and epochs.",
        settings={"freezing.strategy": "freezing/full", "model.weights": "none", "augment.preset": "strong"},
    ),
)


def _setting(values: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    section, key = name.split(".")
    return values[section][key]


def preset_for(situation: Situation) -> Preset:
    """The preset for a situation."""
    if not situation.pretrained:
        return find_preset("scratch")
    return find_preset(f"{'many' if situation.many else 'few'}-{'far' if situation.far else 'close'}")


def find_preset(name: str) -> Preset:
    """A preset by its name; `KeyError` where there is none."""
    found = next((preset for preset in PRESETS if preset.name == name), None)
    if found is None:
        raise KeyError(name)
    return found


def is_automatic(config: TrainConfig) -> bool:
    """Whether the program chooses what learns."""
    return config.freezing.strategy == AUTO_STRATEGY


def why(situation: Situation) -> str:
    """The situation in one sentence, for the user."""
    number = f"{situation.images:,} training images are {'many' if situation.many else 'few'}"
    if not situation.pretrained:
        return f"{number}, and there are no trained weights to start from."
    if situation.signs:
        return f"{number}, and they are unlike the photographs that the weights were trained on: {situation.signs}."
    if situation.likeness is None:
        return f"{number}."
    sure = f"the network is {100 * situation.likeness:.0f} % sure of what it sees in them"
    kind = "unlike" if situation.far else "like"
    return f"{number}, and they are {kind} the photographs that the weights were trained on: {sure}."
