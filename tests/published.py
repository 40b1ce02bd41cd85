"""A small network with a published set of weights, as a plugin would register it; its file is made anew for each test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from tlstudio.api import Backbone, BackboneSpec, Preprocessing, WeightsSpec


class Net(nn.Module):
    def __init__(self, num_classes: int, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.body = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.fc(self.norm(self.body(self.stem(x).relu())).relu().mean((2, 3)))


class Pool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def build(num_classes: int, channels: int = 3) -> Backbone:
    module = Net(num_classes, channels)
    stages = {"stem": nn.Sequential(module.stem, nn.ReLU()), "body": nn.Sequential(module.body, module.norm, nn.ReLU())}
    return Backbone(module=module, stages=stages, head=nn.Sequential(Pool(), module.fc), num_features=16)


def nowhere() -> None:
    """No plugin folder holds the file."""


@dataclass(frozen=True)
class Lab:
    """A published file, and the backbones that know it: by its hash, and by its place on a hub."""

    file: Path
    sha256: str
    backbones: dict[str, BackboneSpec]

    @property
    def spec(self) -> WeightsSpec:
        return self.backbones["test/net"].weights[0]

    @property
    def hub_spec(self) -> WeightsSpec:
        return self.backbones["test/hubnet"].weights[0]


def make_lab(folder: Path, source: str = "https://weights.example/net-v1.pth") -> Lab:
    """Publish a network of seven classes."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "net-v1.pth"
    torch.save(build(7).module.state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    small = Preprocessing(image_size=32, resize=36)
    common = {"preprocessing": small, "num_classes": 7, "licence": "CC-BY-4.0", "locate": nowhere}
    by_hash = WeightsSpec(name="V1", title="A thousand photographs", source=source, sha256=digest[:8], **common)
    by_hub = WeightsSpec(name="a1", title="On the hub", source="https://huggingface.co/lab/net.a1", sha256="", **common)
    backbones = {
        f"test/{name}": BackboneSpec(name=name, title=title, about="For tests.", family="Test", params=1500,
                                     build=partial(build, channels=3), weights=(weights,), preprocessing=small)
        for name, title, weights in (("net", "Net", by_hash), ("hubnet", "Hub net", by_hub))
    }  # fmt: skip
    return Lab(file=file, sha256=digest, backbones=backbones)
