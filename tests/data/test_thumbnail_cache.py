"""The disk cache of thumbnails: what is kept, what goes first, and that nothing about its file can trouble the user."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import ImageSet
from tlstudio.api.errors import ImageError
from tlstudio.data.thumbnails import CachedThumbnails, Thumb, ThumbnailCache, shrink, thumbnail_key


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def key(number):
    return (number << 64).to_bytes(16, "big")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache" / "thumbnails"


@pytest.fixture
def cache(folder):
    cache = ThumbnailCache(folder)
    yield cache
    assert cache.flush()
    cache.close()


@pytest.fixture
def images(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    noise(400, 300).save(root / "large.png")
    noise(20, 10).save(root / "small.png")
    return ImageSet(classes=("a",), keys=("large.png", "small.png"), labels=np.zeros(2, np.int32), root=root)


def test_a_thumbnail_is_there_in_the_next_session(cache, folder):
    photo = noise(8, 6).resize((64, 48), Image.Resampling.BICUBIC)
    cache.put(key(1), Thumb(photo, whole=False))
    assert cache.flush()
    found = ThumbnailCache(folder).get(key(1))
    assert found.picture.size == (64, 48)
    assert not found.whole
    assert np.abs(np.asarray(found.picture, float) - np.asarray(photo, float)).mean() < 8
    assert ThumbnailCache(folder).get(key(2)) is None


def test_a_small_image_keeps_every_pixel(cache):
    cache.put(key(1), Thumb(noise(8, 8), whole=True))
    cache.flush()
    found = cache.get(key(1))
    assert found.whole
    assert np.array_equal(np.asarray(found.picture), np.asarray(noise(8, 8)))


def test_a_second_look_decodes_nothing(cache, images, monkeypatch):
    first = [CachedThumbnails(images, cache)(row, 96) for row in range(2)]
    cache.flush()
    monkeypatch.setattr(ImageSet, "load", lambda *_, **__: pytest.fail("decoded again"))
    again = [CachedThumbnails(images, cache)(row, 96) for row in range(2)]
    assert [(thumb.picture.size, thumb.whole) for thumb in again] == [((96, 72), False), ((20, 10), True)]
    assert [thumb.picture.size for thumb in first] == [thumb.picture.size for thumb in again]


def test_a_changed_file_shows_its_new_picture(cache, images):
    CachedThumbnails(images, cache)(1, 96)
    cache.flush()
    path = images.path(1)
    Image.new("RGB", (20, 10), "red").save(path)
    os.utime(path, ns=(1, 1))
    assert CachedThumbnails(images, cache)(1, 96).picture.getpixel((5, 5)) == (255, 0, 0)


def test_boxes_of_one_picture_are_told_apart(cache, images):
    box = {"keys": ("left", "right"), "files": ("large.png", "large.png")}
    parts = ImageSet(classes=("a",), labels=np.zeros(2, np.int32), root=images.root, **box,
                     boxes=np.array([[0, 0, 100, 300], [100, 0, 400, 300]], np.float32))  # fmt: skip
    for _ in range(2):
        assert [CachedThumbnails(parts, cache)(row, 96).picture.size for row in range(2)] == [(32, 96), (96, 96)]
        cache.flush()


def test_data_without_files_and_missing_files_have_no_key(images):
    memory = ImageSet(classes=("a",), keys=("0",), labels=np.zeros(1, np.int32), read=lambda _index: noise(8, 8))
    assert thumbnail_key(memory, 0, 96) is None
    images.path(0).unlink()
    assert thumbnail_key(images, 0, 96) is None


def test_an_unreadable_image_says_why_each_time(cache, images):
    images.path(0).write_bytes(b"")
    for _ in range(2):
        with pytest.raises(ImageError, match="empty file"):
            CachedThumbnails(images, cache)(0, 96)
        cache.flush()


def test_nothing_is_written_beside_the_images(cache, images):
    before = sorted(images.root.rglob("*"))
    CachedThumbnails(images, cache)(0, 96)
    cache.flush()
    assert sorted(images.root.rglob("*")) == before


def test_beyond_the_budget_what_was_not_looked_at_for_longest_goes(folder):
    day, now = 86_400.0, [0.0]
    cache = ThumbnailCache(folder, budget=400_000, clock=lambda: now[0])
    for number in range(20):
        now[0] += day
        cache.put(key(number), Thumb(noise(64, 64, number), whole=True))
        cache.flush()
    now[0] += day
    assert cache.get(key(0)) is not None
    cache.flush()
    for number in range(20, 40):
        now[0] += day
        cache.put(key(number), Thumb(noise(64, 64, number), whole=True))
        cache.flush()
    kept = [number for number in range(40) if cache.get(key(number)) is not None]
    assert kept[0] == 0, "it was looked at again"
    assert 5 < len(kept) < 30
    assert kept[1:] == list(range(kept[1], 40))
    cache.flush()
    cache.close()
    assert (folder / "thumbnails.sqlite").stat().st_size < 500_000


@pytest.mark.parametrize("damage", ["not a database", "cut short", "overwritten", "another layout"])
def test_a_broken_file_is_thrown_away_and_begun_again(folder, damage):
    before = ThumbnailCache(folder)
    for number in range(50):
        before.put(key(number), Thumb(noise(64, 64, number), whole=True))
    before.flush()
    before.close()
    file = folder / "thumbnails.sqlite"
    data = file.read_bytes()
    if damage == "not a database":
        file.write_bytes(b"x" * 10_000)
    elif damage == "cut short":
        file.write_bytes(data[: len(data) // 3])
    elif damage == "overwritten":
        file.write_bytes(data[:8192] + b"\xff" * (len(data) - 8192))
    else:
        with closing(sqlite3.connect(file)) as connection:
            connection.executescript("DROP TABLE thumbnails; CREATE TABLE thumbnails (something INTEGER);")
    cache = ThumbnailCache(folder)
    for number in range(50):
        cache.get(key(number))
    cache.put(key(99), Thumb(noise(8, 8), whole=True))
    cache.flush()
    cache.put(key(99), Thumb(noise(8, 8), whole=True))
    cache.flush()
    assert cache.get(key(99)) is not None
    cache.close()


def test_a_locked_file_is_done_without(cache, folder):
    cache.put(key(1), Thumb(noise(8, 8), whole=True))
    cache.flush()
    with closing(sqlite3.connect(folder / "thumbnails.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        cache.put(key(2), Thumb(noise(8, 8), whole=True))
        assert cache.flush()
        assert cache.get(key(2)) is None
        other.execute("ROLLBACK")
    cache.put(key(2), Thumb(noise(8, 8), whole=True))
    cache.flush()
    assert cache.get(key(2)) is not None
    assert cache.get(key(1)) is not None, "a locked file is not a broken one"


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = ThumbnailCache(tmp_path / "file" / "thumbnails")
    for number in range(100):
        assert cache.get(key(number)) is None
        cache.put(key(number), Thumb(noise(8, 8), whole=True))
    assert cache.flush()


def test_bytes_that_rotted_are_decoded_from_the_image_again(cache, folder, images):
    CachedThumbnails(images, cache)(1, 96)
    cache.flush()
    with closing(sqlite3.connect(folder / "thumbnails.sqlite")) as connection, connection:
        connection.execute("UPDATE thumbnails SET data = x'00'")
    assert CachedThumbnails(images, cache)(1, 96).picture.size == (20, 10)


def test_many_threads_read_and_write_at_once(cache):
    wrong = []

    def work(thread):
        for number in range(100):
            at = key(thread * 1000 + number)
            cache.put(at, Thumb(noise(4, 4, number), whole=True))
            found = cache.get(at)
            if found is not None and not np.array_equal(np.asarray(found.picture), np.asarray(noise(4, 4, number))):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.flush()
    assert wrong == []
    assert all(cache.get(key(i * 1000 + 99)) is not None for i in range(4))


def test_shrinking_keeps_the_shape_and_leaves_small_images_alone():
    assert shrink(noise(400, 100), 96).picture.size == (96, 24)
    assert shrink(noise(96, 96), 96).whole
    assert not shrink(noise(97, 10), 96).whole
