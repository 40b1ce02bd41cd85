"""CIFAR from local files: both versions of both data sets, made here in the official format."""

import io
import os
import pickle
import pickletools
import struct
import sys

import numpy as np
import pytest

import tlstudio_datasets
from tlstudio.api import TEST, TRAIN, DataError
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
NAMES_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FINE = [f"fine {number}" for number in range(100)]
COARSE = [f"coarse {number}" for number in range(20)]
ROWS = 7


def planes(seed, rows=ROWS):
    return np.random.default_rng(seed).integers(0, 256, (rows, 3072), np.uint8)


def write_python2(file, fields):
    """A pickle as Python 2 wrote the official files: protocol 2, byte strings, numpy's old module path."""
    out = io.BytesIO()
    out.write(b"\x80\x02}(")
    for key, value in fields.items():
        out.write(short(key.encode()))
        out.write(array2(value) if isinstance(value, np.ndarray) else list2(value))
    out.write(b"u.")
    file.write_bytes(out.getvalue())
    pickletools.dis(out.getvalue(), out=io.StringIO())  # the test's own file is a proper pickle


def short(data):
    return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data


def list2(values):
    items = b"".join(b"J" + struct.pack("<i", value) if isinstance(value, int) else short(value.encode()) for value in values)
    return b"](" + items + b"e"


def array2(array):
    shape = b"J" + struct.pack("<i", array.shape[0]) + b"J" + struct.pack("<i", array.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R(K\x03" + short(b"|") + b"NNN"
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R"
    return empty + b"(K\x01" + shape + dtype + b"\x89" + short(array.tobytes()) + b"tb"


def write_python3(protocol):
    return lambda file, fields: file.write_bytes(pickle.dumps({key.encode(): fields[key] for key in fields}, protocol))


def labels_of(seed, classes=10, rows=ROWS):
    return np.random.default_rng(seed + 100).integers(0, classes, rows).tolist()


def make_python10(folder, write=write_python2, batches=5):
    folder.mkdir(parents=True)
    for number in range(1, batches + 1):
        write(folder / f"data_batch_{number}", {"labels": labels_of(number), "data": planes(number)})
    write(folder / "test_batch", {"labels": labels_of(9), "data": planes(9)})
    write(folder / "batches.meta", {"label_names": NAMES_10})
    (folder / "readme.html").write_text("about")
    return folder


def make_binary10(folder, batches=5):
    folder.mkdir(parents=True)
    for name, seed in [*((f"data_batch_{number}.bin", number) for number in range(1, batches + 1)), ("test_batch.bin", 9)]:
        labels = np.array(labels_of(seed), np.uint8)[:, None]
        (folder / name).write_bytes(np.hstack([labels, planes(seed)]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES_10) + "\n\n")
    return folder


def make_python100(folder, write=write_python2):
    folder.mkdir(parents=True)
    for name, seed in (("train", 1), ("test", 9)):
        fields = {"fine_labels": labels_of(seed, 100), "coarse_labels": labels_of(seed, 20), "data": planes(seed)}
        write(folder / name, fields)
    write(folder / "meta", {"fine_label_names": FINE, "coarse_label_names": COARSE})
    return folder


def make_binary100(folder):
    folder.mkdir(parents=True)
    for name, seed in (("train.bin", 1), ("test.bin", 9)):
        coarse, fine = (np.array(labels_of(seed, classes), np.uint8)[:, None] for classes in (20, 100))
        (folder / name).write_bytes(np.hstack([coarse, fine, planes(seed)]).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(FINE) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(COARSE) + "\n")
    return folder


def opened(name, path, **options):
    spec = SPECS[name]
    return spec.open(spec.options(path=path, **options))


def pixels(images, index):
    return np.asarray(images.load(index))


MAKERS = {
    "cifar10": {
        "python 2": make_python10,
        "protocol 2": lambda folder: make_python10(folder, write_python3(2)),
        "protocol 4": lambda folder: make_python10(folder, write_python3(4)),
        "protocol 5": lambda folder: make_python10(folder, write_python3(5)),
        "binary": make_binary10,
    },
    "cifar100": {
        "python 2": make_python100,
        "protocol 5": lambda folder: make_python100(folder, write_python3(5)),
        "binary": make_binary100,
    },
}
CASES = [(name, version) for name, makers in MAKERS.items() for version in makers]


@pytest.mark.parametrize(("name", "version"), CASES)
def test_every_version_gives_the_same_images(tmp_path, name, version):
    images = opened(name, MAKERS[name][version](tmp_path / "files"))
    seeds = [1, 2, 3, 4, 5] if name == "cifar10" else [1]
    assert images.classes == tuple(NAMES_10 if name == "cifar10" else FINE)
    train = ROWS * len(seeds)
    assert images.splits.tolist() == [TRAIN] * train + [TEST] * ROWS
    assert images.keys[0] == "train/00000"
    assert images.keys[train] == "test/00000"
    expected = [label for seed in [*seeds, 9] for label in labels_of(seed, len(images.classes))]
    assert images.labels.tolist() == expected
    for index, (seed, row) in {0: (1, 0), train - 1: (seeds[-1], ROWS - 1), train + 2: (9, 2)}.items():
        assert np.array_equal(pixels(images, index), planes(seed)[row].reshape(3, 32, 32).transpose(1, 2, 0))
    assert images.path(0) is None


@pytest.mark.parametrize(("name", "version"), CASES)
def test_data_set_keeps_its_promises(tmp_path, name, version):
    check_dataset(SPECS[name], {"path": MAKERS[name][version](tmp_path / "files")})


def test_pixels_are_one_array(tmp_path):
    reader = opened("cifar10", make_binary10(tmp_path / "files")).read
    assert reader.pixels.flags["C_CONTIGUOUS"]
    assert (reader.pixels.dtype, reader.pixels.shape) == (np.uint8, (6 * ROWS, 32, 32, 3))


@pytest.mark.parametrize("maker", [make_python100, make_binary100])
def test_coarse_labels(tmp_path, maker):
    images = opened("cifar100", maker(tmp_path / "files"), labels="coarse")
    assert images.classes == tuple(COARSE)
    assert images.labels.tolist() == labels_of(1, 20) + labels_of(9, 20)


@pytest.mark.parametrize(
    ("name", "folder", "maker"),
    [
        ("cifar10", "cifar-10-batches-py", make_python10),
        ("cifar10", "cifar-10-batches-bin", make_binary10),
        ("cifar100", "cifar-100-python", make_python100),
        ("cifar100", "cifar-100-binary", make_binary100),
    ],
)
def test_folder_around_the_files_and_recognition(tmp_path, name, folder, maker):
    maker(tmp_path / folder)
    assert len(opened(name, tmp_path)) > 0
    other = "cifar100" if name == "cifar10" else "cifar10"
    assert SPECS[name].recognise(tmp_path / folder) == 1.0
    assert 0.8 < SPECS[name].recognise(tmp_path) < 1.0
    assert SPECS[other].recognise(tmp_path) == SPECS[other].recognise(tmp_path / folder) == 0.0
    assert SPECS["folder"].recognise(tmp_path / folder) < 0.1


def test_a_subset_of_the_official_files_is_used_and_said(tmp_path):
    folder = make_python10(tmp_path / "files", batches=2)
    (folder / "test_batch").unlink()
    images = opened("cifar10", folder)
    assert len(images) == 2 * ROWS
    assert images.notes == ("2 of the 5 files of training images are there.", "The file of test images is not there.")


def test_batches_are_in_the_order_of_their_numbers(tmp_path):
    images = opened("cifar10", make_binary10(tmp_path / "files", batches=11))
    assert images.labels.tolist()[: 11 * ROWS] == [label for number in range(1, 12) for label in labels_of(number)]


class Marker:
    """If a reader builds this, it ran what a stranger's file told it to."""

    def __reduce__(self):
        return (os.putenv, ("TLSTUDIO_TEST_MARKER", "built"))


@pytest.mark.parametrize("where", ["batches.meta", "data_batch_1"])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path, where):
    folder = make_python10(tmp_path / "files")
    ran = tmp_path / "ran"
    code = f"cbuiltins\nexec\n(Vopen({str(ran)!r}, 'w')\ntR.".encode()
    (folder / where).write_bytes(code)
    with pytest.raises(DataError, match=r"builtins\.exec, which was not run"):
        opened("cifar10", folder)
    (folder / where).write_bytes(pickle.dumps({b"data": Marker(), b"label_names": Marker(), b"labels": []}))
    with pytest.raises(DataError, match="putenv, which was not run"):
        opened("cifar10", folder)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["numpy\nload", "numpy.core.multiarray\nscalar", "_codecs\ndecode", "copyreg\n_reconstructor"])
