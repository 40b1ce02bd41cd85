"""Early stopping: how long nothing has become better, and whether that is long enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass
class Patience:
    """Waits for a better epoch.

    Args:
        epochs: how many it bears without one; 0 for any number.
        min_delta: by how much the accuracy must be higher than at the last gain; 0 where any better epoch is a gain.
    """

    epochs: int
    min_delta: float = 0.0
    waited: int = 0
    reference: float = -math.inf
    """The accuracy at the last gain."""

    @property
    def over(self) -> bool:
        """Whether it is at an end."""
        return 0 < self.epochs <= self.waited

    def hear(self, accuracy: float, *, better: bool, settled: bool) -> None:
        """Take in an epoch.

        Args:
            accuracy: a fraction.
            better: whether the epoch is better than all before it.
            settled: whether what learns will not change any more; before that, no epoch counts as waiting.
        """
        gained = better and accuracy >= self.reference + self.min_delta
        if gained:
            self.reference = accuracy
        self.waited = 0 if gained or not settled else self.waited + 1

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"waited": self.waited, "reference": self.reference}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.waited, self.reference = int(state["waited"]), float(state["reference"])
