"""Numbers for an untrained network with which every layer of it counts.

A fresh network hides layers: a classifier of zeros hides all of them, a last norm of zeros or a layer scale of 1e-6 its block.
Here its activations neither vanish nor explode, however deep it is: what its author drew at an ordinary size is kept, and batch
norm gets statistics near those of what it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_WEAK = 0.7
"""A layer's weights that pass less of a signal's size on than this share are drawn anew."""
_TINY, _SMALL, _LARGE = 0.01, 0.1, 10.0
_BIAS = 0.1
_SHIFT = 0.1
_EVEN = 1e-3


def fill_parameters(module: nn.Module) -> None:
    """Replace zeros, tiny numbers and constants in all parameters, in place.

    Weights of more than one axis become normal numbers that keep the size of a signal (LeCun et al., 1998), biases normal ones
    of 0.1, and all other vectors numbers from 0.5 to 1.5 times what they were, or from 0.5 to 1.5 where that was next to zero.
    """
    import torch

    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if parameter.is_floating_point() and parameter.numel():
                _fill(key, parameter)


def _fill(key: str, parameter: Tensor) -> None:
    size = float(parameter.abs().mean())
    constant = float(parameter.max() - parameter.min()) <= _EVEN * size
    if parameter.ndim and parameter.numel() > max(parameter.shape):
        inputs = parameter.numel() // len(parameter) if len(parameter) > 1 else parameter.shape[-1]  # of a token: its length
        if constant or float(parameter.std()) * inputs**0.5 < _WEAK:
            parameter.normal_(0, inputs**-0.5)
    elif constant or size < _TINY:
        if key.endswith("bias"):
            parameter.normal_(0, _BIAS)
        elif _SMALL <= size <= _LARGE:
            parameter.mul_(parameter.new_empty(parameter.shape).uniform_(0.5, 1.5))
        else:
            parameter.uniform_(0.5, 1.5)


def fill_statistics(module: nn.Module, images: Tensor) -> None:
    """Give every batch norm random statistics around those of what it is given for the images, in eval mode.

    The variance is around that of all channels together: a channel's own would be of very few numbers where the map is small,
    and could be next to zero.
    """
    import torch

    def fill(norm: Any, given: tuple[Tensor, ...]) -> None:
        mean, variance = norm.running_mean, norm.running_var
        values = given[0].detach().transpose(0, 1).flatten(1)
        typical = float(values.var(1).mean()) + float(norm.eps)
        mean.copy_(values.mean(1) + _SHIFT * typical**0.5 * torch.randn_like(mean))
        variance.uniform_(0.5 * typical, 1.5 * typical)

    kind = torch.nn.modules.batchnorm._BatchNorm
    norms = [layer for layer in module.modules() if isinstance(layer, kind) and layer.running_mean is not None]
    hooks = [norm.register_forward_pre_hook(fill) for norm in norms]
    try:
        with torch.no_grad():
            module.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
