"""The sample of handwritten digits that comes with the installation."""

import numpy as np
import pytest

import tlstudio_datasets
from tlstudio.testing import check_dataset

SPEC = next(spec for spec in tlstudio_datasets.register_datasets() if spec.name == "digits")


@pytest.fixture(scope="module")
def digits():
    return SPEC.open(SPEC.options())


def test_data_set_keeps_its_promises():
    check_dataset(SPEC)


def test_there_are_1797_digits_in_ten_classes(digits):
    assert len(digits) == 1797
    assert digits.classes == tuple("0123456789")
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.splits is None
    assert digits.path(0) is None


def test_keys_name_the_class(digits):
    assert all(key.startswith(f"{digits.classes[label]}/") for key, label in zip(digits.keys, digits.labels, strict=True))
    assert digits.keys[0] == "0/0001"


def test_values_use_the_full_range(digits):
    images = [np.asarray(digits.load(index)) for index in range(100)]
    assert all(image.shape == (8, 8, 3) and image.dtype == np.uint8 for image in images)
    assert min(image.min() for image in images) == 0
    assert max(image.max() for image in images) == 255


def test_the_source_is_named(digits):
    assert SPEC.recognise is None
    for said in (SPEC.about, *digits.notes):
        assert "Alpaydin" in said
        assert "CC BY 4.0" in said


def test_they_are_the_digits_of_the_original(digits):
    original = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn").load_digits()
    assert digits.labels.tolist() == original.target.tolist()
    ours = np.stack([np.asarray(digits.load(index))[..., 0] for index in range(len(digits))])
    assert np.array_equal(np.rint(ours / (255 / 16)), original.images)
