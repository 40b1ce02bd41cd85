"""A second look at the same images reads only what is new or changed, and a look that was cut off goes on where it was."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import ImageSet
from tlstudio.api.config import DataConfig
from tlstudio.data import measure as measuring
from tlstudio.data.index import Index, forget
from tlstudio.data.measure import MEASURED, NOT_MEASURED
from tlstudio.data.scan import duplicates_in, look_up, measure_missing


@pytest.fixture
def images(tmp_path):
    for i in range(6):
        Image.new("RGB", (8 + i, 6), (40 * i, 0, 0)).save(tmp_path / f"{i}.png")
    return ImageSet(classes=("a",), keys=tuple(f"{i}.png" for i in range(6)), labels=np.zeros(6, np.int32), root=tmp_path)


@pytest.fixture
def index(images, tmp_path_factory):
    return Index(DataConfig(path=str(images.root)), folder=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read whole."""
    names = []
    real = measuring.read_bytes

    def reading(path):
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(measuring, "read_bytes", reading)
    return names


def test_sizes_are_known_before_any_image_is_decoded(images, index, read):
    measures = look_up(images, index)
    assert measures.width.tolist() == [8, 9, 10, 11, 12, 13]
    assert (measures.file_size > 0).all()
    assert (measures.state == NOT_MEASURED).all()
    assert not read
    assert index.load_measures(images).width.tolist() == measures.width.tolist()


def test_the_second_time_only_what_changed_is_read(images, index, read):
    measure_missing(images, look_up(images, index), index)
    assert sorted(read) == [f"{i}.png" for i in range(6)]
    read.clear()
    Image.new("RGB", (30, 30)).save(images.root / "3.png")
    measures = measure_missing(images, look_up(images, index), index)
    assert read == ["3.png"]
    assert measures.width.tolist() == [8, 9, 10, 30, 12, 13]
    assert (measures.state == MEASURED).all()


def test_what_was_measured_before_the_user_gave_up_is_kept(images, index, read, monkeypatch):
    monkeypatch.setattr("tlstudio.data.scan._AT_ONCE", 2)
    told = []

    def progress(done, total):
        told.append((done, total))
        return done < 4

    measure_missing(images, look_up(images, index), index, progress=progress)
    assert told[-1] == (4, 6)
    read.clear()
    measures = measure_missing(images, look_up(images, index), index)
    assert sorted(read) == ["4.png", "5.png"]
    assert (measures.state == MEASURED).all()


def test_near_duplicates_are_looked_for_once(images, index, monkeypatch):
    from tlstudio.data import scan

    Image.effect_noise((64, 48), 80).save(images.root / "0.png")
    Image.open(images.root / "0.png").save(images.root / "1.png", compress_level=1)
    measures = measure_missing(images, look_up(images, index), index)
    first = duplicates_in(measures, index)
    assert list(zip(first.first.tolist(), first.second.tolist(), strict=True)) == [(0, 1)]

    def never(*_args, **_options):
        raise AssertionError("looked again")

    monkeypatch.setattr(scan, "near_pairs", never)
    again = duplicates_in(measures, index)
    assert (again.first.tolist(), again.similarity.tolist()) == ([0], first.similarity.tolist())
    for changed, flips in ((measures, True), (forget(measures, np.array([1])), False)):
        with pytest.raises(AssertionError, match="looked again"):
            duplicates_in(changed, index, flips=flips)


def test_a_search_that_was_ended_is_not_taken_for_a_whole_one(images, index):
    for i in range(6):
        Image.effect_noise((64, 48), 80).save(images.root / f"{i}.png")
    measures = measure_missing(images, look_up(images, index), index)
    duplicates_in(measures, index, progress=lambda _done, _total: False)
    assert index.load_pairs(measures, flips=False) is None
