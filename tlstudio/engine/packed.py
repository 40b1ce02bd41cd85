"""Convolutions with weights laid out for the CPU beforehand, their activation and residual sum computed in the same pass.

The only module that calls torch's private ``torch.ops.mkldnn`` operators, the ones that `torch.compile` calls. They may change
with any version of torch and are not everywhere: `packed` compares every stage with the original and keeps the folded or the
plain one where they are missing, refuse, or differ.
"""

from __future__ import annotations

import operator
from collections import Counter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tlstudio.engine.fold import fold_norms, module_of, rebuilt

_BATCH = 32  # what the layout is chosen for; other batches give the same values
_ADDING = (operator.add, operator.iadd, torch.add)
_FUNCTIONS: dict[Any, tuple[str, list[float]]] = {
    torch.relu: ("relu", []),
    functional.relu: ("relu", []),
    functional.relu6: ("hardtanh", [0.0, 6.0]),
    functional.hardswish: ("hardswish", []),
    functional.silu: ("swish", []),
}


def available() -> bool:
    """Whether this torch has the operators."""
    operators = torch.ops.mkldnn
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and all(hasattr(operators, name) for name in names)


def packed(prefix: nn.Sequential, x: Tensor, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A copy of the stages for inference on the CPU, for images of this size; same values.

    Args:
        prefix: the stages in forward order; put into eval mode.
        x: real input ``(N, C, H, W)`` of the first stage, float32 on the CPU.
        dtype: of the convolutions; for bfloat16 the copy must run under autocast.
    """
    autocast = None if dtype == torch.float32 else dtype

    def pack(graph: fx.GraphModule) -> None:
        fold_norms(graph)
        _pack(graph, dtype)

    ways = (pack, fold_norms) if available() else (fold_norms,)
    return rebuilt(prefix, x, ways, autocast=autocast)


def is_packed(network: nn.Module) -> bool:
    """Whether any convolution of a network is packed."""
    return any(isinstance(module, PackedConv) for module in network.modules())


class PackedConv(nn.Module):
    """A convolution, then the sum with another tensor, then an activation; the last two where there are any.

    Args:
        conv: the convolution, padded with zeros.
        shape: of its input, ``(N, C, H, W)``; what it was packed for, and it computes other sizes as well.
        activation: name and numbers as oneDNN calls them; ``none`` for none.
        dtype: of weights and output.
    """

    def __init__(
        self, conv: nn.Conv2d, shape: tuple[int, ...], activation: tuple[str, list[float]], dtype: torch.dtype
    ) -> None:
        super().__init__()
        self._dtype = dtype
        self._activation, self._numbers = activation
        padding = [int(side) for side in conv.padding]
        self._geometry = (padding, list(conv.stride), list(conv.dilation), conv.groups)
        weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._geometry, [_BATCH, *shape[1:]])
        self._bias = None if conv.bias is None else conv.bias.detach().to(dtype)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The output ``(N, C', H', W')`` in channels-last order; ``other`` has the same shape."""
        x = x.to(self._dtype)
        convolution = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            result: Tensor = convolution(x, self._weight, self._bias, *self._geometry, self._activation, self._numbers, "")
            return result
        after = None if self._activation == "none" else self._activation
        other = other.to(self._dtype)
        summed: Tensor = convolution.binary(
            x, other, self._weight, self._bias, *self._geometry, "add", 1.0, after, self._numbers, ""
        )
        return summed


def _pack(graph: fx.GraphModule, dtype: torch.dtype) -> None:
    uses = Counter(id(module_of(graph, node)) for node in graph.graph.nodes if node.op == "call_module")
    for node in list(graph.graph.nodes):
        conv = module_of(graph, node)
        if type(conv) is not nn.Conv2d or conv.padding_mode != "zeros" or isinstance(conv.padding, str) or uses[id(conv)] != 1:
            continue
        last, other = node, None
        activation = _activation_after(graph, last)
        if activation is None:
            total = _sum_after(node)
            if total is not None:
                last, other = total
                activation = _activation_after(graph, last)
                if activation is not None and activation[1][0] != "relu":
                    activation = None  # the only one that the operator takes after a sum
        after = ("none", []) if activation is None else activation[1]
        last = last if activation is None else activation[0]
        graph.set_submodule(node.target, PackedConv(conv, node.args[0].meta["shape"], after, dtype))
        with graph.graph.inserting_after(last):
            fused = graph.graph.call_module(node.target, (node.args[0],) if other is None else (node.args[0], other))
        fused.meta["shape"] = last.meta["shape"]
        last.replace_all_uses_with(fused)
        graph.graph.eliminate_dead_code()


def _activation_after(graph: fx.GraphModule, node: fx.Node) -> tuple[fx.Node, tuple[str, list[float]]] | None:
    """The activation that alone reads a node's output, and its name and numbers."""
    if len(node.users) != 1:
        return None
    user = next(iter(node.users))
    known = _name_of(module_of(graph, user)) if user.op == "call_module" else _FUNCTIONS.get(user.target)
    return None if known is None or len(user.args) != 1 else (user, known)


def _name_of(module: nn.Module) -> tuple[str, list[float]] | None:
    if isinstance(module, nn.Hardtanh):  # ReLU6 is one
        return "hardtanh", [module.min_val, module.max_val]
    names = {nn.ReLU: "relu", nn.Hardswish: "hardswish", nn.SiLU: "swish"}
    name = names.get(type(module))
    return None if name is None else (name, [])


def _sum_after(node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """The sum that alone reads a node's output, and its other summand of the same shape."""
    if len(node.users) != 1:
        return None
    total = next(iter(node.users))
    if total.op != "call_function" or total.target not in _ADDING or len(total.args) != 2 or total.kwargs:
        return None
    others = [part for part in total.args if part is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node) or others[0].meta.get("shape") != node.meta["shape"]:
        return None
    return total, others[0]
