"""The MNIST family from its official IDX files: names, splits, orientation, and files that are damaged."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from dataset_kinds import ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlstudio_datasets
from tlstudio.api import TEST, TRAIN, DataError, ImageSet
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["mnist"]
opened, refused = ways(SPEC)
FASHION = Path("/usr/share/datasets/fashion-mnist")


def idx(values):
    values = np.asarray(values, np.uint8)
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), np.uint8)


def write(folder, prefix="", words=("train", "t10k"), counts=(20, 10), first=0, packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (word, count) in enumerate(zip(words, counts, strict=True)):
        for name, data in (
            (f"{prefix}{word}-images-idx3-ubyte", idx(pictures(count, seed))),
            (f"{prefix}{word}-labels-idx1-ubyte", idx(np.arange(count) % 10 + first)),
        ):
            (folder / f"{name}{'.gz' if packed else ''}").write_bytes(gzip.compress(data) if packed else data)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_images_labels_and_splits(tmp_path, packed):
    images = opened(write(tmp_path / "mnist", packed=packed))
    assert images.classes == tuple("0123456789")
    assert images.labels.tolist() == [index % 10 for index in (*range(20), *range(10))]
    assert images.splits.tolist() == [TRAIN] * 20 + [TEST] * 10
    assert images.keys[:2] == ("train/000000", "train/000001")
    assert images.keys[-1] == "test/000009"
    assert np.array_equal(np.asarray(images.load(3))[..., 0], pictures(20)[3])
    assert len(images.sources) == 4
    check_dataset(SPEC, {"path": tmp_path / "mnist"})


@pytest.mark.parametrize(
    ("folder", "options", "first"),
    [
        ("FashionMNIST/raw", {}, "T-shirt/top"),
        ("fashion-mnist", {}, "T-shirt/top"),
        ("KMNIST/raw", {}, "o"),
        ("x", {"names": "kuzushiji"}, "o"),
        ("fashion", {"names": "digits"}, "0"),
    ],
)
def test_names_of_the_classes(tmp_path, folder, options, first):
    images = opened(write(tmp_path / folder), **options)
    assert images.classes[0] == first
    assert len(images.classes) == 10


def test_names_that_nothing_tells_are_numbers_and_said(tmp_path):
    images = opened(write(tmp_path / "x"))
    assert images.classes[0] == "0"
    assert any("option names" in note for note in images.notes)


@pytest.mark.parametrize(("variant", "classes"), [("balanced", 47), ("byclass", 62), ("letters", 26), ("digits", 10)])
def test_emnist_is_put_upright(tmp_path, variant, classes):
    first = int(variant == "letters")
    images = opened(write(tmp_path / "gzip", f"emnist-{variant}-", ("train", "test"), first=first, packed=True))
    assert len(images.classes) == classes
    assert images.labels[:3].tolist() == [0, 1, 2]
    assert np.array_equal(np.asarray(images.load(0))[..., 0], pictures(20)[0].T)
    check_dataset(SPEC, {"path": tmp_path})


def test_the_variant_of_emnist_can_be_chosen(tmp_path):
    write(tmp_path, "emnist-balanced-", ("train", "test"))
    write(tmp_path, "emnist-letters-", ("train", "test"), first=1)
    assert len(opened(tmp_path).classes) == 47
    assert len(opened(tmp_path, variant="letters").classes) == 26
    assert "not in" in refused(tmp_path, variant="mnist").title


def test_a_missing_part_is_said(tmp_path):
    write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert any("test images is not there" in note for note in opened(tmp_path).notes)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("train-images-idx3-ubyte", lambda data: data[:-1], "should hold 15,680 bytes"),
        ("train-images-idx3-ubyte", lambda data: data + b"0", "holds more"),
        ("train-images-idx3-ubyte", lambda data: data[:4] + b"\xff" * 12, "says that it holds"),
        ("train-images-idx3-ubyte", lambda data: b"\0\0\x0d\x03" + data[4:], "no file of the MNIST family"),
        ("train-images-idx3-ubyte", lambda data: b"", "no file of the MNIST family"),
        ("train-labels-idx1-ubyte", lambda data: idx(np.zeros(19)), "do not fit together"),
        ("train-labels-idx1-ubyte", lambda data: idx(np.full(20, 11)), "not those of 10 classes"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, change, words):
    file = write(tmp_path) / name
    file.write_bytes(change(file.read_bytes()))
    error = refused(tmp_path)
    assert words in error.title
    assert error.hint


def test_a_damaged_archive_is_refused(tmp_path):
    file = write(tmp_path, packed=True) / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-30])
    assert "damaged" in refused(tmp_path).title
    file.write_bytes(b"text")
    assert "cannot be read" in refused(tmp_path).title


def test_how_sure(tmp_path):
    assert SPEC.recognise(write(tmp_path / "MNIST/raw")) == 1.0
    assert SPEC.recognise(tmp_path) == 0.97
    assert SPEC.recognise(tmp_path / "missing") == 0.0
    assert SPECS["folder"].recognise(tmp_path) < 0.5


@pytest.mark.skipif(not FASHION.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_the_official_files_of_fashion_mnist():
    images = opened(FASHION)
    assert len(images) == 70_000
    assert np.bincount(images.labels).tolist() == [7000] * 10
    assert images.classes[images.labels[0]] == "Ankle boot"
    assert images.notes == ()
    check_dataset(SPEC, {"path": FASHION})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(images=st.binary(max_size=60), labels=st.binary(max_size=20), proper=st.booleans())
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, images, labels, proper):
    sizes = b"".join(size.to_bytes(4, "big") for size in (len(labels), 2, 2))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + images if proper else images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(list(labels)) if proper else labels)
    try:
        assert isinstance(opened(tmp_path), ImageSet)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
