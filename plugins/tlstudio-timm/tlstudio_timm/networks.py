"""Builds timm's networks and divides them into stages, along the routes of `tlstudio_timm.routes`.

The network still owns every parameter, so the names in its state dict stay timm's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from tlstudio.api import Backbone, StateDict
from tlstudio_timm import parts, special
from tlstudio_timm.routes import HEADS, PIECES, ROUTES, STEPS, USUAL, Route

_MOST_BLOCKS = 12
"""A deeper run of blocks is cut into groups of equally many: a network of forty stages is nothing to choose from."""
_STEP_NAMES = {"blocks": "block", "stages": "stage", "layers": "stage", "levels": "stage", "dense_stages": "stage",
               "features": "block", "body": "stage", "network": "block"}  # fmt: skip
_TRANSPARENT = (nn.Identity,)


def build(name: str, arguments: Mapping[str, object], out_of_place: bool, num_classes: int) -> Backbone:
    """timm's network of that name, with random weights.

    Args:
        name: as timm registers it.
        arguments: for its constructor.
        out_of_place: whether its activations must leave their input as it is, since a stage begins with one.
        num_classes: how many logits it gives.
    """
    import timm

    module = timm.create_model(name, pretrained=False, num_classes=num_classes, **arguments)
    for layer in module.modules():
        if hasattr(layer, "inplace") and (out_of_place or isinstance(layer, nn.Dropout)):
            layer.inplace = False
    return divide(module)


def renamed(name: str, state: StateDict) -> StateDict:
    """A published file's tensors under the names of timm's network of today, by timm's own rules.

    Raises:
        ValueError: the rules do not fit what is in the file.
    """
    import timm
    import torch

    file = sys.modules[timm.models.model_entrypoint(name).__module__]
    rules = getattr(file, "checkpoint_filter_fn", None)
    if rules is None:
        return state
    try:
        with torch.device("meta"):
            module = timm.create_model(name, pretrained=False)
    except (NotImplementedError, RuntimeError):  # its constructor computes
        module = timm.create_model(name, pretrained=False)
    try:
        changed: StateDict = rules(dict(state), module)
    except Exception as error:  # timm's rules fail in many ways on a file that is none of theirs
        raise ValueError(str(error)) from error
    return changed


def divide(module: Any) -> Backbone:
    """Stages and head of a network of timm.

    Raises:
        ValueError: nothing is known of how it runs.
    """
    way = special.WAYS.get(type(module).__name__)
    if way is not None:
        stages, layers = way(module)
    else:
        route = route_of(module)
        stages, layers = _stages(module, route), list(_layers(module, route.head))
    before, last = _cut_head(layers)
    if before:
        stages["attn_pool" if isinstance(before[0], parts.Piece) else "pre_logits"] = chain(before)
    head = chain(last, always=True)
    return Backbone(module=module, stages=_merged(stages), head=head, num_features=_features(head))


def route_of(module: nn.Module) -> Route:
    """The route of the network's class, or of one that it derives from; the usual one for a class that is not known."""
    return next((ROUTES[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in ROUTES), USUAL)


def chain(layers: Iterable[nn.Module], *, always: bool = False) -> nn.Module:
    """Layers one after another; a single one is itself unless a sequence is wanted ``always``."""
    every = list(layers)
    return every[0] if len(every) == 1 and not always else nn.Sequential(*every)


def _stages(module: Any, route: Route) -> dict[str, nn.Module]:
    stages: dict[str, nn.Module] = {}
    used: list[str] = []
    for line in route.stages:
        words = line.split()
        if line.endswith("*") and len(words) > 1:  # the first of several names
            words = [next((word for word in words if _child(module, word[:-1]) is not None), words[0])]
        if "*" in line:
            stages.update(_opened(module, *words[0].split("*")))
        elif line.startswith("+") and stages:
            key = next(reversed(stages))
            stages[key] = chain([*_flat(stages[key]), *_parts(module, [line[1:]], used)])
        elif layers := list(_parts(module, words, used)):
            stages[_name(words[0], first=not stages)] = chain(layers)
        used += [word.strip("+*").partition("*")[0] for word in words]
    if not stages:
        raise ValueError(f"nothing is known of how a {type(module).__name__} runs")
    return stages


def _name(word: str, *, first: bool) -> str:
    """A stage's name from its first word."""
    if word == "@rest":
        return "features"
    if not first or word == "patch_embed":
        return word.lstrip("@")
    return "embed" if word.startswith("@") and word != "@levit" else "stem"


def _parts(module: Any, words: Iterable[str], used: Iterable[str]) -> Iterator[nn.Module]:
    for word in words:
        if word == "@rest":
            yield special.rest(module, used)
        elif word.startswith("@"):
            step, names = PIECES[word]
            yield parts.Piece(module, step, names.split())
        elif (child := _child(module, word)) is not None:
            yield child


def _opened(module: Any, name: str, step: str) -> dict[str, nn.Module]:
    """The children of a container, in groups, as stages."""
    container = _child(module, name)
    if container is None:
        return {}
    runs = _at_pools(container) if step == "pools" else _runs(container)
    size = -(-len(runs) // _MOST_BLOCKS)
    base = _STEP_NAMES.get(name, name)
    stages: dict[str, nn.Module] = {}
    first = 0
    for start in range(0, len(runs), size):
        end = min(start + size, len(runs))
        group = [layer for run in runs[start:end] for layer in run]
        key = f"{base}{start + 1}" if end == start + 1 else f"{base}{start + 1}-{end}"
        stages[key] = _told(module, step, group, first) if step in STEPS else chain(group)
        first += len(group)
    return stages


def _told(module: Any, step: str, group: list[nn.Module], first: int) -> parts.Piece:
    function, names = STEPS[step]
    loose = names.split() if step in ("volo", "convit") and _has_joint(module, step, first, len(group)) else []
    borrowed = tuple(getattr(module, name, None) for name in names.split()) if step not in ("volo", "convit") else ()
    piece = parts.Piece(module, function, loose, borrowed)
    piece.part = nn.ModuleList(group)
    piece.first = first
    piece.mixed = bool(getattr(module, "rope_mixed", getattr(module, "rope_is_mixed", False)))
    piece.has_class_token = getattr(module, "cls_token", None) is not None
    return piece


def _has_joint(module: Any, step: str, first: int, count: int) -> bool:
    """Whether the block before which VOLO adds positions, or ConViT the class token, is in a group."""
    joint = 2 if step == "volo" else module.local_up_to_layer
    return first <= joint < first + count


def _runs(children: Iterable[nn.Module]) -> list[list[nn.Module]]:
    """The children of a container; norms and layers without parameters belong to the one before."""
    runs: list[list[nn.Module]] = []
    for child in children:
        if runs and not _has_weights(child):
            runs[-1].append(child)
        else:
            runs.append([child])
    return runs


def _at_pools(layers: Iterable[nn.Module]) -> list[list[nn.Module]]:
    runs: list[list[nn.Module]] = [[]]
    for layer in layers:
        runs[-1].append(layer)
        if isinstance(layer, nn.MaxPool2d):
            runs.append([])
    return [run for run in runs if run]


def _merged(stages: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """Stages without parameters belong to the one before, or to the first that has some."""
    merged: dict[str, nn.Module] = {}
    waiting: list[nn.Module] = []
    for name, stage in stages.items():
        if any(True for _ in stage.parameters()):
            merged[name] = chain([*waiting, *_flat(stage)]) if waiting else stage
            waiting = []
        elif merged:
            last = next(reversed(merged))
            merged[last] = chain([*_flat(merged[last]), stage])
        else:
            waiting = [*waiting, stage]
    return merged


def _flat(stage: nn.Module) -> list[nn.Module]:
    return list(stage) if type(stage) is nn.Sequential else [stage]


def _layers(module: Any, words: str) -> Iterator[nn.Module]:
    """The layers of a head in the order in which they run."""
    for word in words.split():
        if word.startswith("mean"):
            yield parts.Mean(*_axes(module, word))
        elif word == "flat":
            yield nn.Flatten(1, -2)
        elif word == "slice":
            yield parts.Slice(module.global_pool, getattr(module, "num_prefix_tokens", 1))
        elif word == "tokens2":
            yield parts.FirstTokens()
        elif word == "classifiers":
            yield _classifiers(module, tokens="tokens2" in words)
        elif word == "@_global_pool":
            yield parts.Mean(*_as_tuple(module.pool_dim))
        elif word.startswith("@"):
            step, names = PIECES[word]
            yield parts.Piece(module, step, names.split())
        elif (child := _child(module, word.rstrip("*"))) is not None:
            yield from child if word.endswith("*") else _inside(child)


def _inside(layer: nn.Module) -> Iterator[nn.Module]:
    """A head of timm's as its layers, anything else as it is; a dropout that never drops is left out."""
    key = f"{type(layer).__module__.rpartition('.')[2]}.{type(layer).__name__}"
    if key in HEADS:
        yield from _layers(layer, HEADS[key])
    elif type(layer) is nn.Sequential:
        for child in layer:
            yield from _inside(child)
    elif not (isinstance(layer, _TRANSPARENT) or (isinstance(layer, nn.Dropout) and layer.p == 0.0)):
        yield layer


def _axes(module: Any, word: str) -> tuple[int, ...]:
    if word == "mean_levit":
        return (2, 3) if module.use_conv else (1,)
    return tuple(int(digit) for digit in word.removeprefix("mean"))


def _as_tuple(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value


def _classifiers(module: Any, *, tokens: bool) -> nn.Module:
    second = _child(module, "head_dist")
    if second is None:
        classifier: nn.Module = module.head
        return classifier
    return parts.Average(module.head, second, tokens=tokens)


def _cut_head(layers: list[nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    """What comes before the classifier and has weights is a stage of its own; norms and pooling stay with the classifier."""
    weighty = [index for index, layer in enumerate(layers) if _has_weights(layer)]
    if len(weighty) < 2:
        return [], layers
    cut = weighty[-1]
    while isinstance(layers[cut - 1], nn.Dropout):
        cut -= 1
    return layers[:cut], layers[cut:]


def _has_weights(layer: nn.Module) -> bool:
    """Whether a layer is more than a norm: it has a parameter of more than one axis, or more than a weight and a bias."""
    return any(parameter.ndim > 1 for parameter in layer.parameters())


def _features(head: nn.Module) -> int:
    """The length of the vector that enters the last layer."""
    linear = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    if linear:
        return linear[-1].in_features
    convolutions = [layer for layer in head.modules() if isinstance(layer, nn.Conv2d)]
    if not convolutions:
        raise ValueError("it has no last layer that gives logits: it is an encoder for other programs, not a classifier")
    return convolutions[-1].in_channels


def _child(module: nn.Module, name: str) -> nn.Module | None:
    """A child by name; ``None`` where there is none, or where it does nothing."""
    child = module._modules.get(name)
    return None if isinstance(child, _TRANSPARENT) else child
