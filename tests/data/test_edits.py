"""Edits lie beside the images: undone without a trace, there again after a restart, and splits stay where they were."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlstudio import faults, safe_io
from tlstudio.api import TEST, TRAIN, VAL, ImageSet
from tlstudio.api.config import DataConfig
from tlstudio.api.errors import DataError
from tlstudio.data.curation import Curation, identity
from tlstudio.data.edits import Exclude, Journal, MoveToSplit, Relabel, RenameClass, Tag, Together

CLASSES = ("ant", "bee", "fly")


def images(n=12, labels=None, splits=None):
    return ImageSet(
        classes=CLASSES,
        keys=tuple(f"{i:03}.jpg" for i in range(n)),
        labels=np.array(labels if labels is not None else [i % 3 for i in range(n)], np.int32),
        splits=splits,
        read=int,
    )


@pytest.fixture
def curation(tmp_path):
    return Curation(images(), CONFIG, tmp_path)


CONFIG = DataConfig(path="/data/insects")
KEYS = st.lists(st.sampled_from([f"{i:03}.jpg" for i in range(14)]), min_size=1, max_size=5).map(tuple)
NAMES = st.sampled_from([*CLASSES, "wasp", "Ameise 蚁"])
SIMPLE = st.one_of(
    st.builds(Relabel, keys=KEYS, label=st.one_of(st.none(), NAMES)),
    st.builds(Exclude, keys=KEYS, out=st.booleans()),
    st.builds(Tag, keys=KEYS, tag=st.sampled_from(["blurred", "ask Ann"]), on=st.booleans()),
    st.builds(MoveToSplit, keys=KEYS, split=st.sampled_from(["train", "val", "test"])),
    st.builds(RenameClass, old=NAMES, new=NAMES),
)
EDITS = st.one_of(SIMPLE, st.builds(Together, edits=st.lists(SIMPLE, max_size=3).map(tuple)))


def as_bytes(table):
    columns = (table.images.labels, table.splits, table.excluded, table.edited, *table.tags.values())
    return pickle.dumps([table.images.classes, table.images.keys, list(table.tags), *(column.tobytes() for column in columns)])


@given(edits=st.lists(EDITS, min_size=20, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_twenty_edits_and_twenty_undos_give_a_byte_equal_table_and_redo_gives_them_back(edits, tmp_path_factory):
    workspace = tmp_path_factory.mktemp("workspace")
    curation = Curation(images(), CONFIG, workspace)
    states = [as_bytes(curation.table)]
    for edit in edits:
        states.append(as_bytes(curation.add(edit)))
    for state in reversed(states[:-1]):
        curation.undo()
        assert as_bytes(curation.table) == state
    assert curation.undo() is None
    for state in states[1:]:
        curation.redo()
        assert as_bytes(curation.table) == state
    again = Curation(images(), CONFIG, workspace)
    assert as_bytes(again.table) == states[-1]
    again.undo()
    assert as_bytes(again.table) == states[-2]


def test_the_table_is_what_the_edits_say(curation):
    curation.add(Relabel(keys=("000.jpg", "001.jpg"), label="wasp"))
    curation.add(Relabel(keys=("002.jpg",), label=None))
    curation.add(Exclude(keys=("003.jpg",)))
    curation.add(Tag(keys=("004.jpg", "gone.jpg"), tag="ask Ann"))
    curation.add(MoveToSplit(keys=("005.jpg",), split="test"))
    table = curation.table
    assert table.images.classes == ("ant", "bee", "fly", "wasp")
    assert table.images.labels[:6].tolist() == [3, 3, -1, 0, 1, 2]
    assert table.splits[5] == TEST
    assert table.taking_part().labels[3] == -1
    assert table.tags["ask Ann"].tolist() == [4]
    assert np.flatnonzero(table.edited).tolist() == [0, 1, 2, 3, 4, 5]


def test_classes_are_renamed_and_merged_with_their_images(curation):
    curation.add(RenameClass(old="ant", new="Ameise"))
    assert curation.table.images.classes == ("Ameise", "bee", "fly")
    curation.add(RenameClass(old="Ameise", new="fly"))
    table = curation.table
    assert table.images.classes == ("bee", "fly")
    assert table.images.labels.tolist() == [1, 0, 1] * 4
    assert table.edited.tolist() == [True, False, False] * 4


def test_a_correction_moves_no_image_to_another_split(curation):
    before = curation.table.splits.copy()
    curation.add(Relabel(keys=tuple(f"{i:03}.jpg" for i in range(6)), label="bee"))
    curation.add(Exclude(keys=("007.jpg", "008.jpg")))
    np.testing.assert_array_equal(curation.table.splits, before)


def test_images_that_the_user_labels_are_drawn_too(tmp_path):
    curation = Curation(images(20, labels=[-1] * 20), CONFIG, tmp_path)
    assert (curation.table.splits == TRAIN).all()
    curation.add(Relabel(keys=curation.original.keys[:10], label="ant"))
    curation.add(Relabel(keys=curation.original.keys[10:], label="moss"))
    splits = curation.table.splits
    assert ((splits[:10] == VAL).sum(), (splits[10:] == VAL).sum()) == (2, 2)


def test_fixed_splits_stay_when_images_come_and_go(tmp_path):
    first = Curation(images(30), CONFIG, tmp_path)
    first.fix_splits()
    before = dict(zip(first.original.keys, first.table.splits.tolist(), strict=True))
    later = Curation(images(200), CONFIG, tmp_path)
    after = dict(zip(later.original.keys, later.table.splits.tolist(), strict=True))
    assert {key: after[key] for key in before} == before
    assert abs(sum(split == VAL for split in after.values()) / 200 - 0.2) < 0.02
    other_plan = CONFIG.model_copy(update={"split_seed": 7})
    assert Curation(images(30), other_plan, tmp_path).table.splits.tolist() != first.table.splits.tolist()


def test_near_duplicates_that_become_known_are_drawn_into_one_split_unless_it_is_fixed(tmp_path):
    curation = Curation(images(40), CONFIG, tmp_path)
    splits = curation.table.splits
    train, val = (int(np.flatnonzero((curation.original.labels == 0) & (splits == split))[0]) for split in (TRAIN, VAL))
    alike = np.full(40, -1)
    alike[[train, val]] = 7
    assert not curation.fixed
    drawing = curation.drawn_with(alike)
    np.testing.assert_array_equal(curation.table.splits, splits)
    table = curation.adopt(drawing)
    assert table.splits[train] == table.splits[val]
    curation.fix_splits()
    assert curation.fixed
    assert Curation(images(40), CONFIG, tmp_path).drawn_with(np.full(40, -1)).parts.tolist() == drawing.parts.tolist()


def test_folds_are_kept_together_whichever_of_them_measures(tmp_path):
    folds = [CONFIG.model_copy(update={"split": "kfold", "folds": 3, "fold": fold}) for fold in range(3)]
    Curation(images(30), folds[0], tmp_path).fix_splits()
    measured = [np.flatnonzero(Curation(images(30), fold, tmp_path).table.splits == VAL) for fold in folds]
    assert sorted(np.concatenate(measured).tolist()) == list(range(30))


def test_a_torn_or_strange_line_costs_that_line_only(tmp_path):
    path = tmp_path / "edits.jsonl"
    journal = Journal(path)
    journal.add(Exclude(keys=("a",)))
    with path.open("ab") as file:
        file.write(b'{"op":"fly to the moon"}\n[[[\n{"op":"exclude","keys":["b"')
    again = Journal(path)
    again.add(Tag(keys=("c",), tag="x"))
    assert again.damaged == [2, 3, 4]
    third = Journal(path)
    assert [edit.keys for edit in third.done] == [("a",), ("c",)]
    assert len(path.read_bytes().splitlines()) == 5


def test_what_cannot_be_saved_is_not_done(curation, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    before = as_bytes(curation.table)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        curation.add(Exclude(keys=("000.jpg",)))
    assert as_bytes(curation.table) == before
    assert curation.edits == ()
    monkeypatch.undo()
    assert Journal(curation.journal.path).done == []


def test_a_journal_that_cannot_be_read_is_an_error_not_an_empty_table(tmp_path):
    (tmp_path / "data" / identity(CONFIG) / "edits.jsonl").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be read"):
        Curation(images(), CONFIG, tmp_path)


def test_names_that_are_no_unicode_survive_the_journal(tmp_path):
    key = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    Journal(tmp_path / "e").add(Exclude(keys=(key, 'new\nline,".jpg')))
    assert Journal(tmp_path / "e").done[0].keys == (key, 'new\nline,".jpg')
    assert json.loads((tmp_path / "e").read_text("ascii"))["op"] == "exclude"


def test_two_programs_that_edit_the_same_images_undo_each_their_own(tmp_path):
    path = tmp_path / "edits.jsonl"
    first, second = Journal(path), Journal(path)
    first.add(Exclude(keys=("a",)))
    second.add(Exclude(keys=("b",)))
    assert first.is_behind()
    assert first.undo() == Exclude(keys=("a",))
    assert [edit.keys for edit in Journal(path).done] == [("b",)]
    assert first.undo() is None
    assert first.redo() == Exclude(keys=("a",))
    assert second.undo() == Exclude(keys=("b",))
    assert second.catch_up() is False
    assert [edit.keys for edit in second.done] == [edit.keys for edit in Journal(path).done] == [("a",)]


ACTS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["add", "add", "undo", "redo"])), max_size=30)


@given(acts=ACTS)
def test_whatever_two_programs_do_nothing_is_lost_and_a_third_reads_what_both_see(acts, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "edits.jsonl"
    journals = [Journal(path), Journal(path)]
    done, undone = [set(), set()], [set(), set()]
    for number, (who, act) in enumerate(acts):
        if act == "add":
            journals[who].add(Tag(keys=(f"{number}",), tag=str(who)))
            done[who].add(f"{number}")
            undone[who].clear()
            continue
        edit = journals[who].undo() if act == "undo" else journals[who].redo()
        source, target = (done[who], undone[who]) if act == "undo" else (undone[who], done[who])
        assert (edit is None) == (not source)
        if edit is not None:
            assert edit.tag == str(who)
            source.remove(edit.keys[0])
            target.add(edit.keys[0])
    for journal in (*journals, Journal(path)):
        journal.catch_up()
        assert [edit.keys[0] for edit in journal.done] == sorted(done[0] | done[1], key=int)
        assert journal.damaged == []


def test_what_another_program_did_is_seen_even_where_ones_own_edit_fails(curation, tmp_path):
    Curation(images(), CONFIG, tmp_path).add(Exclude(keys=("000.jpg",)))
    with faults.injected("append:ENOSPC@1"), pytest.raises(OSError, match="space"):
        curation.add(Exclude(keys=("001.jpg",)))
    assert curation.catch_up()
    assert int(curation.table.excluded.sum()) == 1
    assert not curation.catch_up()


def test_a_line_that_another_program_is_writing_counts_once_it_is_whole(tmp_path):
    path = tmp_path / "edits.jsonl"
    journal = Journal(path)
    journal.add(Exclude(keys=("a",)))
    line = b'{"op": "exclude", "keys": ["b"]}\n'
    for part in (line[:10], line[10:]):
        with path.open("ab") as file:
            file.write(part)
        journal.catch_up()
    assert [edit.keys for edit in journal.done] == [("a",), ("b",)]
    assert journal.damaged == []
    assert journal.undo() == Exclude(keys=("a",))


def test_a_file_of_edits_that_is_gone_is_an_error_and_not_an_empty_table(tmp_path):
    journal = Journal(tmp_path / "edits.jsonl")
    journal.add(Exclude(keys=("a",)))
    journal.path.unlink()
    with pytest.raises(FileNotFoundError):
        journal.add(Exclude(keys=("b",)))
    assert [edit.keys for edit in journal.done] == [("a",)]


def test_whoever_holds_the_journal_for_long_is_named_and_nothing_is_done(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "edits.jsonl")
    real = safe_io.locked
    with real(tmp_path / "edits.lock"):
        monkeypatch.setattr(safe_io, "locked", lambda path: real(path, seconds=0))
        with pytest.raises(TimeoutError, match="Another program"):
            journal.add(Exclude(keys=("a",)))
    assert journal.done == []
    journal.add(Exclude(keys=("a",)))
    assert len(Journal(journal.path).done) == 1
