"""Files of weights are read here, and only here: nothing in them is ever run, and what they claim is checked first.

safetensors and torch's restricted unpickler (``weights_only=True``) are the two ways in.
"""

from __future__ import annotations

import itertools
import json
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tlstudio.api.backbone import StateDict
from tlstudio.api.errors import WeightsError
from tlstudio.engine import legacy_pickle

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPERS = (
    "state_dict", "model", "model_state_dict", "net", "network", "weights", "params", "model_ema", "state_dict_ema", "ema",
)  # fmt: skip
_PREFIXES = ("module.", "_orig_mod.", "model.")
_REFUSED = {".pkl", ".pickle", ".joblib", ".h5", ".npz", ".onnx"}
_MAX_HEADER = 100 * 2**20
_MAX_MEMBERS = 100_000
_NUMPYS = (torch.float32, torch.float64, torch.float16, torch.complex64, torch.complex128)


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
    size = path.stat().st_size
    for name, tensor in tensors.items():
        _check_kind(path, name, tensor)
        if tensor.numel() * tensor.element_size() > size:
            raise _no_weights(path, f"{name} claims to be larger than the file")
        try:
            finite = _is_finite(tensor)
        except (RuntimeError, TypeError):
            raise WeightsError(
                f"{path.name} was not opened: {name} holds {_word(tensor.dtype)} values, which cannot be computed with.",
                hint="Save the weights as float32.",
            ) from None
        if not finite:
            raise WeightsError(f"{path.name} is damaged: {name} holds values that are not finite.")
    return _without_prefix(tensors)


def _check_kind(path: Path, name: str, tensor: Tensor) -> None:
    """Weights are plain tensors with all their numbers in the file."""
    if tensor.device.type != "cpu":  # "meta": all others were brought to the CPU
        reason, hint = "has a shape but no values", "Save the network after its weights are loaded."
    elif tensor.is_nested or tensor.layout is not torch.strided:
        layout = "nested" if tensor.is_nested else "sparse" if "sparse" in str(tensor.layout) else _word(tensor.layout)
        reason, hint = f"is a {layout} tensor", "Save it as a dense one: tensor.to_dense()."
    elif tensor.is_quantized:
        reason, hint = f"holds quantised values ({_word(tensor.dtype)})", "Save the network as it is before it is quantised."
    else:
        return
    raise WeightsError(f"{path.name} was not opened: {name} {reason}.", hint=hint)


def _is_finite(tensor: Tensor) -> bool:
    """By numpy where it knows the dtype: on a busy machine, torch's threads wait for each other at each tensor.

    Raises:
        NotImplementedError: torch cannot compute with the dtype.
    """
    tensor = tensor.detach().resolve_conj().resolve_neg()
    if tensor.dtype in _NUMPYS:
        return bool(np.isfinite(tensor.numpy()).all())
    if tensor.is_floating_point() and tensor.element_size() == 1:  # torch cannot tell of all of them as they are
        return bool(torch.isfinite(tensor.float()).all())
    if tensor.is_floating_point() or tensor.is_complex():
        return bool(torch.isfinite(tensor).all())
    tensor.flatten()[:1].float()
    return True


def _word(of_torch: object) -> str:
    return str(of_torch).removeprefix("torch.")


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
        if problem := legacy_pickle.problem_of(path):
            raise _no_weights(path, problem)
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
            for code, argument, _ in pickletools.genops(legacy_pickle.Clipped(file, path.stat().st_size)):  # type: ignore[arg-type]
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
        raise _no_weights(path, legacy_pickle.TOO_LARGE)


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


def format_of(path: Path) -> str:
    """``safetensors`` or ``torch``, by the ending."""
    return "safetensors" if path.suffix.lower() == ".safetensors" else "torch"
