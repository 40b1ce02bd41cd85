"""Weights from anywhere: matched and reported, refused when unsafe or foreign, and never run."""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from tlstudio.api import WeightsError
from tlstudio.engine.weights import WeightsReport, check_weights, read_state_dict


class _Hostile:
    def __reduce__(self):
        return (os.mkdir, (os.environ["TLSTUDIO_HOSTILE_MARK"],))


@pytest.fixture(scope="module")
def resnet_state():
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=10).state_dict()


@pytest.fixture(scope="module")
def resnet(catalog):
    return catalog.backbones["torchvision/resnet18"]


def test_a_plain_state_dict_matches_in_full(resnet, resnet_state, tmp_path):
    torch.save(resnet_state, tmp_path / "plain.pth")
    report = check_weights(tmp_path / "plain.pth", resnet)
    assert set(report.matched) == set(resnet_state)
    assert not report.reshaped + report.missing + report.unexpected
    assert report.format == "torch"


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_wrapped_and_prefixed_files_load_the_same(resnet, resnet_state, tmp_path, wrapper):
    data = {wrapper: {f"module.{name}": tensor for name, tensor in resnet_state.items()}, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(data, tmp_path / "wrapped.pth")
    assert set(check_weights(tmp_path / "wrapped.pth", resnet).matched) == set(resnet_state)


def test_another_class_count_starts_the_head_anew_and_says_so(catalog, resnet_state, tmp_path):
    from dataclasses import replace

    spec = catalog.backbones["torchvision/resnet18"]
    fixed = replace(spec, build=lambda _: spec.build(3))
    torch.save(resnet_state, tmp_path / "ten.pth")
    report = check_weights(tmp_path / "ten.pth", fixed)
    assert report.reshaped == ("fc.weight", "fc.bias")
    assert "2 start anew for the new classes (the head is new: 3 classes here, 10 in the file)" in report.summary


def test_a_head_whose_layers_do_not_agree_on_a_class_count_is_only_said_to_be_new():
    shapes = {"fc.weight": ((10, 512), (10, 256)), "fc.bias": ((10,), (3,))}
    report = WeightsReport(matched=("a",), reshaped=("fc.weight", "fc.bias"), shapes=shapes)
    assert report.summary == "1 tensors matched, 2 start anew for the new classes (the head is new)"


def test_missing_and_unexpected_tensors_are_named(resnet, resnet_state, tmp_path):
    state = {name: tensor for name, tensor in resnet_state.items() if name != "layer4.1.bn2.bias"}
    torch.save({**state, "ema.decay": torch.ones(1)}, tmp_path / "odd.pth")
    report = check_weights(tmp_path / "odd.pth", resnet)
    assert report.missing == ("layer4.1.bn2.bias",)
    assert report.unexpected == ("ema.decay",)


def test_weights_for_another_architecture_are_refused(catalog, resnet_state, tmp_path):
    torch.save(resnet_state, tmp_path / "resnet18.pth")
    with pytest.raises(WeightsError, match="not for ResNet-50"):
        check_weights(tmp_path / "resnet18.pth", catalog.backbones["torchvision/resnet50"])


def test_the_bundled_file_loads_under_its_own_names_too(catalog):
    spec = catalog.backbones["timm/tf_efficientnet_lite0"]
    report = check_weights(spec.weights[0].locate(), spec)
    assert not report.reshaped + report.missing + report.unexpected
    assert report.known == spec.weights[0].name


def test_a_hostile_pickle_is_never_run(tmp_path, monkeypatch):
    mark = tmp_path / "it-ran"
    monkeypatch.setenv("TLSTUDIO_HOSTILE_MARK", str(mark))
    torch.save({"state_dict": _Hostile()}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"weight": _Hostile()}))
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"weight": _Hostile()}))
    for name in ("a.pth", "b.pth", "c.pkl"):
        with pytest.raises(WeightsError) as caught:
            read_state_dict(tmp_path / name)
        assert "run" in caught.value.title
    assert "mkdir" in _error(tmp_path / "a.pth").detail
    assert not mark.exists()


