"""Gradients and batch norm over several processes: torch's DistributedDataParallel around what learns."""

from __future__ import annotations

import types

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from tlstudio.engine.split import SplitModel


class Together(nn.Module):
    """`SplitModel.suffix` whose gradients are the mean over all processes. Made anew whenever what learns has changed.

    Args:
        model: this process's; afterwards it starts from the values of the first process.
        learning: the modules behind the cut.
    """

    def __init__(self, model: SplitModel, learning: list[nn.Module]) -> None:
        super().__init__()
        sync_batch_norm(learning)
        device = model.place.device
        self.inner = DistributedDataParallel(
            _Suffix(model, learning), device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, C)`` for this process's part of the batch."""
        logits: Tensor = self.inner(x)
        return logits


class _Suffix(nn.Module):
    def __init__(self, model: SplitModel, learning: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(learning)
        self._suffix = model.suffix

    def forward(self, x: Tensor) -> Tensor:
        return self._suffix(x)


def sync_batch_norm(modules: list[nn.Module]) -> None:
    """Let the batch norms in here take their statistics over the batches of all processes, as one process would.

    torch's own SyncBatchNorm knows GPUs only, and is another class of module.
    """
    for module in modules:
        for norm in module.modules():
            if type(norm) is nn.BatchNorm2d or type(norm) is nn.BatchNorm1d:
                norm.forward = types.MethodType(_global_batch_norm, norm)  # type: ignore[method-assign]


def _global_batch_norm(norm: nn.BatchNorm2d | nn.BatchNorm1d, x: Tensor) -> Tensor:
    if not norm.training:
        usual: Tensor = type(norm).forward(norm, x)
        return usual
    dims = [0, *range(2, x.ndim)]
    shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
    own = torch.cat([x.float().sum(dims), x.new_tensor([x.numel() / x.shape[1]], dtype=torch.float32)])
    totals = _sum(own)
    mean, n = totals[:-1] / totals[-1], totals[-1].detach()
    centred = x - mean.view(shape)
    variance = _sum(centred.float().square().sum(dims)) / n
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            assert norm.num_batches_tracked is not None
            norm.num_batches_tracked += 1
            share = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean.detach(), share)
            norm.running_var.lerp_(variance.detach() * n / (n - 1.0), share)
    normal = centred * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        normal = normal * norm.weight.view(shape) + norm.bias.view(shape)
    result: Tensor = normal.to(x.dtype)
    return result


def _sum(tensor: Tensor) -> Tensor:
    """The sum over all processes, in both directions of the computation."""
    total: Tensor = all_reduce(tensor)  # type: ignore[no-untyped-call]
    return total
