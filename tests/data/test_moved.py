"""Images that were moved are found again by the beginning of their path, and the user's work on them with them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tlstudio.api.config import DataConfig
from tlstudio.data.curation import Curation, with_chosen_split, work_folder
from tlstudio.data.edits import Exclude
from tlstudio.data.moved import Move, before, count_found, current, note_place, read_moves, relocated, remember, widest


@pytest.mark.parametrize(
    ("old", "new", "move"),
    [
        ("/usb/photos/bees", "/home/me/photos/bees", ("/usb", "/home/me")),
        ("/usb/bees", "/usb/wasps", ("/usb/bees", "/usb/wasps")),
        ("/bees", "/home/bees", ("/bees", "/home/bees")),
        ("D:\\photos\\bees", "/media/disk/photos/bees", ("D:", "/media/disk")),
    ],
)
def test_the_move_is_as_wide_as_what_both_paths_end_in(old, new, move):
    found = widest(old, new)
    assert found.applied(old) == new
    if not old.startswith("/bees"):
        assert (found.old, found.new) == move


def test_only_whole_names_count():
    move = Move(old="/usb/a", new="/disk/a")
    assert move.applied("/usb/a/b") == "/disk/a/b"
    assert move.applied("/usb/ab") is None
    assert move.undone("/disk/a/b") == "/usb/a/b"


def test_what_is_in_its_place_stays_and_what_is_gone_is_found(tmp_path):
    workspace, there, gone = tmp_path / "workspace", tmp_path / "there", tmp_path / "old" / "bees"
    there.mkdir()
    (tmp_path / "new" / "bees").mkdir(parents=True)
    move = Move(old=str(tmp_path / "old"), new=str(tmp_path / "new"))
    assert current(str(gone), workspace) == str(gone)
    remember(workspace, move)
    remember(workspace, move)
    assert read_moves(workspace) == (move,)
    assert current(str(there), workspace) == str(there)
    assert current(str(gone), workspace) == str(tmp_path / "new" / "bees")
    assert current(str(tmp_path / "old" / "wasps"), workspace) == str(tmp_path / "old" / "wasps")
    assert count_found(move, [str(there), str(gone), str(gone), str(tmp_path / "old" / "wasps")]) == (1, 2)
    (workspace / "moved.json").write_text("{")
    assert read_moves(workspace) == ()


def test_edits_and_splits_of_the_old_place_go_on(catalog, photos, tmp_path):
    workspace = tmp_path / "workspace"
    before = DataConfig(path=str(photos), split="stratified", split_seed=7)
    curation = Curation(catalog.open_images(before), before, workspace)
    curation.add(Exclude(keys=(curation.original.keys[3],)))
    curation.choose_split()
    curation.fix_splits()
    (tmp_path / "elsewhere").mkdir()
    shutil.move(photos, tmp_path / "elsewhere" / "photos")
    remember(workspace, widest(str(photos), str(tmp_path / "elsewhere" / "photos")))
    now = relocated(DataConfig(path=str(photos)), workspace)
    assert now.path == str(tmp_path / "elsewhere" / "photos")
    chosen = with_chosen_split(now, workspace)
    assert (chosen.split, chosen.split_seed) == ("stratified", 7)
    again = Curation(catalog.open_images(chosen), chosen, workspace)
    assert work_folder(now, workspace) == curation.folder
    assert np.array_equal(again.table.excluded, curation.table.excluded)
    assert np.array_equal(again.table.splits, curation.table.splits)


def test_images_that_were_moved_into_a_project_are_found_after_that_was_moved_too(tmp_path):
    old, new, first = tmp_path / "old", tmp_path / "new", "/usb/bees"
    (old / "photos" / "bees").mkdir(parents=True)
    note_place(old / "work", str(old / "photos" / "bees"))
    assert not (old / "work").exists()  # whoever works in it makes it
    remember(old / "work", Move(old="/usb", new=str(old / "photos")))
    note_place(old / "work", str(old / "photos" / "bees"))
    shutil.move(old, new)
    now = str(new / "photos" / "bees")
    assert current(first, new / "work") == now
    assert current(str(old / "photos" / "bees"), new / "work") == now
    assert before(now, new / "work") == [str(old / "photos" / "bees"), first]


def test_a_workspace_that_has_nothing_to_do_with_the_images_keeps_no_place(tmp_path):
    work = tmp_path / "mine" / "work"
    work.mkdir(parents=True)
    note_place(work, str(tmp_path / "photos"))
    note_place(work, None)
    assert list(work.iterdir()) == []
