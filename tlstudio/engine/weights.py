"""Weights from files: read without ever running code from them, matched by name and shape, reported in full."""

from __future__ import annotations

import itertools
import json
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tlstudio import safe_io
from tlstudio.api.backbone import Backbone, BackboneSpec, StateDict
from tlstudio.api.errors import WeightsError
from tlstudio.registry.catalog import ResolvedWeights

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_REFUSED = {".pkl", ".pickle", ".joblib", ".h5", ".npz", ".onnx"}
_MAX_HEADER = 100 * 2**20
_MAX_MEMBERS = 100_000
_ENOUGH = 0.9
_HEAD_STD = 0.01
_NUMPYS = (torch.float32, torch.float64, torch.float16)


@dataclass(frozen=True, kw_only=True)
class WeightsReport:
    """How a file of weights fits a network; names are those of the network, except for ``unexpected``.

    ``reshaped`` are tensors of the head whose class count differs: they start anew.
    """

    matched: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    format: str = ""
    sha256: str = ""
    known: str = ""
    """Name of the published weights that this file is, by its SHA-256; empty for others."""

    @property
    def summary(self) -> str:
        """One sentence for a note."""
        parts = [f"{len(self.matched)} tensors matched"]
        parts += [f"{len(items)} {word}" for word, items in self._rest() if items]
        return ", ".join(parts)

    def _rest(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return (
            ("start anew for the new classes", self.reshaped),
            ("missing in the file", self.missing),
            ("not used", self.unexpected),
        )


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a weights file by name, on the CPU; wrappers and the prefixes of parallel training are taken off.

    Only safetensors and torch's restricted unpickler are used: nothing in the file is ever run.

    Raises:
        WeightsError: unsafe, damaged, or no weights file.
    """
    data = _read(path)
    for _ in range(3):
        inner = next((data[key] for key in _WRAPPERS if isinstance(data.get(key), Mapping)), None)
        if inner is None:
            break
        data = inner
    tensors = {str(name): value for name, value in data.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"{path.name} holds no weights.", hint="Save model.state_dict() with torch.save or as safetensors.")
    for name, tensor in tensors.items():
        if not _is_finite(tensor):
            raise WeightsError(f"{path.name} is damaged: {name} holds values that are not finite.")
    return _without_prefix(tensors)


def load_weights(backbone: Backbone, spec: BackboneSpec, weights: ResolvedWeights) -> WeightsReport:
    """Put the weights of a resolved file into a built network.

    Raises:
        WeightsError: unreadable, not the file it should be, or made for another network.
    """
    assert weights.path is not None
    digest = safe_io.sha256(weights.path)
    if weights.spec is not None and not digest.startswith(weights.spec.sha256.lower()):
        raise WeightsError(
            f"{weights.path} is not the published file {weights.spec.name} of {spec.title}.",
            detail=f"SHA-256 should begin with {weights.spec.sha256[:16]} but is {digest[:16]}",
            hint="Copy the file again. If it is your own file, name it as model.weights.",
        )
    state = read_state_dict(weights.path)
    state, report = _best_match(state, backbone, spec)
    _require_fit(report, backbone, spec, weights.path)
    own = backbone.module.state_dict()
    own.update({name: state[name].to(own[name].dtype) for name in report.matched})
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
        return WeightsReport(unexpected=tuple(state), format=_format(path), sha256=digest)
    backbone = spec.build(max(2, _classes_of(path, spec, digest)))
    state, report = _best_match(state, backbone, spec)
    _require_fit(report, backbone, spec, path)
    return _completed(report, path, digest, spec)


def match(state: StateDict, backbone: Backbone) -> WeightsReport:
    """Compare tensors with a network by name and shape; nothing is changed."""
    own = backbone.module.state_dict()
    head = {id(tensor) for tensor in backbone.head.state_dict(keep_vars=True).values()}
    in_head = {name for name, tensor in backbone.module.state_dict(keep_vars=True).items() if id(tensor) in head}
    matched = [name for name, tensor in own.items() if name in state and state[name].shape == tensor.shape]
    reshaped = [name for name in own if name in state and name in in_head and state[name].shape != own[name].shape]
    used = {*matched, *reshaped}
    return WeightsReport(
        matched=tuple(matched),
        reshaped=tuple(reshaped),
        missing=tuple(name for name in own if name not in used and not _is_counter(name)),
        unexpected=tuple(name for name in state if name not in used),
    )


def _is_finite(tensor: Tensor) -> bool:
    """By numpy where it knows the dtype: on a busy machine, torch's threads wait for each other at each tensor."""
    if not tensor.is_floating_point():
        return True
    if tensor.dtype in _NUMPYS and tensor.layout is torch.strided:
        return bool(np.isfinite(tensor.detach().numpy()).all())
    return bool(torch.isfinite(tensor).all())


def _fresh(tensor: Tensor) -> Tensor:
    """Starting values of a new head: nearly zero, so that the first loss is that of guessing and no class is preferred.

    Libraries scale theirs to the number of classes; with two classes the first steps would only unlearn it.
    """
    return torch.empty_like(tensor).normal_(0.0, _HEAD_STD) if tensor.ndim > 1 else torch.zeros_like(tensor)


def _best_match(state: StateDict, backbone: Backbone, spec: BackboneSpec) -> tuple[StateDict, WeightsReport]:
    """Match under the file's own names, then under the renamings that the published weights of the backbone need."""
    best = (state, match(state, backbone))
    for known in spec.weights:
        if known.adapt is None:
            continue
        try:
            adapted = known.adapt(state)
        except (KeyError, ValueError, IndexError):
            continue  # the file does not have those names
        report = match(adapted, backbone)
        if len(report.matched) > len(best[1].matched):
            best = (adapted, report)
    return best


def _require_fit(report: WeightsReport, backbone: Backbone, spec: BackboneSpec, path: Path) -> None:
    """Refuse when less than nine tenths of the backbone's tensors find their match."""
    head = {id(tensor) for tensor in backbone.head.state_dict(keep_vars=True).values()}
    body = [
        name
        for name, tensor in backbone.module.state_dict(keep_vars=True).items()
        if id(tensor) not in head and not _is_counter(name)
    ]
    found = len(set(body) & set(report.matched))
    if found < _ENOUGH * len(body):
        raise WeightsError(
            f"{path.name} is not for {spec.title}: {found} of its {len(body)} tensors match.",
            detail=_sample("Missing", report.missing) + _sample("In the file but not in the network", report.unexpected),
            hint="Choose the backbone that the weights were trained with.",
        )


def _read(path: Path) -> Mapping[str, Any]:
    suffix = path.suffix.lower()
    if suffix in _REFUSED:
        raise WeightsError(f"{path.name}: files of this kind can run code or are not weights; they are not opened.",
                           hint="Save the weights as .safetensors or with torch.save(model.state_dict()).")  # fmt: skip
    try:
        if suffix == ".safetensors":
            _check_safetensors(path)
            from safetensors.torch import load_file

            return load_file(path)
        _check_zip(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise _unsafe(path) from error
    except Exception as error:  # noqa: BLE001 - a damaged file breaks torch and safetensors in many ways
        raise _no_weights(path, str(error)) from None
    if not isinstance(data, Mapping):
        raise _no_weights(path, f"it holds a {type(data).__name__}")
    return data


def _unsafe(path: Path) -> WeightsError:
    names = _named_code(path)
    if not names:
        return _no_weights(path, "it is damaged or of another kind")
    return WeightsError(
        f"{path.name} was not opened: it contains more than weights and could run code.",
        detail="\n".join(names),
        hint="Ask its author for model.state_dict() saved with torch.save, or for safetensors.",
    )


def _named_code(path: Path) -> list[str]:
    """The classes and functions that a pickle asks for and that are no part of weights; nothing is executed."""
    try:
        return list(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # noqa: BLE001 - a plain pickle, or no pickle at all
        pass
    names: list[str] = []
    strings: list[str] = []
    try:
        with path.open("rb") as file:
            for code, argument, _ in pickletools.genops(file):
                if isinstance(argument, str) and code.name != "GLOBAL":
                    strings.append(argument)
                elif code.name == "GLOBAL":
                    names.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    names.append(".".join(strings[-2:]))
    except Exception:  # noqa: BLE001 - whatever was readable before the damage counts
        pass
    return names


def _no_weights(path: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"{path.name} is not a readable weights file.", detail=reason.splitlines()[0] if reason else "", hint="Copy it again."
    )


def _check_zip(path: Path) -> None:
    """Torch stores its members uncompressed; anything else may unpack without end."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        members = file.infolist()
    if len(members) > _MAX_MEMBERS or any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise _no_weights(path, "its contents are compressed, which torch never does")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise _no_weights(path, "its contents claim to be larger than the file")


def _check_safetensors(path: Path) -> None:
    """The header must lie inside the file and its tensors must fill it exactly, before anything is allocated."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise _no_weights(path, "its header is damaged")
        header = json.loads(file.read(length))
    spans = sorted(entry["data_offsets"] for name, entry in header.items() if name != "__metadata__")
    if spans and (spans[-1][1] != size - 8 - length or any(a[1] != b[0] for a, b in itertools.pairwise(spans))):
        raise _no_weights(path, "its tensors do not fit the file")


def _without_prefix(tensors: dict[str, Tensor]) -> StateDict:
    for _ in range(3):
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), None)
        if prefix is None:
            break
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _classes_of(path: Path, spec: BackboneSpec, digest: str) -> int:
    known = next((item for item in spec.weights if digest.startswith(item.sha256.lower())), None)
    if known is not None and known.num_classes:
        return known.num_classes
    state = read_state_dict(path)
    probe = spec.build(2)
    last = [name for name, _ in probe.module.named_parameters()][-1]
    return int(state[last].shape[0]) if last in state and state[last].ndim else 2


def _completed(report: WeightsReport, path: Path, digest: str, spec: BackboneSpec) -> WeightsReport:
    known = next((item.name for item in spec.weights if digest.startswith(item.sha256.lower())), "")
    return WeightsReport(
        matched=report.matched, reshaped=report.reshaped, missing=report.missing, unexpected=report.unexpected,
        format=_format(path), sha256=digest, known=known,
    )  # fmt: skip


def _format(path: Path) -> str:
    return "safetensors" if path.suffix.lower() == ".safetensors" else "torch"


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")  # older files do not have it; its value does not matter


def _sample(title: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{title}: {', '.join(names[:5])}{more}\n"
