"""Old torch files: what they claim is compared with their size before torch makes room for it."""

from __future__ import annotations

import pickle
import pickletools
import struct

import pytest
import torch

from tlstudio.api import WeightsError
from tlstudio.engine import legacy_pickle
from tlstudio.engine.weights import read_state_dict

GIBI = 2**30
COUNT = b"K\x02Ntq"
"""How a count of two elements is written, at the end of what names a storage."""


@pytest.fixture
def no_load(monkeypatch):
    """Fail where torch is asked to load a file."""
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch was asked to load the file"))


def save(path, state):
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def number(value):
    """A whole number of eight bytes and one, as pickles write it."""
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def changed(path, old, new):
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    return path


def refusal(path):
    with pytest.raises(WeightsError) as caught:
        read_state_dict(path)
    assert caught.value.title == f"{path.name} is not a readable weights file."
    return caught.value.detail


@pytest.mark.parametrize("gibi", [8, 32])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex128, torch.bool])
def test_a_storage_that_claims_gibibytes_is_refused_before_torch_makes_room(tmp_path, no_load, gibi, dtype):
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2, dtype=dtype)})
    changed(path, COUNT, number(gibi * GIBI // dtype.itemsize) + b"Ntq")
    assert refusal(path) == legacy_pickle.TOO_LARGE


def test_the_limit_is_the_size_of_the_file(tmp_path, no_load):
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2)})
    size = len(path.read_bytes()) + len(number(0)) - 2
    changed(path, COUNT, number(size // 4) + b"Ntq")
    assert path.stat().st_size == size
    assert legacy_pickle.problem_of(path) == ""
    changed(path, number(size // 4), number(size // 4 + 1))
    assert refusal(path) == legacy_pickle.TOO_LARGE


def test_many_storages_that_fit_one_by_one_are_refused(tmp_path, no_load):
    path = save(tmp_path / "x.pth", {str(index): torch.zeros(2) for index in range(50)})
    data = path.read_bytes()
    assert data.count(b"K\x02Nt") == 50
    path.write_bytes(data.replace(b"K\x02Nt", b"M" + struct.pack("<H", len(data) // 8) + b"Nt"))
    assert refusal(path) == legacy_pickle.TOO_LARGE


def test_a_length_by_way_of_the_memo_is_a_length(tmp_path, no_load):
    """It is put down as a name of a tensor, and taken up again where the storage says its length."""
    put, get = b"r\x00\x01\x00\x00", b"j\x00\x01\x00\x00"
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2)})
    changed(path, b"X\x01\x00\x00\x00wq\x01", number(GIBI) + put)
    assert legacy_pickle.problem_of(path) == ""
    changed(path, COUNT, get + b"Ntq")
    assert refusal(path) == legacy_pickle.TOO_LARGE


@pytest.mark.parametrize(
    "count", [number(-1), b"G" + struct.pack(">d", 1e10), b"N", b"]", b"cbuiltins\nbytearray\n" + number(GIBI) + b"\x85R"]
)
def test_a_length_that_is_no_plain_number_is_refused(tmp_path, no_load, count):
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2)})
    changed(path, COUNT, count + b"Ntq")
    assert refusal(path) == legacy_pickle.NOT_PLAIN


def test_a_class_as_key_is_not_the_text_of_its_name(tmp_path, no_load):
    """A storage whose key is called like a class, and another whose key is that class, are two."""
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2)})
    data = path.read_bytes()
    start = data.index(b"(X\x07\x00\x00\x00storage")
    end = data.index(b"Q", start) + 1
    key = b"ctorch\nFloatStorage\n"
    claim = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n%sX\x03\x00\x00\x00cpu%sNtQ"
    text = b"X\x12\x00\x00\x00torch FloatStorage"
    path.write_bytes(data[:start] + claim % (text, b"K\x02") + claim % (key, number(GIBI)) + data[end:])
    assert refusal(path) == legacy_pickle.NOT_PLAIN


def test_a_text_that_claims_gibibytes_is_refused_before_room_is_made(tmp_path, no_load):
    path = save(tmp_path / "x.pth", {"w": torch.zeros(2)})
    changed(path, b"X\x01\x00\x00\x00w", b"X" + struct.pack("<I", 4 * GIBI - 1) + b"w")
    assert refusal(path) == legacy_pickle.TOO_LARGE


def test_the_bytes_of_every_storage_are_those_of_torch():
    for kind in torch._storage_classes:
        if kind.__name__ not in {"TypedStorage", "UntypedStorage"}:
            assert legacy_pickle.ITEM_BYTES[kind.__name__] == torch.serialization.StorageType(kind.__name__).dtype.itemsize


def test_every_operation_that_torch_knows_is_followed(tmp_path):
    """All that `torch.save` writes, at this protocol: what is not known would end the look before the storages."""
    whole = torch.arange(12.0)
    state = {
        "a": whole[2:5],
        "b": whole,
        "list": [1, 2.5, None, True, False, (), 2**70, "é", {1}],
        "t": (1, (2, 3), (4, 5, 6, 7)),
    }
    path = save(tmp_path / "x.pth", {**state, "parameter": torch.nn.Parameter(torch.ones(2)), "one": torch.tensor(1)})
    with path.open("rb") as file:
        clipped = legacy_pickle.Clipped(file, path.stat().st_size)
        claims = [claim for _ in range(4) for claim in legacy_pickle._claims(clipped)]
    assert sorted((claim[1].name, claim[4]) for claim in claims) == [
        ("torch FloatStorage", 2), ("torch FloatStorage", 12), ("torch FloatStorage", 12), ("torch LongStorage", 1),
    ]  # fmt: skip
    assert legacy_pickle.problem_of(path) == ""


@pytest.mark.parametrize("wrapped", [False, True])
def test_ordinary_old_files_load_to_the_bit(tmp_path, wrapped):
    import torchvision

    torch.manual_seed(0)
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    whole = torch.randn(1000)
    state |= {
        "whole": whole,
        "part": whole[100:200],
        "turned": whole.view(10, 100).t(),
        "half": whole.half(),
        "bf": whole.bfloat16(),
    }
    state |= {"flag": torch.tensor([True, False]), "empty": torch.empty(0), "double": whole.double(), "byte": whole.byte()}
    path = save(tmp_path / "x.pth", {"model": state, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapped else state)
    read = read_state_dict(path)
    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name


def test_a_file_of_python_2_loads(tmp_path):
    """Its texts are short strings of bytes."""
    path = save(tmp_path / "x.pth", {"w": torch.tensor([1.0, 2.0])})
    data = path.read_bytes()
    key = next(argument for code, argument, _ in pickletools.genops(data[data.index(b"\x80\x02}q\x00X\x01") :])
               if code.name == "BINUNICODE" and str(argument).isdecimal())  # fmt: skip
    for text in ("storage", key, "cpu", "w"):
        written = text.encode()
        data = data.replace(b"X" + struct.pack("<I", len(written)) + written, b"U" + bytes([len(written)]) + written)
    path.write_bytes(data)
    assert b"U\x07storage" in data
    assert torch.equal(read_state_dict(path)["w"], torch.tensor([1.0, 2.0]))


def test_what_is_no_old_torch_file_is_left_to_torch(tmp_path):
    torch.save({"w": torch.zeros(2)}, tmp_path / "zip.pth")
    (tmp_path / "page.pth").write_bytes(b"<html>404</html>")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "new.pth").write_bytes(pickle.dumps({"w": [1, 2, 3]}, protocol=5))
    for name in ("zip", "page", "empty", "new"):
        assert legacy_pickle.problem_of(tmp_path / f"{name}.pth") == ""
