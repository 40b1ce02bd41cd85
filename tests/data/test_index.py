"""The index: opening again is reading a file, and nothing that changed on the disk is overlooked."""

from __future__ import annotations

import os
import sqlite3

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import ImageSet
from tlstudio.api.config import DataConfig
from tlstudio.data.index import Index, forget, stale_rows
from tlstudio.data.measure import MEASURED, NOT_MEASURED, measure

LONG_AGO = 1_600_000_000


def age(folder):
    for path, _folders, files in os.walk(folder):
        for name in files:
            os.utime(os.path.join(path, name), (LONG_AGO, LONG_AGO))
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    for name in ("ant/1.png", "ant/2.png", "bee/caf\udce9.png", "bee/deep/3.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(path)
    (root / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("path,label")
    age(root)
    os.utime(tmp_path / "labels.csv", (LONG_AGO, LONG_AGO))
    return root


def table(root, *, keys=("ant/1.png", "ant/2.png", "bee/caf\udce9.png", "bee/deep/3.png"), **columns):
    return ImageSet(classes=("ant", "bee"), keys=keys, labels=np.array([0] * len(keys), np.int32), root=root, **columns)


@pytest.fixture
def index(folder, tmp_path):
    return Index(DataConfig(path=str(folder)), folder=tmp_path / "cache")


def same(one, other):
    for name in ("classes", "keys", "groups", "files", "root", "sources", "notes"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("labels", "splits", "boxes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_table_comes_back_as_it_was(folder, index):
    images = table(
        folder,
        splits=np.array([0, 1, 2, -1], np.int8),
        groups=("p", "", "q", "ü"),
        files=("ant/1.png",) * 4,
        boxes=np.arange(16, dtype=np.float32).reshape(4, 4),
        sources=(str(folder.parent / "labels.csv"),),
        notes=("Left out: 3.",),
    )
    assert index.save_images(images)
    same(index.load_images(), images)
    plain = table(folder)
    assert index.save_images(plain)
    same(index.load_images(), plain)


@pytest.mark.parametrize(
    "change", ["a new image", "an image gone", "a new folder", "an image in an empty folder", "labels", "root"]
)
def test_a_change_in_the_folder_opens_it_anew(folder, index, change):
    index.save_images(table(folder, sources=(str(folder.parent / "labels.csv"),)))
    assert index.load_images() is not None
    if change == "a new image":
        (folder / "bee" / "deep" / "4.png").touch()
    elif change == "an image gone":
        (folder / "ant" / "1.png").unlink()
    elif change == "a new folder":
        (folder / "wasp").mkdir()
    elif change == "an image in an empty folder":
        (folder / "empty" / "5.png").touch()
    elif change == "labels":
        (folder.parent / "labels.csv").write_text("path,label,split")
    else:
        folder.rename(folder.with_name("moved"))
    assert index.load_images() is None


def test_a_folder_that_has_only_just_changed_is_not_trusted(folder, index):
    os.utime(folder / "ant")
    index.save_images(table(folder))
    assert index.load_images() is None


def test_measures_follow_their_images_when_others_come_and_go(folder, index):
    images = table(folder)
    index.save_measures(images, measure(images))
    again = index.load_measures(images)
    assert (again.state == MEASURED).all()
    assert again.width.tolist() == [8] * 4
    other = table(folder, keys=("bee/deep/3.png", "new.png", "ant/1.png"))
    found = index.load_measures(other)
    assert found.state.tolist() == [MEASURED, NOT_MEASURED, MEASURED]
    assert found.digest[0].tolist() == again.digest[3].tolist()


def test_reasons_stay_with_their_images(folder, index):
    (folder / "ant" / "2.png").write_bytes(b"no image")
    images = table(folder)
    index.save_measures(images, measure(images))
    other = table(folder, keys=("new.png", "ant/2.png"))
    assert index.load_measures(other).reasons == {1: "not an image"}


def test_a_part_that_was_measured_later_is_added(folder, index):
    images = table(folder)
    first = measure(images, rows=np.array([0]))
    index.save_measures(images, first)
    second = measure(images, known=first, rows=np.array([2]))
    index.save_measures(images, second, rows=np.array([2]))
    assert index.load_measures(images).state.tolist() == [MEASURED, NOT_MEASURED, MEASURED, NOT_MEASURED]


def test_only_files_that_changed_are_measured_again(folder, index):
    images = table(folder)
    measures = measure(images)
    assert not len(stale_rows(images, measures))
    Image.new("RGB", (20, 20)).save(folder / "ant" / "2.png")
    (folder / "bee" / "deep" / "3.png").unlink()
    stale = stale_rows(images, measures)
    assert stale.tolist() == [1, 3]
    again = measure(images, known=forget(measures, stale))
    assert again.width.tolist()[:3] == [8, 20, 8]
    assert list(again.reasons) == [3]
    assert not len(stale_rows(images, again))


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 and no more", b"x" * 5000])
def test_a_damaged_index_is_rebuilt_and_never_an_error(folder, index, damage):
    images = table(folder)
    index.save_images(images)
    index.path.write_bytes(damage)
    assert index.load_images() is None
    assert (index.load_measures(images).state == NOT_MEASURED).all()
    assert index.save_images(images)
    same(index.load_images(), images)


def test_a_locked_index_is_passed_by(folder, index, monkeypatch):
    index.save_images(table(folder))
    monkeypatch.setattr("tlstudio.data.index._PATIENCE_S", 0.05)
    with sqlite3.connect(index.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert index.load_images() is None
        assert not index.save_images(table(folder))


def test_images_in_memory_have_measures_but_no_table(index):
    images = ImageSet(classes=("a", "b"), keys=("x", "y"), labels=np.array([0, 1], np.int32), read=Grey())
    assert not index.save_images(images)
    assert index.save_measures(images, measure(images))
    assert (index.load_measures(images).state == MEASURED).all()


class Grey:
    def __call__(self, index):
        return Image.new("RGB", (4, 4), (index, index, index))


def test_another_plugin_may_open_the_folder_otherwise(folder, tmp_path):
    config = DataConfig(path=str(folder))
    Index(config, kinds=["folder"], folder=tmp_path / "cache").save_images(table(folder))
    other = Index(config, kinds=["folder", "better"], folder=tmp_path / "cache")
    assert other.load_images() is None
    other.save_measures(table(folder), measure(table(folder)))
    assert Index(config, kinds=["folder"], folder=tmp_path / "cache").load_images() is not None
