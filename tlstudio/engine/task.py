"""What is learned: the loss, the target and the metrics of a task. Classification; other tasks can stand beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from tlstudio.engine.random import step_generator


@dataclass(frozen=True, kw_only=True)
class Classification:
    """One of several classes for each image."""

    label_smoothing: float = 0.0

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy, mean over the batch: ``(N, C)`` float logits and ``(N,)`` int64 classes to a float32 scalar."""
        return functional.cross_entropy(logits.float(), target, label_smoothing=self.label_smoothing)


def mixed(x: Tensor, alpha: float, seed: int, step: int) -> tuple[Tensor, Tensor, float]:
    """Mixup: each input of a batch mixed with another one of it; the order of the others, and the share of the first.

    Of images as they enter the network (Zhang et al. 2018); of features, where its beginning is frozen (manifold mixup, Verma
    et al. 2019). The share is drawn from Beta(alpha, alpha) for the whole batch, by the step's own generator.
    """
    rng = step_generator(seed, step)
    share = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return torch.lerp(x[other], x, share), other, share


@dataclass
class Totals:
    """Sums of loss and hits over images, kept on the device so that no step waits for it."""

    device: torch.device
    loss: Tensor = field(init=False)
    correct: Tensor = field(init=False)
    count: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Start at zero."""
        self.loss = torch.zeros((), dtype=torch.float64 if self.device.type != "mps" else torch.float32, device=self.device)
        self.correct = torch.zeros((), dtype=torch.int64, device=self.device)
        self.count = torch.zeros((), dtype=torch.int64, device=self.device)

    def add(self, loss: Tensor, logits: Tensor, target: Tensor) -> None:
        """Count a batch: mean loss, logits ``(N, C)``, target ``(N,)``."""
        n = len(target)
        self.loss += loss.detach() * n
        self.correct += (logits.detach().argmax(1) == target).sum()
        self.count += n

    def metrics(self) -> dict[str, float]:
        """``loss`` and ``accuracy`` (a fraction) over all images counted; waits for the device."""
        count = int(self.count)
        return {"loss": float(self.loss) / count, "accuracy": int(self.correct) / count} if count else {}
