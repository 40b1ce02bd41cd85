"""What is kept on disk comes back as it was, or not at all."""

from __future__ import annotations

import errno
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlstudio.engine import rowstore
from tlstudio.engine.rowstore import RowStore, make_room


def key(number):
    return number.to_bytes(16, "little")


def filled(folder, count=5, **options):
    store = RowStore(folder, np.uint8, budget=10**6, **options)
    for i in range(count):
        assert store.put(key(i), np.full((i + 1, 3), i, np.uint8))
    return store


@given(shapes=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), max_size=20), dtype=st.sampled_from("Bef"))
@settings(max_examples=30, deadline=None)
def test_arrays_of_any_shape_come_back_in_this_process_and_in_the_next(tmp_path_factory, shapes, dtype):
    folder = tmp_path_factory.mktemp("store")
    arrays = [(100 * np.random.default_rng(i).random(shape)).astype(dtype) for i, shape in enumerate(shapes)]
    store = RowStore(folder, dtype, budget=10**6)
    for number, array in enumerate(arrays):
        assert store.put(key(number), array)
    for _ in range(2):
        for number, array in enumerate(arrays):
            np.testing.assert_array_equal(store.get(key(number)), array)
        store.close()
        store = RowStore(folder, dtype, budget=10**6)
    assert len(store) == len(arrays)
    store.close()


def test_what_was_not_saved_when_the_process_died_is_not_there_and_does_not_disturb(tmp_path):
    store = filled(tmp_path / "s")
    store.save()
    store.put(key(9), np.ones(1000, np.uint8))
    store._release()  # as a dying process does: nothing is saved
    again = RowStore(tmp_path / "s", np.uint8, budget=10**6)
    assert len(again) == 5
    assert again.get(key(9)) is None
    assert again.put(key(10), np.full(7, 3, np.uint8))
    assert again.get(key(10)).tolist() == [3] * 7
    assert again.get(key(4)).tolist() == [[4, 4, 4]] * 5
    again.close()


def test_a_flipped_bit_and_a_cut_file_are_found(tmp_path):
    filled(tmp_path / "s").close()
    path = tmp_path / "s" / "data.bin"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data[:-1])
    store = RowStore(tmp_path / "s", np.uint8, budget=10**6)
    assert store.get(key(0)) is None
    assert store.get(key(4)) is None
    assert store.get(key(1)).tolist() == [[1, 1, 1]] * 2
    assert store.put(key(0), np.zeros((1, 3), np.uint8)), "what was damaged can be kept anew"
    assert store.get(key(0)).tolist() == [[0, 0, 0]]
    store.close()


@pytest.mark.parametrize("name", ["index.npy", "about.json"])
def test_a_damaged_index_means_starting_anew(tmp_path, name):
    filled(tmp_path / "s").close()
    (tmp_path / "s" / name).write_bytes(b"\x93NUMPY nonsense")
    store = filled(tmp_path / "s")
    assert len(store) == 5
    store.close()


def test_another_kind_of_data_in_the_folder_is_never_read(tmp_path):
    filled(tmp_path / "s", about={"of": "one"}).close()
    store = RowStore(tmp_path / "s", np.uint8, budget=10**6, about={"of": "another"})
    assert len(store) == 0
    store.close()


def test_the_budget_holds(tmp_path):
    store = RowStore(tmp_path / "s", np.uint8, budget=1000)
    assert store.put(key(0), np.zeros(900, np.uint8))
    assert not store.put(key(1), np.zeros(101, np.uint8))
    assert store.put(key(2), np.zeros(100, np.uint8))
    store.close()


def test_a_second_process_reads_but_does_not_write(tmp_path):
    first = filled(tmp_path / "s")
    first.save()
    second = RowStore(tmp_path / "s", np.uint8, budget=10**6)
    assert second.get(key(2)).tolist() == [[2, 2, 2]] * 3
    assert not second.put(key(7), np.zeros(3, np.uint8))
    second.close()
    assert first.put(key(7), np.zeros(3, np.uint8))
    first.close()


def test_a_full_disk_only_means_that_less_is_kept(tmp_path, monkeypatch):
    store = filled(tmp_path / "s")

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(rowstore, "_write_at", full)
    assert not store.put(key(8), np.zeros(3, np.uint8))
    assert store.get(key(1)) is not None
    store.close()


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    store = RowStore(tmp_path / "file" / "s", np.uint8, budget=10**6)
    assert not store.put(key(0), np.zeros(3, np.uint8))
    assert store.get(key(0)) is None
    store.close()


def test_threads_share_a_store(tmp_path):
    store = RowStore(tmp_path / "s", np.uint8, budget=10**8)

    def work(first):
        for number in range(first, 400, 4):
            store.put(key(number), np.full(1 + number, number % 256, np.uint8))
            assert store.get(key(number))[0] == number % 256

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(400):
        np.testing.assert_array_equal(store.get(key(number)), np.full(1 + number, number % 256, np.uint8))
    store.close()


def test_room_is_made_by_deleting_what_was_not_used_for_longest(tmp_path):
    import os

    for age, name in enumerate(["old", "middle", "new"]):
        filled(tmp_path / name, count=40).close()
        os.utime(tmp_path / name / "about.json", (1000 + age, 1000 + age))
    size = (tmp_path / "old" / "data.bin").stat().st_size
    writing = RowStore(tmp_path / "old", np.uint8, budget=10**6)
    os.utime(tmp_path / "old" / "about.json", (1000, 1000))
    assert make_room(tmp_path, 2 * size) == 2 * size
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new"}, "what is being written stays"
    writing.close()
    assert make_room(tmp_path, size - 1, keep=[tmp_path / "old"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"old"}
