"""Weights put into networks: matched by name and shape, adapted where there is a sound way, reported in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tlstudio import safe_io
from tlstudio.api.backbone import Backbone, BackboneSpec, StateDict
from tlstudio.api.errors import WeightsError
from tlstudio.engine.adapt import adaptation, first_convolution, spellings
from tlstudio.engine.weights_file import format_of, read_state_dict
from tlstudio.registry.weights import ResolvedWeights, is_published

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WeightsReport", "check_weights", "load_weights", "match", "read_state_dict"]

_ENOUGH = 0.9
_HEAD_STD = 0.01

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class WeightsReport:
    """How a file of weights fits a network; names are those of the network, except for ``unexpected``.

    Args:
        matched: as they are.
        adapted: name -> what is done to make it fit, in words.
        reshaped: tensors of the head whose class count differs: they start anew.
        missing: the network has them, the file does not, or in a shape that cannot be adapted.
        unexpected: the file has them, and they are not used.
        shapes: name -> shape in the file and shape in the network, ``None`` where it is not there; of all but the matched.
        naming: which renaming made the names fit; empty where none was needed.
        known: name of the published weights that this file is, by its SHA-256; empty for others.
    """

    matched: tuple[str, ...] = ()
    adapted: Mapping[str, str] = field(default_factory=dict)
    reshaped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[Shape | None, Shape | None]] = field(default_factory=dict)
    naming: str = ""
    format: str = ""
    sha256: str = ""
    known: str = ""

    @property
    def summary(self) -> str:
        """One sentence for a note."""
        parts = [f"{len(self.matched)} tensors matched"]
        parts += [f"{len(items)} {word}" for word, items in self._rest() if items]
        if self.adapted:
            parts.append("; ".join(sorted(set(self.adapted.values()))))
        return ", ".join(parts)

    def _rest(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            (f"start anew for the new classes ({self._new_head()})", self.reshaped),
            ("missing in the file", self.missing),
            ("not used", self.unexpected),
        )

    def _new_head(self) -> str:
        """That the head is new, with both class counts where all of its layers say the same."""
        counts = {tuple((shape or (0,))[0] for shape in self.shapes[name]) for name in self.reshaped}
        in_file, here = counts.pop() if len(counts) == 1 else (0, 0)
        return "the head is new" + (f": {here} classes here, {in_file} in the file" if in_file != here else "")


def load_weights(backbone: Backbone, spec: BackboneSpec, weights: ResolvedWeights) -> WeightsReport:
    """Put the weights of a resolved file into a built network.

    Raises:
        WeightsError: unreadable, not the file it should be, or made for another network.
    """
    assert weights.path is not None
    digest = safe_io.sha256(weights.path)
    if not digest.startswith(weights.sha256.lower()):
        raise _another_file(weights, spec, digest)
    state, report = _best_match(read_state_dict(weights.path), backbone, spec)
    _require_fit(report, backbone, spec, weights.path)
    own = backbone.module.state_dict()
    first = first_convolution(backbone)
    new = {name: state[name] for name in report.matched}
    for name in report.adapted:
        how = adaptation(name, state[name], own[name], first)
        assert how is not None
        new[name] = how.apply(state[name])
    own.update({name: value.to(own[name].dtype) for name, value in new.items()})
    own.update({name: _fresh(own[name]) for name in report.reshaped})
    backbone.module.load_state_dict(own, strict=True)
    return _completed(report, weights.path, digest, spec)


def check_weights(path: Path, spec: BackboneSpec | None) -> WeightsReport:
    """What a file holds and how it fits a backbone; without one, every tensor is listed as ``unexpected``.

    Raises:
        WeightsError: unreadable, or made for another network.
    """
    if not path.is_file():
        raise WeightsError(f"There is no file {path}.")
    state = read_state_dict(path)
    digest = safe_io.sha256(path)
    if spec is None:
        shapes = {name: (tuple(tensor.shape), None) for name, tensor in state.items()}
        return WeightsReport(unexpected=tuple(state), shapes=shapes, format=format_of(path), sha256=digest)
    backbone = spec.build(max(2, _classes_of(state, spec, digest)))
    state, report = _best_match(state, backbone, spec)
    _require_fit(report, backbone, spec, path)
    return _completed(report, path, digest, spec)


def match(state: StateDict, backbone: Backbone) -> WeightsReport:
    """Compare tensors with a network by name and shape; nothing is changed."""
    own = backbone.module.state_dict()
    head = {id(tensor) for tensor in backbone.head.state_dict(keep_vars=True).values()}
    in_head = {name for name, tensor in backbone.module.state_dict(keep_vars=True).items() if id(tensor) in head}
    first = first_convolution(backbone)
    matched = [name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape]
    others = [name for name, tensor in own.items() if name in state and state[name].shape != tensor.shape]
    reshaped = [name for name in others if name in in_head]
    ways = {name: adaptation(name, state[name], own[name], first) for name in others if name not in in_head}
    adapted = {name: way.how for name, way in ways.items() if way is not None}
    used = {*matched, *reshaped, *adapted}
    missing = tuple(name for name in own if name not in used and not _is_counter(name))
    unexpected = tuple(name for name in state if name not in used)
    shapes = {
        name: (tuple(state[name].shape) if name in state else None, tuple(own[name].shape) if name in own else None)
        for name in (*adapted, *reshaped, *missing, *unexpected)
    }
    return WeightsReport(
        matched=tuple(matched), adapted=adapted, reshaped=tuple(reshaped), missing=missing, unexpected=unexpected, shapes=shapes
    )


def _another_file(weights: ResolvedWeights, spec: BackboneSpec, digest: str) -> WeightsError:
    detail = f"SHA-256 should begin with {weights.sha256[:16]} but is {digest[:16]}"
    if weights.parent:
        return WeightsError(
            f"The model of run {weights.parent} is damaged.", detail=f"{weights.path}: {detail}",
            hint="Train that run again, or restore its folder from a backup.",
        )  # fmt: skip
    if weights.spec is not None:
        return WeightsError(
            f"{weights.path} is not the published file {weights.spec.name} of {spec.title}.", detail=detail,
            hint="Copy the file again. If it is your own file, name it as model.weights.",
        )  # fmt: skip
    return WeightsError(f"{weights.path} is damaged.", detail=detail, hint="Import the file again.")


def _fresh(tensor: Tensor) -> Tensor:
    """Starting values of a new head: nearly zero, so that the first loss is that of guessing and no class is preferred.

    Libraries scale theirs to the number of classes; with two classes the first steps would only unlearn it.
    """
    return torch.empty_like(tensor).normal_(0.0, _HEAD_STD) if tensor.ndim > 1 else torch.zeros_like(tensor)


def _best_match(state: StateDict, backbone: Backbone, spec: BackboneSpec) -> tuple[StateDict, WeightsReport]:
    """Match under every spelling of the file's names; the first of those that match most counts."""
    best: tuple[StateDict, WeightsReport] | None = None
    total = len(backbone.module.state_dict())
    for naming, renamed in spellings(state, [known.adapt for known in spec.weights if known.adapt is not None]):
        report = replace(match(renamed, backbone), naming=naming)
        if best is None or len(report.matched) > len(best[1].matched):
            best = (renamed, report)
        if len(report.matched) == total:
            break
    assert best is not None
    return best


