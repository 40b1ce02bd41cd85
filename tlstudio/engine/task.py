"""What is learned: the loss, the target and the metrics of a task. Classification; other tasks can stand beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tlstudio.api.config import AugmentConfig
from tlstudio.engine.random import step_generator


@dataclass(frozen=True, kw_only=True, eq=False)
class Classification:
    """One of several classes for each image.

    Args:
        label_smoothing: share of the target that goes to all classes alike.
        weights: ``(C,)`` what an image of each class counts in training, 1 on average over the training images.
    """

    label_smoothing: float = 0.0
    weights: Tensor | None = None

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, mean over the batch: ``(N, C)`` float logits and ``(N,)`` int64 classes to a float32 scalar."""
        return functional.cross_entropy(logits.float(), target, label_smoothing=self.label_smoothing)

    def objective(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss to learn from, by class weights where there are any.

        It is divided by the number of images, not by their weights: the parts of a batch then add up to the whole.
        """
        if self.weights is None:
            return self.loss(logits, target)
        total = functional.cross_entropy(logits.float(), target, weight=self.weights, label_smoothing=self.label_smoothing,
                                         reduction="sum")  # fmt: skip
        return total / len(target)


@dataclass(frozen=True)
class Mixture:
    """A batch of which each input is mixed with another one of it: the order of the others, and the share of the first."""

    x: Tensor
    other: Tensor
    own: float

    def loss(self, task: Classification, logits: Tensor, target: Tensor, rows: slice = slice(None)) -> Tensor:
        """What to learn from: either target, by its share; of some rows of the batch, whose logits these are."""
        other = task.objective(logits, target[self.other][rows])
        return self.own * task.objective(logits, target[rows]) + (1.0 - self.own) * other


def mix(x: Tensor, augment: AugmentConfig, seed: int, step: int, *, images: bool) -> Mixture | None:
    """Mixup or CutMix of a batch as it enters what learns; ``None`` where neither is wanted.

    Mixup of images (Zhang et al. 2018), or of features where the network's beginning is frozen (manifold mixup, Verma et al.
    2019). CutMix (Yun et al. 2019) of images; features are mixed up instead. All is drawn by the step's own generator, once
    for the whole batch.

    Args:
        x: ``(N, 3, H, W)`` images or the features of some.
        images: which of these it is.
    """
    if not (augment.mixup or augment.cutmix):
        return None
    rng = step_generator(seed, step)
    cuts = augment.cutmix > 0.0 and images and (not augment.mixup or rng.random() < 0.5)
    alpha = augment.cutmix if cuts or not augment.mixup else augment.mixup
    share = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    if not cuts:
        return Mixture(torch.lerp(x[other], x, share), other, share)
    top, left, bottom, right = draw_box(x.shape[2], x.shape[3], share, rng)
    mixed = x.clone()
    mixed[:, :, top:bottom, left:right] = x[other, :, top:bottom, left:right]
    return Mixture(mixed, other, 1.0 - (bottom - top) * (right - left) / (x.shape[2] * x.shape[3]))


def draw_box(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a rectangle of ``1 - share`` of the area about a random pixel, less what lies outside."""
    half = 0.5 * math.sqrt(1.0 - share)
    x, y = int(rng.integers(width)), int(rng.integers(height))
    across, along = int(half * width), int(half * height)
    return max(0, y - along), max(0, x - across), min(height, y + along), min(width, x + across)


@dataclass
class Totals:
    """Sums of loss and hits over images, kept on the device so that no step waits for it.

    Args:
        device: where they are kept.
        classes: how many classes to tell apart, for the balanced accuracy; by default none.
    """

    device: torch.device
    classes: int = 0
    loss: Tensor = field(init=False)
    correct: Tensor = field(init=False)
    count: Tensor = field(init=False)
    hits: Tensor = field(init=False)
    """``(C, 2)`` of each class, the images that were recognised, and all; float32, exact for millions of images."""

    def __post_init__(self) -> None:
        """Start at zero."""
        self.loss = torch.zeros((), dtype=torch.float64 if self.device.type != "mps" else torch.float32, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self.count = torch.zeros((), dtype=torch.int64, device=self.device)
        self.hits = torch.zeros((self.classes, 2), dtype=torch.float32, device=self.device)

    def add(self, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """Count a batch: mean loss, logits ``(N, C)``, target ``(N,)``."""
        n = len(target)
        self.loss += loss.detach() * n
        right = logits.detach().argmax(1) == target
        self.correct += right.sum()
        self.count += n
        if self.classes:
            self.hits.index_add_(0, target, torch.stack([right, torch.ones_like(right)], 1).float())

    @property
    def sums(self) -> tuple[Tensor, ...]:
        """All sums, to be added to those of other processes."""
        return (self.loss, self.correct, self.count, *([self.hits] if self.classes else []))

    def metrics(self) -> dict[str, float]:
        """``loss`` and ``accuracy`` (a fraction) over all images counted; waits for the device.

        Where classes are told apart, also ``balanced_accuracy``: the mean over the classes that have images.
        """
        count = int(self.count)
        if not count:
            return {}
        metrics = {"loss": float(self.loss) / count, "accuracy": int(self.correct) / count}
        if self.classes:
            hits = self.hits.cpu().numpy()
            present = hits[:, 1] > 0
            metrics["balanced_accuracy"] = float(np.mean(hits[present, 0] / hits[present, 1]))
        return metrics
