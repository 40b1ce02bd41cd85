"""What is compared: each job, and who takes part in it with which command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from measure import ROOT

HERE = Path(__file__).resolve().parent
PHOTOS = ROOT.parent / "shared" / "data" / "hymenoptera"
CIFAR = ROOT.parent / "shared" / "data" / "cifar10-images.zip"

LITE0, RESNET = "tf_efficientnet_lite0", "resnet18"
TLSTUDIO = "tlstudio"
_HEAD_ONLY = "freezing.strategy=freezing/head-only"
VIEWS = 4
"""What `augment.views` is by default: in so many epochs a frozen beginning is computed, later ones come from the cache."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user of the comparison chooses; folders are made by `compare.py`."""

    data: Path
    weights: Path
    epochs: int
    cifar: Path
    """A folder with train and val; beside it one that ends in ``-tenth``."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """Somebody who takes part.

    Args:
        command: arguments of Python; ``{seed}`` stands for the number of the round.
        needs: a package that must be installed.
        home: of tlstudio: a new one, or the one that the round before it has left.
        half: whether it computes in bfloat16, which a processor that has none emulates: an epoch takes ten times as long.
        steady: the first epoch (from 0) that is like all later ones.
        times: where only a part was run, how many times as long the whole takes (of the epochs, not of the start).
    """

    name: str
    command: tuple[str, ...]
    needs: str = ""
    half: bool = False
    home: Literal["fresh", "used"] = "fresh"
    steady: int = 1
    times: float = 1.0

    @property
    def shown(self) -> str:
        """The command as a reader would type it, without paths of this machine."""
        words = self.command[1:] if self.command[0] == "-m" else ("python", *self.command)
        return " ".join(_short(word) for word in words)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A comparison: whether the whole process counts or an epoch later than the first."""

    name: str
    title: str
    about: str
    measure: Literal["wall", "steady", "facts"]
    contestants: Callable[[Settings], list[Contestant]]


def _peer(name: str, script: str, settings: Settings, *more: str, epochs: int, network: str = LITE0, needs: str = "timm",
          learns: str = "head") -> Contestant:  # fmt: skip
    weights = str(settings.weights) if network == LITE0 else "none"
    command = (str(HERE / "peers" / script), str(settings.data), weights, "--network", network, "--learns", learns, "--epochs",
               str(epochs), "--seed", "{seed}", *more)  # fmt: skip
    return Contestant(name=name, command=command, needs=needs, half="--bf16" in more)


def _studio(settings: Settings, *overrides: str, epochs: int, name: str = TLSTUDIO, home: Literal["fresh", "used"] = "fresh",
            steady: int = 1) -> Contestant:  # fmt: skip
    command = ("-m", "tlstudio", "train", str(settings.data), *overrides, f"run.epochs={epochs}", "run.seed={seed}", "--json")
    return Contestant(name=name, command=command, home=home, steady=steady)


def _probe(settings: Settings) -> list[Contestant]:
    epochs = settings.epochs
    return [
        _peer("tutorial loop", "tutorial.py", settings, epochs=epochs),
        _peer("Lightning", "lightning_fit.py", settings, epochs=epochs, needs="lightning"),
        _peer("timm-style script", "timm_style.py", settings, epochs=epochs),
        _peer("fastai", "fastai_fit.py", settings, epochs=epochs, needs="fastai"),
        _studio(settings, _HEAD_ONLY, epochs=epochs, name="tlstudio, first run"),
        _studio(settings, _HEAD_ONLY, epochs=epochs, name="tlstudio, next run", home="used"),
    ]


def _last_stage(settings: Settings) -> list[Contestant]:
    return [
        _peer("tutorial loop", "tutorial.py", settings, epochs=min(2, settings.epochs), learns="last"),
        _studio(
            settings, "freezing.strategy=last-stages", "freezing.options.k=2", epochs=VIEWS + settings.epochs, steady=VIEWS
        ),
    ]


