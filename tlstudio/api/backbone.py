"""Backbones: a pretrained network as an ordered list of named stages, and the weights that go with it.

Plain records; torch is named for type checkers only. Running the stages one after another and then the head *is* the
forward pass of the module, and freezing, learning rates and the cache of frozen features all follow from that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor, nn

StateDict = Mapping[str, "Tensor"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How images must be prepared for a set of weights: as they were when the weights were trained.

    The short side is resized to ``resize`` pixels, the centre ``image_size`` x ``image_size`` pixels are cropped, values are
    scaled to 0..1, then ``(value - mean) / std`` for each of red, green, blue.
    """

    image_size: int = 224
    resize: int = 256
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def at(self, image_size: int | None) -> Preprocessing:
        """The same at another input size in pixels, the resize in proportion; ``None`` changes nothing."""
        if image_size is None or image_size == self.image_size:
            return self
        resize = max(image_size, round(image_size * self.resize / self.image_size))
        return Preprocessing(
            image_size=image_size, resize=resize, interpolation=self.interpolation, mean=self.mean, std=self.std
        )


@dataclass(frozen=True, kw_only=True)
class WeightsSpec:
    """A published set of weights, described without importing torch.

    Args:
        name: short, unique within the backbone, such as ``IMAGENET1K_V1``.
        title: for people, such as "ImageNet-1k, 1.28 million photographs".
        source: where the file comes from: a URL or the name of a package.
        sha256: of the file: all 64 hex digits, or the leading ones where the publisher gives only those; empty where none.
        preprocessing: how the weights expect images.
        locate: the file on this machine, or ``None``; it looks, it never fetches.
        trained_on: the data set.
        num_classes: how many classes the head of the file has; 0 when it has none.
        metrics: published figures, such as ``{"ImageNet top-1": 0.698}``; fractions, not per cent.
        licence: of the weights.
        adapt: renames the file's keys into the names of the network as its library builds it.
    """

    name: str
    title: str
    source: str
    sha256: str
    preprocessing: Preprocessing
    locate: Callable[[], Path | None]
    trained_on: str = "ImageNet-1k"
    num_classes: int = 1000
    metrics: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""
    adapt: Callable[[StateDict], StateDict] | None = None


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A built network, seen as stages and a head.

    Args:
        module: the network as its library builds it; ``module(x)`` maps ``(N, 3, H, W)`` float32 to ``(N, classes)`` logits.
        stages: name -> view into ``module``, in forward order; every parameter of ``module`` is in exactly one of them or in
            the head. A view may be an ``nn.Sequential`` over the module's own children; it must not own parameters.
        head: the rest: pooling, dropout and the last layer. An ``nn.Sequential`` lets its parameter-free beginning be cached.
        num_features: the length of the vector that enters the last layer.
        adapters: names in ``module`` of parameters that a freezing strategy has added; a plugin's ``build`` leaves it empty.
    """

    module: nn.Module
    stages: Mapping[str, nn.Module]
    head: nn.Module
    num_features: int
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """What a plugin registers for a backbone; listing it must not import torch.

    Args:
        name: unique within the plugin, lower case, such as ``resnet18``; users see ``plugin/name``.
        title: as in the field, such as "ResNet-18".
        about: one plain sentence: what it is good for; name the paper and year.
        family: for grouping, such as "ResNet".
        params: parameter count with the ImageNet head.
        build: ``build(num_classes) -> Backbone`` with random weights; torch is imported inside.
        weights: the published sets, the one to use by default first; may be empty.
        licence: of the architecture's code.
        preprocessing: used where no weights are loaded.
        flops: multiply-adds for one image of the size in ``preprocessing``, as papers count them; 0 where it is not known.
        fixed_size: the network takes images of the size in its preprocessing only, as a ViT with learned positions does.
        size_step: the size of its images must be a multiple of it, as where windows have to fit.
        yields_name: where another plugin has a network of this name, the name without a plugin means that one.
    """

    name: str
    title: str
    about: str
    family: str
    params: int
    build: Callable[[int], Backbone]
    weights: tuple[WeightsSpec, ...] = ()
    licence: str = ""
    preprocessing: Preprocessing = Preprocessing()
    flops: int = 0
    fixed_size: bool = False
    size_step: int = 1
    yields_name: bool = False

    def size_problem(self, image_size: int | None) -> str:
        """Why images of this size in pixels are nothing for the network; empty where they are, and for ``None``."""
        only = self.preprocessing.image_size
        if image_size is None or image_size == only:
            return ""
        if self.fixed_size:
            return f"{self.title} takes images of {only} pixels only"
        if image_size % self.size_step:
            return f"{self.title} takes images whose size is a multiple of {self.size_step} pixels"
        return ""


@dataclass(frozen=True, kw_only=True)
class RefusedBackbone:
    """A network that a plugin's library has and the plugin does not offer, so that who asks for it learns why.

    Args:
        name: as the backbone would be called; with a dot and the name of a set, it is one set of weights.
        reason: a clause without a full stop, such as "it gives no logits".
    """

    name: str
    reason: str
