"""Fewer images at a time where the memory does not suffice for all of them, and words where it does not suffice at all."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from torch import Tensor

from tlstudio.api.errors import UserError
from tlstudio.engine.device import Place
from tlstudio.engine.failure import is_out_of_memory


class Fitting:
    """Runs networks that do not learn, where one image does not depend on the others, on as many images as fit at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._most: int | None = None
        self._told: int | None = None

    def run(self, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The network's output for ``(N, …)``; the images are halved as often as it takes, and so for what comes later."""
        while True:
            try:
                if self._most is None or len(x) <= self._most:
                    return network(x)
                return torch.cat([network(x[start : start + self._most]) for start in range(0, len(x), self._most)])
            except Exception as error:
                at_once = min(len(x), self._most or len(x))
                if at_once < 2 or not is_out_of_memory(error):
                    raise
            self._most = at_once // 2  # not within the handler: what it holds are the tensors that were too many
            free_memory(self._place)

    def news(self) -> str:
        """A sentence when fewer images fit than the last time; else empty."""
        if self._most == self._told:
            return ""
        self._told = self._most
        return (f"There is not enough memory to look at more than {self._most} images at once: they are looked at in parts, "
                "with the same result.")  # fmt: skip


def free_memory(place: Place) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if place.device.type == "cuda":
        torch.cuda.empty_cache()


def no_memory(images: int, side: int, detail: str) -> UserError:
    """The end of a run whose batches do not fit.

    Args:
        images: the fewest that were tried at once.
        side: of an image in pixels.
        detail: what the device said.
    """
    smaller = [f"run.batch_size={images // 2}"] if images >= 4 else []  # batch norm cannot learn from a single image
    smaller += [f"data.image_size={max(32, side * 7 // 10 // 32 * 32)}"] if side > 32 else []
    other = f", or train anew with {' or '.join(smaller)}" if smaller else ""
    return UserError(
        f"There is not enough memory for {images} images of {side} pixels at once.",
        detail=detail,
        hint=f"Close other programs that use the memory and go on with this run{other}.",
    )