def _full(network: str) -> Callable[[Settings], list[Contestant]]:
    def contestants(settings: Settings) -> list[Contestant]:
        common = {"epochs": min(2, settings.epochs), "network": network, "learns": "all"}
        model = [] if network == LITE0 else ["model.backbone=torchvision/resnet18", "model.weights=none"]
        studio = ["freezing.strategy=full", "augment.preset=light"]
        return [
            _peer("tutorial loop", "tutorial.py", settings, **common),
            _peer("Lightning, float32", "lightning_fit.py", settings, needs="lightning", **common),
            _peer("Lightning, bf16-mixed", "lightning_fit.py", settings, "--bf16", needs="lightning", **common),
            _peer("timm-style script", "timm_style.py", settings, **common),
            _peer("timm-style, bf16, channels last", "timm_style.py", settings, "--bf16", **common),
            _peer("fastai", "fastai_fit.py", settings, needs="fastai", **common),
            _studio(settings, *model, *studio, epochs=min(3, settings.epochs)),
        ]

    return contestants


def _limit(backbone: str, weights: str) -> Callable[[Settings], list[Contestant]]:
    def contestants(settings: Settings) -> list[Contestant]:
        command = (str(HERE / "limit.py"), str(settings.data), "--backbone", backbone, "--weights", weights,
                   "--epochs", str(min(3, settings.epochs)), "--seed", "{seed}")  # fmt: skip
        return [Contestant(name=TLSTUDIO, command=command)]

    return contestants


def _cifar(settings: Settings) -> list[Contestant]:
    tenth = settings.cifar.with_name(settings.cifar.name + "-tenth")
    peer = (str(HERE / "peers" / "tutorial.py"), str(tenth), str(settings.weights), "--epochs", "1", "--seed", "{seed}")
    studio = (
        "-m",
        "tlstudio",
        "train",
        str(settings.cifar),
        _HEAD_ONLY,
        f"run.epochs={settings.epochs}",
        "run.seed={seed}",
        "--json",
    )
    return [
        Contestant(name="tutorial loop, scaled", command=peer, needs="timm", times=10.0 * settings.epochs),
        Contestant(name=TLSTUDIO, command=studio),
    ]


def _overhead(settings: Settings) -> list[Contestant]:
    return [
        Contestant(
            name=title,
            command=(str(HERE / "overhead.py"), str(settings.data), variant, "--epochs", str(min(3, settings.epochs)),
                     "--seed", "{seed}"),
        )
        for variant, title in (("bare", "the loop alone"), ("recorded", "terminal"), ("window", "window"))
    ]  # fmt: skip


JOBS = {
    job.name: job
    for job in (
        Job(
            name="probe", title="Only the head learns", measure="wall", contestants=_probe,
            about="Ants and bees, EfficientNet-Lite0 with its ImageNet weights, from the start of the process to its end.",
        ),
        Job(
            name="last-stage", title="The last stage and the head learn", measure="steady", contestants=_last_stage,
            about="The same data and network, its last block and everything behind it. tlstudio computes what is frozen for "
            f"{VIEWS} varied views of each image, one in each of its first {VIEWS} epochs; an epoch after those is compared.",
        ),
        Job(
            name="full", title="Everything learns, EfficientNet-Lite0", measure="steady", contestants=_full(LITE0),
            about="The same data and network; an epoch after the first.",
        ),
        Job(
            name="full-resnet18", title="Everything learns, ResNet-18", measure="steady", contestants=_full(RESNET),
            about="The same data, from random weights everywhere, since only the speed counts; an epoch after the first.",
        ),
        Job(
            name="limit", title="The processor's limit, EfficientNet-Lite0", measure="facts",
            contestants=_limit("timm/tf_efficientnet_lite0", "auto"), about="",
        ),
        Job(
            name="limit-resnet18", title="The processor's limit, ResNet-18", measure="facts",
            contestants=_limit("torchvision/resnet18", "none"), about="",
        ),
        Job(
            name="cifar", title="Only the head learns, many images", measure="wall", contestants=_cifar,
            about="CIFAR-10 as image files, enlarged to the 224 pixels of the network; the whole process. The "
            "tutorials' loop runs for one epoch on a tenth of the images, which is scaled.",
        ),
        Job(
            name="overhead", title="What recording and showing a run costs", measure="facts", contestants=_overhead, about="",
        ),
    )
}  # fmt: skip


def _short(word: str) -> str:
    if word == "{seed}" or word.endswith("={seed}"):
        return word.replace("{seed}", "0")
    path = Path(word)
    if not path.is_absolute():
        return word
    if path.is_relative_to(HERE):
        return str(path.relative_to(ROOT))
    return "WEIGHTS" if path.suffix == ".pth" else path.name if path.name.startswith("cifar") else "DATA"