def _require_fit(report: WeightsReport, backbone: Backbone, spec: BackboneSpec, path: Path) -> None:
    """Refuse when less than nine tenths of the backbone's tensors find their match."""
    head = {id(tensor) for tensor in backbone.head.state_dict(keep_vars=True).values()}
    body = {
        name
        for name, tensor in backbone.module.state_dict(keep_vars=True).items()
        if id(tensor) not in head and not _is_counter(name)
    }
    found = len(body & {*report.matched, *report.adapted})
    if found < _ENOUGH * len(body):
        raise WeightsError(
            f"{path.name} is not for {spec.title}: {found} of its {len(body)} tensors match.",
            detail=_sample("Missing", report.missing, report) + _sample("In the file but not used", report.unexpected, report),
            hint="Choose the backbone that the weights were trained with.",
        )


def _classes_of(state: StateDict, spec: BackboneSpec, digest: str) -> int:
    known = next((item for item in spec.weights if is_published(item, digest)), None)
    if known is not None and known.num_classes:
        return known.num_classes
    last = [name for name, _ in spec.build(2).module.named_parameters()][-1]
    for _, renamed in spellings(state, [item.adapt for item in spec.weights if item.adapt is not None]):
        if last in renamed and renamed[last].ndim:
            return int(renamed[last].shape[0])
    return 2


def _completed(report: WeightsReport, path: Path, digest: str, spec: BackboneSpec) -> WeightsReport:
    known = next((item.name for item in spec.weights if is_published(item, digest)), "")
    return replace(report, format=format_of(path), sha256=digest, known=known)


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")  # older files do not have it; its value does not matter


def _sample(title: str, names: tuple[str, ...], report: WeightsReport) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{title}: {', '.join(described(name, report) for name in names[:5])}{more}\n"


def described(name: str, report: WeightsReport) -> str:
    """A tensor with its shape; with both where those of the file and of the network differ."""
    in_file, in_network = report.shapes.get(name, (None, None))
    shapes = [" x ".join(map(str, shape)) or "scalar" for shape in (in_file, in_network) if shape is not None]
    return f"{name} ({' in the file, '.join(shapes)}{' in the network' if len(shapes) == 2 else ''})" if shapes else name