def test_neighbours_of_the_names_that_are_known_are_refused_too(tmp_path, name):
    folder = make_python10(tmp_path / "files")
    (folder / "batches.meta").write_bytes(f"c{name}\n.".encode())
    with pytest.raises(DataError, match="which was not run"):
        opened("cifar10", folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"<html>not found</html>", "damaged"),
        (pickle.dumps([1, 2]), "no file of CIFAR"),
        (pickle.dumps({b"labels": [1]}), "no field"),
        (pickle.dumps({b"labels": [1], b"data": planes(1)}), "do not fit together"),
        (pickle.dumps({b"labels": ["x"] * ROWS, b"data": planes(1)}), "a label is no class number"),
        (pickle.dumps({b"labels": [10] * ROWS, b"data": planes(1)}), "outside of the 10 classes"),
        (pickle.dumps({b"labels": [2**40] * ROWS, b"data": planes(1)}), "a label is no class number"),
        (pickle.dumps({b"labels": [1] * ROWS, b"data": planes(1).astype(np.float32)}), "damaged"),
        (pickle.dumps({b"labels": [1] * ROWS, b"data": np.array([object()] * ROWS)}), "damaged"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, said):
    folder = make_python10(tmp_path / "files")
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        opened("cifar10", folder)
    assert "data_batch_3" in caught.value.title
    assert caught.value.hint


def test_a_pickle_cut_anywhere_is_damaged(tmp_path):
    folder = make_python10(tmp_path / "files")
    whole = (folder / "data_batch_1").read_bytes()
    for size in range(1, len(whole), len(whole) // 40):
        (folder / "data_batch_1").write_bytes(whole[:size])
        with pytest.raises(DataError, match="data_batch_1"):
            opened("cifar10", folder)


def test_a_cut_binary_file_is_damaged(tmp_path):
    folder = make_binary10(tmp_path / "files")
    whole = (folder / "data_batch_2.bin").read_bytes()
    (folder / "data_batch_2.bin").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"data_batch_2\.bin is damaged"):
        opened("cifar10", folder)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_no_files_at_all(tmp_path, name):
    with pytest.raises(DataError, match="are not in") as caught:
        opened(name, tmp_path)
    assert "official archive" in caught.value.hint
    assert SPECS[name].recognise(tmp_path / "missing") == 0.0


def test_reading_leaves_nothing_imported(tmp_path):
    modules = set(sys.modules)
    opened("cifar10", make_python10(tmp_path / "files"))
    assert not {module for module in set(sys.modules) - modules if module.startswith("numpy.core")}