def _error(path):
    with pytest.raises(WeightsError) as caught:
        read_state_dict(path)
    return caught.value


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"\x80\x02}q", b"PK\x03\x04 cut", b"\0" * 1000])
def test_what_is_no_weights_file_is_called_so(tmp_path, data):
    for name in ("x.pth", "x.safetensors"):
        (tmp_path / name).write_bytes(data)
        assert "not a readable weights file" in _error(tmp_path / name).title


def test_a_cut_file_is_refused_wherever_it_is_cut(resnet_state, tmp_path):
    torch.save({"fc": resnet_state["fc.weight"]}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    for cut in range(1, len(whole), len(whole) // 12):
        (tmp_path / "cut.pth").write_bytes(whole[:cut])
        _error(tmp_path / "cut.pth")


FLOATS = {
    torch.float64: ("nan", "inf", "-inf"), torch.float32: ("nan", "inf", "-inf"), torch.float16: ("nan", "inf", "-inf"),
    torch.bfloat16: ("nan", "inf", "-inf"), torch.float8_e5m2: ("nan", "inf", "-inf"), torch.float8_e4m3fn: ("nan",),
    torch.float8_e8m0fnu: ("nan",), torch.complex64: ("nan", "inf", "-inf"),
}  # fmt: skip
"""What safetensors keeps, and which of the values that are not finite it has."""


@pytest.mark.parametrize(
    ("dtype", "value"), [(dtype, value) for dtype, values in FLOATS.items() for value in values], ids=lambda v: str(v)
)
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_values_that_are_not_finite_are_named(tmp_path, dtype, value, ending):
    good, bad = torch.ones(2).to(dtype), torch.tensor([1.0, float(value)]).to(dtype)
    save = save_file if ending == "safetensors" else torch.save
    save({"counter": torch.tensor(3), "good": good, "bad": bad}, tmp_path / f"x.{ending}")
    assert "bad holds values that are not finite" in _error(tmp_path / f"x.{ending}").title
    save({"counter": torch.tensor(3), "good": good}, tmp_path / f"x.{ending}")
    state = read_state_dict(tmp_path / f"x.{ending}")
    assert torch.equal(state["good"].to(torch.complex64), good.to(torch.complex64))


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex128, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz])
def test_values_that_are_not_finite_are_named_in_what_torch_alone_keeps(tmp_path, dtype):
    numbers = torch.tensor([1.0, float("nan")]).to(torch.complex64 if dtype.is_complex else torch.float32)
    torch.save({"good": numbers[:1].clone().to(dtype)}, tmp_path / "x.pth")
    assert list(read_state_dict(tmp_path / "x.pth")) == ["good"]
    torch.save({"bad": numbers.to(dtype)}, tmp_path / "x.pth")
    assert "bad holds values that are not finite" in _error(tmp_path / "x.pth").title


def test_a_nan_in_the_imaginary_part_alone_is_found(tmp_path):
    torch.save({"bad": torch.complex(torch.ones(2), torch.tensor([0.0, float("nan")]))}, tmp_path / "x.pth")
    assert "not finite" in _error(tmp_path / "x.pth").title


def test_views_that_torch_has_not_computed_yet_are_read(tmp_path):
    one, other = (torch.complex(torch.ones(2), torch.ones(2)) for _ in range(2))
    torch.save({"conjugate": one.conj(), "negative": other.conj().imag}, tmp_path / "x.pth")
    state = read_state_dict(tmp_path / "x.pth")
    assert torch.equal(state["negative"], -torch.ones(2))
    assert torch.equal(state["conjugate"].imag, -torch.ones(2))


def quantised(values):
    return torch.quantize_per_tensor(values, 0.1, 0, torch.qint8)


