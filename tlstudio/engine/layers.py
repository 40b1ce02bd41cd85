"""The layers inside each stage of a network, with their parameters and the shape of what they put out for one image.

Built and run without values (torch's meta device): no memory is needed for the network, and nothing is computed. Where a
network cannot be run like that, its layers are told without shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tlstudio.api.backbone import Backbone, BackboneSpec
from tlstudio.api.dataset import Options
from tlstudio.api.freezing import FreezingSpec
from tlstudio.engine.describe import build_with, without_values
from tlstudio.engine.freeze import HEAD, is_batch_norm, is_norm

_ADDED = "parametrizations"


@dataclass(frozen=True, kw_only=True)
class LayerInfo:
    """A layer as the model tree shows it.

    Args:
        name: in the network as its library builds it, such as ``layer1.0.conv1``.
        kind: such as "Conv2d 3×3, 64".
        params: its own parameters, adapters among them, not those of layers inside it.
        norm_params: ``params`` where it is a normalisation layer, else 0.
        bias_params: biases.
        adapter_params: added by the strategy.
        keeps_statistics: whether it is a batch norm.
        shape: what it puts out for one image, such as (C, H, W); ``None`` where it is not known.
    """

    name: str
    kind: str
    params: int
    norm_params: int = 0
    bias_params: int = 0
    adapter_params: int = 0
    keeps_statistics: bool = False
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class StageLayers:
    """The layers of a stage (or the head) in the order of the network's definition, and what the stage puts out."""

    name: str
    layers: tuple[LayerInfo, ...]
    shape: tuple[int, ...] | None = None


def describe_layers(
    spec: BackboneSpec,
    *,
    image_size: int,
    num_classes: int = 2,
    strategy: FreezingSpec | None = None,
    options: Options | None = None,
) -> tuple[StageLayers, ...]:
    """The layers of each stage, the head last.

    Args:
        spec: the network.
        image_size: side length of its input in pixels.
        num_classes: of its head.
        strategy: adds what it prepares (adapters), where it does.
        options: of the strategy; by default its own defaults.
    """
    backbone = without_values(lambda: build_with(spec, num_classes, strategy, options))
    backbone.module.to("meta").eval()
    return layers_of(backbone, torch.empty(1, 3, image_size, image_size, device="meta"))


def layers_of(backbone: Backbone, image: Tensor) -> tuple[StageLayers, ...]:
    """The same for a network at hand; ``image`` is ``(1, 3, H, W)`` on the network's device."""
    names = {id(module): name for name, module in backbone.module.named_modules()}
    adapters = {id(p) for name, p in backbone.module.named_parameters() if name in set(backbone.adapters)}
    parts = {**backbone.stages, HEAD: backbone.head}
    seen: set[int] = set()
    found = {name: list(_layers(part, seen)) for name, part in parts.items()}
    shapes = _shapes(parts, [module for layers in found.values() for _, module in layers], image)
    result = []
    for name, layers in found.items():
        infos = []
        for local, module in layers:
            info = _info(names.get(id(module), local) or name, module, adapters)
            infos.append(replace(info, shape=shapes.get(id(module))))
        result.append(StageLayers(name=name, layers=tuple(infos), shape=shapes.get(id(parts[name]))))
    return tuple(result)


def _layers(part: nn.Module, seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    """Modules with parameters of their own, and those that have no modules inside; each once, empty ones left out."""
    for name, module in part.named_modules():
        if id(module) in seen or _ADDED in name.split(".") or isinstance(module, nn.Identity):
            continue
        inside = [child for child in module._modules if child != _ADDED]
        if _own(module) or not (inside or isinstance(module, nn.Sequential)):
            seen.add(id(module))
            yield name, module


def _own(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of the module itself, those that a strategy has put beside them as well."""
    own = dict(module.named_parameters(recurse=False))
    added = module._modules.get(_ADDED)
    return own if added is None else {**own, **{f"{_ADDED}.{name}": p for name, p in added.named_parameters()}}


def _info(name: str, module: nn.Module, adapters: set[int]) -> LayerInfo:
    own = _own(module)
    count = sum(p.numel() for p in own.values())
    return LayerInfo(
        name=name,
        kind=_kind(module),
        params=count,
        norm_params=count if is_norm(module) else 0,
        bias_params=sum(p.numel() for key, p in own.items() if key.endswith("bias")),
        adapter_params=sum(p.numel() for p in own.values() if id(p) in adapters),
        keeps_statistics=is_batch_norm(module),
    )


def _kind(module: nn.Module) -> str:
    """The class and what tells one such layer from another."""
    name = type(module).__name__.removeprefix("Parametrized")
    details: list[str] = []
    kernel = getattr(module, "kernel_size", None)
    if kernel is not None:
        sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        name += " " + "×".join(str(side) for side in sides)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        details.append(str(module.out_channels))
        if module.groups > 1:
            details.append("depthwise" if module.groups == module.in_channels else f"{module.groups} groups")
    elif isinstance(module, nn.Linear):
        name += f" {module.in_features} → {module.out_features}"
    elif isinstance(module, nn.MultiheadAttention):
        details += [str(module.embed_dim), f"{module.num_heads} heads"]
    elif is_norm(module):
        size = getattr(module, "num_features", getattr(module, "num_channels", getattr(module, "normalized_shape", None)))
        details += ["×".join(map(str, size)) if isinstance(size, tuple) else str(size)] if size else []
    stride = getattr(module, "stride", 1)
    step = stride[0] if isinstance(stride, tuple) else stride
    if kernel is not None and step not in (1, None):
        details.append(f"stride {step}")
    return f"{name}, {', '.join(details)}" if details and kernel is not None else " ".join([name, ", ".join(details)]).strip()


def _shapes(parts: Mapping[str, nn.Module], layers: list[nn.Module], image: Tensor) -> dict[int, tuple[int, ...]]:
    """What modules put out for one image, by their identity; those behind the first that fails are missing."""
    shapes: dict[int, tuple[int, ...]] = {}

    def note(module: nn.Module, _inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(first, Tensor):
            shapes[id(module)] = tuple(first.shape[1:])

    hooks = [module.register_forward_hook(note) for module in layers]
    try:
        with torch.no_grad():
            values = image
            for part in parts.values():
                values = part(values)
                shapes[id(part)] = tuple(values.shape[1:])
    except Exception:  # noqa: BLE001 - a network that computes with values; its layers are told without shapes
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return shapes
