"""Thumbnails: what is in sight comes first, what scrolled away is not decoded, and the next session finds them on disk."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from tlstudio import paths
from tlstudio.api import ImageSet
from tlstudio.api.errors import ImageError
from tlstudio.gui.widgets.thumbnails import SIDES, ThumbnailStore, side_for, to_qimage


class Loader:
    """Decodes plain pictures, notes which, and can be held up."""

    def __init__(self):
        self.asked = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, row, side):
        self.asked.append(row)
        assert self.go_on.wait(20)
        if row == 13:
            raise ImageError("truncated")
        if row == 14:
            raise ValueError("a plugin's mistake")
        return Image.new("RGB", (300, 200), (row % 256, 0, 0))


@pytest.fixture
def loader():
    loader = Loader()
    yield loader
    loader.go_on.set()


@pytest.fixture
def store(qtbot, loader):
    store = ThumbnailStore(loader)
    yield store
    loader.go_on.set()
    store.close()


def wait_for(qtbot, store, rows, side):
    qtbot.waitUntil(lambda: all(store.get(row, side) is not None for row in rows), timeout=20_000)


def test_thumbnails_arrive_and_say_which(qtbot, store):
    came = set()
    store.arrived.connect(lambda rows: came.update(rows))
    store.want(range(12), 96)
    wait_for(qtbot, store, range(12), 96)
    assert came == set(range(12))
    assert store.get(3, 96).pixmap.toImage().pixelColor(5, 5).red() == 3
    assert (store.get(3, 96).pixmap.width(), store.get(3, 96).pixmap.height()) == (96, 64)


def test_what_scrolled_out_of_sight_is_not_decoded(qtbot, store, loader):
    loader.go_on.clear()
    store.want(range(100), 96)
    qtbot.waitUntil(lambda: len(loader.asked) > 0)
    begun = set(loader.asked)
    store.want(range(500, 510), 96)
    loader.go_on.set()
    wait_for(qtbot, store, range(500, 510), 96)
    assert set(loader.asked) - set(range(500, 510)) <= set(range(len(begun) + 4))


def test_nothing_is_decoded_any_more_once_all_in_sight_is_there(qtbot, store, loader):
    store.want(range(500, 503), 96)
    wait_for(qtbot, store, range(500, 503), 96)
    loader.go_on.clear()
    store.want(range(100), 96)
    qtbot.waitUntil(lambda: len(loader.asked) > 3)
    store.want(range(500, 503), 96)
    loader.go_on.set()
    qtbot.waitUntil(lambda: store._workers == 0)
    assert len(loader.asked) < 3 + 10


def test_the_first_wanted_is_the_first_decoded(qtbot, store, loader):
    store.want([7, 3, 5, 1, 9, 11], 96)
    wait_for(qtbot, store, [7, 3, 5, 1, 9, 11], 96)
    assert set(loader.asked[:4]) <= {7, 3, 5, 1, 9}
    assert loader.asked.index(7) < loader.asked.index(11)


def test_a_picture_that_cannot_be_read_has_its_reason(qtbot, store):
    store.want([13, 14], 96)
    wait_for(qtbot, store, [13, 14], 96)
    assert store.get(13, 96).reason == "truncated"
    assert store.get(14, 96).reason == "a plugin's mistake"


def test_another_size_is_shown_until_the_right_one_is_there(qtbot, store, loader):
    store.want([1], 96)
    wait_for(qtbot, store, [1], 96)
    loader.go_on.clear()
    store.want([1], 192)
    assert store.get(1, 192).side == 96
    loader.go_on.set()
    qtbot.waitUntil(lambda: store.get(1, 192).side == 192)


def test_they_are_made_to_fit_their_cells_so_that_painting_need_not_scale(qtbot, store):
    store.want([1], 192, fit=(150, 50))
    qtbot.waitUntil(lambda: store.get(1, 192) is not None)
    assert store.get(1, 192).pixmap.height() == 50
    store.want([1], 192, fit=(120, 120))
    qtbot.waitUntil(lambda: store.get(1, 192).pixmap.height() == 80)


def test_a_cell_that_changes_while_its_picture_is_decoded_gets_one_that_fits(qtbot, store, loader):
    loader.go_on.clear()
    store.want([1], 192, fit=(150, 50))
    qtbot.waitUntil(lambda: loader.asked == [1])
    store.want([1], 192, fit=(120, 120))
    loader.go_on.set()
    qtbot.waitUntil(lambda: store.get(1, 192) is not None and store.get(1, 192).pixmap.height() == 80)


def test_memory_has_a_limit_and_what_was_looked_at_last_stays(qtbot, store, monkeypatch):
    monkeypatch.setattr("tlstudio.gui.widgets.thumbnails._MAX_BYTES", 10 * 96 * 64 * 4)
    for row in range(30):
        store.want([row], 96)
        wait_for(qtbot, store, [row], 96)
        store.get(0, 96)
    assert store.get(0, 96) is not None
    assert store.get(29, 96) is not None
    assert store.get(5, 96) is None


def test_the_next_session_takes_them_from_the_disk(qtbot, folder, monkeypatch):
    keys = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")))
    images = ImageSet(classes=("a",), keys=keys, labels=np.zeros(len(keys), np.int32), root=folder)
    store = ThumbnailStore.of_images(images)
    store.want(range(30), 96)
    wait_for(qtbot, store, range(30), 96)
    store.close()
    file = paths.cache() / "thumbnails" / "thumbnails.sqlite"
    qtbot.waitUntil(lambda: not any(thread.name == "thumbnail cache" for thread in threading.enumerate()))
    assert file.stat().st_size > 30 * 100
    monkeypatch.setattr(ImageSet, "load", lambda *_, **__: pytest.fail("decoded again"))
    again = ThumbnailStore.of_images(images)
    again.want(range(30), 96)
    wait_for(qtbot, again, range(30), 96)
    assert all(again.get(row, 96).whole and not again.get(row, 96).reason for row in range(30))
    again.close()


def test_a_broken_cache_file_costs_nothing_but_time(qtbot, folder):
    file = paths.cache() / "thumbnails" / "thumbnails.sqlite"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not a database" * 1000)
    images = ImageSet(classes=("a",), keys=("blue/blue_000.png",), labels=np.zeros(1, np.int32), root=folder)
    store = ThumbnailStore.of_images(images)
    store.want([0], 96)
    wait_for(qtbot, store, [0], 96)
    assert not store.get(0, 96).reason
    store.close()


def test_the_smallest_side_that_is_large_enough_is_decoded():
    assert [side_for(pixels) for pixels in (10, 96, 97, 320, 5000)] == [96, 96, 192, 384, SIDES[-1]]


@pytest.mark.parametrize("band", [2**19, 16])
def test_pixels_keep_their_place_and_colour_at_any_size(monkeypatch, band):
    monkeypatch.setattr("tlstudio.gui.widgets.thumbnails._BAND_PIXELS", band)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = to_qimage(Image.fromarray(pixels))
    assert (image.width(), image.height()) == (7, 5)
    assert all(image.pixelColor(x, y).getRgb()[:3] == tuple(pixels[y, x].tolist()) for y in range(5) for x in range(7))