KINDS = {
    "meta": (lambda: torch.ones(2, device="meta"), "bad has a shape but no values"),
    "sparse": (lambda: torch.eye(2).to_sparse(), "bad is a sparse tensor"),
    "sparse rows": (lambda: torch.eye(2).to_sparse_csr(), "bad is a sparse tensor"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "bad is a nested tensor"),
    "quantised": (lambda: quantised(torch.ones(2)), r"bad holds quantised values \(qint8\)"),
    "bits": (lambda: torch.ones(2, dtype=torch.uint8).view(torch.bits8), "bad holds bits8 values"),
    "four bits": (lambda: torch.ones(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "bad holds float4_e2m1fn_x2 values"),
}
"""What is no plain tensor of numbers, and what is said of it."""


@pytest.mark.filterwarnings("ignore")  # torch's, that sparse rows and nested tensors are beta
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapper", [False, True])
def test_what_is_no_plain_tensor_is_refused_by_its_name(tmp_path, kind, wrapper):
    make, words = KINDS[kind]
    state = {"good": torch.ones(2), "bad": make()}
    torch.save({"state_dict": state} if wrapper else state, tmp_path / "x.pth")
    error = _error(tmp_path / "x.pth")
    assert re.search(rf"^x\.pth was not opened: {words}[^\n]*\.$", error.title)
    assert error.hint


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["meta", "sparse", "quantised"])
def test_what_is_no_plain_tensor_is_refused_in_an_old_file_too(tmp_path, kind):
    make, words = KINDS[kind]
    torch.save({"good": torch.ones(2), "bad": make()}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert re.search(words, _error(tmp_path / "x.pth").title)


def test_four_bits_in_safetensors_are_refused_by_their_name(tmp_path):
    save_file({"bad": torch.ones(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, tmp_path / "x.safetensors")
    assert "bad holds float4_e2m1fn_x2 values" in _error(tmp_path / "x.safetensors").title


def test_a_safetensors_header_that_lies_is_refused_before_anything_is_allocated(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
    assert "do not fit" in _error(tmp_path / "x.safetensors").detail


def test_a_compressed_torch_file_is_refused(tmp_path):
    torch.save({"w": torch.zeros(1000)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as old,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "compressed" in _error(tmp_path / "small.pth").detail


@pytest.mark.parametrize("legacy", [False, True])
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused_before_it_is_looked_at(tmp_path, legacy):
    """Four bytes that a stride of 0 makes into four terabytes."""
    huge = torch.zeros(1).expand(2**40)
    torch.save({"w": huge}, tmp_path / "huge.pth", _use_new_zipfile_serialization=not legacy)
    assert (tmp_path / "huge.pth").stat().st_size < 10_000
    assert "larger than the file" in _error(tmp_path / "huge.pth").detail


@pytest.mark.parametrize("header", [b"", b"[]", b"{", b'{"w": 1}', b'{"w": {"dtype": "F32", "shape": [4]}}', b"null"])
def test_a_broken_safetensors_header_is_no_weights_file(tmp_path, header):
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
    assert "not a readable weights file" in _error(tmp_path / "x.safetensors").title


@pytest.mark.parametrize(
    "spans", [((0, 8), (4, 12)), ((0, 4), (8, 16)), ((0, 8), (8, 400)), ((4, 8), (8, 16)), ((-4, 4), (4, 16))]
)
def test_overlapping_and_holed_offsets_are_refused(tmp_path, spans):
    entries = {
        name: {"dtype": "F32", "shape": [(end - start) // 4], "data_offsets": [start, end]}
        for name, (start, end) in zip("ab", spans, strict=True)
    }
    header = json.dumps(entries).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 16)
    assert "not a readable weights file" in _error(tmp_path / "x.safetensors").title


def test_a_whole_network_saved_as_an_object_is_refused_with_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    error = _error(tmp_path / "model.pth")
    assert "could run code" in error.title
    assert "torch.nn.modules.linear.Linear" in error.detail
    assert "state_dict" in error.hint
