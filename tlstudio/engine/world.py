"""The processes that train one model together, as ``torchrun`` starts them: who this one is, and what they tell each other.

    torchrun --nproc-per-node=2 -m tlstudio train FOLDER

A process on its own is a world of one, in which nothing is told and torch is not needed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among ``size``; the one of rank 0 tells what happens and writes the files.

    Args:
        rank: from 0.
        size: how many there are.
        local_rank: the same on this machine: the number of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> World:
        """As ``torchrun`` has told by environment variables; alone where it has not."""
        environment = os.environ if environment is None else environment
        if "TORCHELASTIC_RUN_ID" not in environment:
            return cls()
        rank, size, local_rank = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return cls(rank=rank, size=size, local_rank=local_rank)

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this is the one that tells and writes."""
        return self.rank == 0

    def join(self, device: torch.device) -> None:
        """Meet the others, by NCCL on GPUs and Gloo elsewhere; waits for all of them."""
        if self.alone:
            return
        import torch
        import torch.distributed as dist

        if device.type == "cuda":
            torch.cuda.set_device(device)  # NCCL sends what is no tensor through the current one
        if not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def leave(self) -> None:
        """Part from the others."""
        if self.alone:
            return
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()

    def wait(self) -> None:
        """Until all of them are here."""
        self.from_first(None)

    def from_first(self, value: _Value) -> _Value:
        """What the first process has, in all of them: any value that pickles. Waits for all."""
        if self.alone:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def add(self, *tensors: Tensor) -> None:
        """Replace each tensor by the sum of those in all processes."""
        if self.alone:
            return
        import torch.distributed as dist

        for tensor in tensors:
            dist.all_reduce(tensor)

    def highest(self, number: int, device: torch.device) -> int:
        """The highest number that any process has."""
        if self.alone:
            return number
        import torch
        import torch.distributed as dist

        tensor = torch.tensor(number, device=device)
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor)

    def each(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes by rank; they may differ in their first dimension."""
        if self.alone:
            return [tensor]
        import torch
        import torch.distributed as dist

        found = []
        for rank in range(self.size):
            rows = torch.tensor(len(tensor), device=tensor.device)
            dist.broadcast(rows, src=rank)
            part = tensor.contiguous() if rank == self.rank else tensor.new_empty((int(rows), *tensor.shape[1:]))
            dist.broadcast(part, src=rank)
            found.append(part)
        return found
