"""The check of a backbone: it builds it, runs it, and trains it for a few steps with more and more of it frozen."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tlstudio.api import Backbone, BackboneSpec
from tlstudio.testing.numbers import fill_parameters, fill_statistics
from tlstudio.testing.records import check_record, require

if TYPE_CHECKING:
    from torch import Tensor, nn

_TOLERANCE = 1e-5
_SEEN = 100 * _TOLERANCE
"""What moves the logits by less than this share of the largest could be missing and not be seen."""
_SIDES = (64, 96, 128, 160, 224)
_IMAGES = 2
_RATE = 1e-3
_FEW, _SOME = 2, 5


def check_backbone(spec: BackboneSpec) -> None:
    """Build a backbone for 2 and for 5 classes and check all that the training relies on.

    Running the stages and then the head equals ``module(x)`` in eval mode, to 1e-5 of the largest logit, and no part changes
    its input in place (it may come from a cache). This is done with random numbers in every parameter and in the statistics of
    batch norm, since fresh networks hide layers behind zeros; the images and all parts must then move the logits. Every
    parameter and buffer of the module is in exactly one stage or in the head. The number of classes changes no key of the state
    dict. However many leading stages are frozen (no gradient, eval mode), a step of SGD on the rest leaves their parameters and
    buffers bit-equal, reaches all others, and changes the head.

    The random numbers of torch are as they were afterwards. The input is as small as the network takes.

    Raises:
        AssertionError: a sentence that says what is wrong.
    """
    import torch

    check_record(spec.name, spec.title, spec.about)
    _check_weights(spec)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        keys = []
        for classes in (_FEW, _SOME):
            backbone = spec.build(classes)
            require(isinstance(backbone, Backbone), f"{spec.name}: build should return a Backbone, not {type(backbone)}")
            _check_parts(spec.name, backbone)
            images = _check_forward(spec, backbone, classes)
            keys.append(list(backbone.module.state_dict()))
        require(keys[0] == keys[1], f"{spec.name}: the state dict has other keys for {_SOME} classes than for {_FEW}")
        _check_freezing(spec.name, backbone, images)
        require(keys[1] == list(backbone.module.state_dict()), f"{spec.name}: the keys of the state dict changed in training")


def _check_weights(spec: BackboneSpec) -> None:
    require(spec.params > 0, f"{spec.name}: 'params' should be the number of parameters")
    names = [weights.name for weights in spec.weights]
    require(len(set(names)) == len(names), f"{spec.name}: two sets of weights have one name")
    for weights in spec.weights:
        who = f"{spec.name}, weights {weights.name}"
        known = re.fullmatch("[0-9a-f]{8,64}", weights.sha256)
        require(
            known or not weights.sha256, f"{who}: sha256 should be 8 to 64 small hex digits, or empty where none is published"
        )
        place = weights.locate()
        require(place is None or isinstance(place, Path), f"{who}: locate should return a Path or None")
        require(place is None or place.is_file(), f"{who}: locate gave {place}, which is no file")


def _check_parts(name: str, backbone: Backbone) -> None:
    require(backbone.stages, f"{name}: there are no stages")
    places: Counter[int] = Counter()
    known = {id(tensor): key for key, tensor in _tensors(backbone.module).items()}
    for part_name, part in _parts(backbone):
        for key, tensor in _tensors(part).items():
            require(
                id(tensor) in known,
                f"{name}: {part_name} has {key}, which is not the module's own; stages must be views into the module",
            )
            places[id(tensor)] += 1
    for identity, key in known.items():
        require(
            places[identity] == 1,
            f"{name}: {key} is in {places[identity]} of the stages and the head; it should be in exactly one of them",
        )


def _check_forward(spec: BackboneSpec, backbone: Backbone, classes: int) -> Tensor:
    """Compare the two ways through the network; returns the images it was done with."""
    import torch

    name, module = spec.name, backbone.module
    fill_parameters(module)
    module.train()
    module.eval()
    with torch.no_grad():
        images = _smallest_input(spec, module)
        fill_statistics(module, images)
        logits = module(images)
        _check_logits(name, logits, classes)
        values = images
        for part_name, part in _parts(backbone):
            before = values.clone()
            after = part(values)
            require(
                torch.equal(values, before),
                f"{name}: {part_name} changes its input in place; its input may come from a cache, so it must not",
            )
            values = after
    require(values.shape == logits.shape, f"{name}: stages and head give shape {tuple(values.shape)}, module(x) another")
    difference = float((values - logits).abs().max())
    require(
        difference <= _TOLERANCE * float(logits.abs().max()),
        f"{name}: stages and head differ from module(x) by {difference:.2g} in eval mode; is a step of its forward missing, or "
        "a dropout in a stage that the module does not own?",
    )
    _check_all_count(name, backbone, images)
    _check_features(name, backbone)
    return images


def _check_logits(name: str, logits: Tensor, classes: int) -> None:
    """That logits tell something, so that two ways to compute them can be compared."""
    require(logits.shape == (_IMAGES, classes), f"{name}: module(x) has shape {tuple(logits.shape)} for {classes} classes")
    require(
        logits.isfinite().all(), f"{name}: with random numbers in its parameters module(x) gives logits that are not finite"
    )
    largest = float(logits.abs().max())
    require(largest, f"{name}: with random numbers in its parameters module(x) gives logits that are all zero")
    apart = float((logits[0] - logits[1]).abs().max()) / largest
    require(
        apart >= _SEEN,
        f"{name}: with random numbers in its parameters module(x) gives the same logits for different images, to {apart:.1g} "
        "of the largest; does it look at them?",
    )


def _check_all_count(name: str, backbone: Backbone, images: Tensor) -> None:
    """That other numbers in any part would make other logits: otherwise it could be missing, and the logits were the same."""
    import torch

    module = backbone.module.requires_grad_(True)
    logits = module(images)
    largest = float(logits.detach().abs().max())
    torch.autograd.backward([(logits * torch.randn_like(logits)).sum()])
    for part_name, part in _parts(backbone):
        moves = [
            float((parameter.detach() * parameter.grad).norm()) for parameter in part.parameters() if parameter.grad is not None
        ]
        require(
            math.hypot(*moves) >= _SEEN * largest or next(part.parameters(), None) is None,
            f"{name}: the logits of module(x) do not depend on the parameters of {part_name}, or next to nothing; so it "
            "cannot be seen whether stages and head compute the same, and it would not learn",
        )
    module.zero_grad()


def _check_features(name: str, backbone: Backbone) -> None:
    from torch import nn

    last = [layer for layer in backbone.head.modules() if isinstance(layer, nn.Linear)]
    if last:
        length = last[-1].in_features
        require(
            backbone.num_features == length,
            f"{name}: num_features is {backbone.num_features}, but the last layer takes vectors of {length}",
        )


def _smallest_input(spec: BackboneSpec, module: nn.Module) -> Tensor:
    import torch

    problem: Exception | None = None
    for side in (*_SIDES, spec.preprocessing.image_size):
        images = torch.randn(_IMAGES, 3, side, side)
        try:
            module(images)
        except Exception as error:  # noqa: BLE001 - too small an image fails in many ways; the last size tells
            problem = error
        else:
            return images
    raise AssertionError(f"{spec.name}: the module takes images of none of the usual sizes: {problem}") from problem


def _check_freezing(name: str, backbone: Backbone, images: Tensor) -> None:
    import torch

    parts = _parts(backbone)
    for frozen in range(len(parts)):
        backbone.module.train()
        for index, (_, part) in enumerate(parts):
            part.requires_grad_(index >= frozen)
            part.train(index >= frozen)
        before = [{key: tensor.detach().clone() for key, tensor in _tensors(part).items()} for _, part in parts]
        learning = [parameter for parameter in backbone.module.parameters() if parameter.requires_grad]
        require(learning, f"{name}: the head has no parameters")
        optimizer = torch.optim.SGD(learning, lr=_RATE)
        logits = backbone.module(images)
        require(logits.isfinite().all(), f"{name}: in train mode module(x) gives logits that are not finite")
        wrong = logits.detach().argmin(1)  # so that there is something to learn, however sure the network is
        loss = torch.nn.functional.cross_entropy(logits, wrong)
        torch.autograd.backward([loss])
        optimizer.step()
        for (part_name, part), kept in list(zip(parts, before, strict=True))[:frozen]:
            changed = _changed(part, kept)
            require(
                not changed,
                f"{name}: a step with the first {frozen} stages frozen changed {changed} in {part_name}; frozen stages in eval "
                "mode must not change",
            )
        for part_name, part in parts[frozen:]:
            require(
                _learns(part),
                f"{name}: a step of training with {frozen} frozen stages does not reach {part_name}; is there a detach, or "
                "no_grad, in it or behind it?",
            )
        require(_changed(backbone.head, before[-1]), f"{name}: a step of training did not change the head")
        optimizer.zero_grad()
        _put_back(parts, before)  # so that no step builds on the strange numbers of the one before


def _learns(part: nn.Module) -> bool:
    """Whether the loss has a gradient for it; of zeros where whole blocks are dropped at random."""
    parameters = list(part.parameters())
    return not parameters or any(parameter.grad is not None for parameter in parameters)


def _put_back(parts: list[tuple[str, nn.Module]], before: list[dict[str, Tensor]]) -> None:
    import torch

    with torch.no_grad():
        for (_, part), kept in zip(parts, before, strict=True):
            for key, tensor in _tensors(part).items():
                if not _same_bits(tensor, kept[key]):
                    tensor.copy_(kept[key])


def _parts(backbone: Backbone) -> list[tuple[str, nn.Module]]:
    return [*((f"stage {name}", stage) for name, stage in backbone.stages.items()), ("the head", backbone.head)]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _changed(module: nn.Module, before: dict[str, Tensor]) -> str:
    """The name of a tensor that is not bit for bit what it was; empty where all are."""
    return next((key for key, tensor in _tensors(module).items() if not _same_bits(tensor, before[key])), "")


def _same_bits(one: Tensor, two: Tensor) -> bool:
    import torch

    # As bytes, since a number that is not a number is unlike itself.
    return torch.equal(*(tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, two)))
