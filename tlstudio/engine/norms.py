"""Batch-norm statistics taken anew: the mean over some batches of the weights as they are, instead of a running average.

While weights learn, the running average mixes statistics of older weights in; with small batches or few steps it lags (Wu and
Johnson 2021, Rethinking "batch" in BatchNorm, section 3).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextlib.contextmanager
def taken_anew(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Batches that run inside decide the statistics of these layers, each batch to the same share.

    Inside, the layers normalise by the statistics of the batch; afterwards they are in eval mode. Without a single batch their
    statistics are as before.
    """
    norms = [layer for layer in layers if isinstance(layer, _NormBase) and layer.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    before = [{name: buffer.clone() for name, buffer in norm.named_buffers(recurse=False)} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
        norm.train()
    try:
        yield
    finally:
        for norm, momentum, buffers in zip(norms, momenta, before, strict=True):
            norm.eval()
            norm.momentum = momentum
            seen = norm.num_batches_tracked is not None and bool(norm.num_batches_tracked)
            if not seen:
                for name, buffer in norm.named_buffers(recurse=False):
                    buffer.copy_(buffers[name])
