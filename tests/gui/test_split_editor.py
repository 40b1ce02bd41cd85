"""The split editor: what it shows is what is stored, shown and trained, today and tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt

from tlstudio.api import TRAIN, VAL


@pytest.fixture
def editor(qtbot, opened):
    view = opened.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete, timeout=20_000)
    view.edit_split()
    qtbot.waitUntil(lambda: view.split_editor.apply_button.isEnabled(), timeout=10_000)
    return view.split_editor


def cells(editor, row):
    return [editor.table.item(row, column).text() for column in range(4)]


def redrawn(qtbot, editor, change):
    change()
    assert not editor.apply_button.isEnabled()
    qtbot.waitUntil(editor.apply_button.isEnabled, timeout=10_000)


def test_a_share_for_testing_is_shown_applied_trained_and_there_after_reopening(qtbot, opened, editor, folder):
    form = editor.form.rows
    assert cells(editor, 0) == ["All classes", "24", "6", "0"]
    redrawn(qtbot, editor, lambda: form["split"].editor.set_value("stratified"))
    redrawn(qtbot, editor, lambda: form["test_fraction"].editor.set_value(0.2))
    assert cells(editor, 0) == ["All classes", "18", "6", "6"]
    assert cells(editor, 1) == ["blue", "9", "3", "3"]
    with qtbot.waitSignal(opened.context.data_changed):
        qtbot.mouseClick(editor.apply_button, Qt.MouseButton.LeftButton)
    view = opened.data_page.view
    assert np.bincount(view.opened.splits).tolist() == [18, 6, 6]
    assert "18 training, 6 validation, 6 test" in view.header.facts.text()
    opened.show_page("train")
    data = opened.train_page.form.config().data
    assert (data.split, data.test_fraction) == ("stratified", 0.2)
    shown = view.opened.splits.copy()
    qtbot.waitUntil((view.opened.curation.folder / "split.json").exists, timeout=10_000)
    with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
        opened.open_path(folder)
    np.testing.assert_array_equal(view.opened.splits, shown)


def test_images_of_one_patient_stay_together(qtbot, opened, editor):
    redrawn(qtbot, editor, lambda: editor.form.rows["group_by"].editor.set_value(r"_(\d\d)\d"))
    assert "groups" in editor.facts.text()
    splits = editor.preview.table.splits
    groups = {}
    for key, split in zip(editor.preview.original.keys, splits, strict=True):
        groups.setdefault(key.rpartition("_")[2][:2], set()).add(int(split))
    assert all(len(found) == 1 for found in groups.values())


def test_folds_offer_their_own_settings_and_a_fault_is_marked(qtbot, editor):
    form = editor.form.rows
    redrawn(qtbot, editor, lambda: form["split"].editor.set_value("kfold"))
    assert form["folds"].editor.isVisible()
    assert not form["val_fraction"].editor.isVisible()
    assert int(cells(editor, 0)[2]) == 6
    form["group_by"].editor.set_value("(")
    qtbot.waitUntil(lambda: "regular expression" in form["group_by"].error.text(), timeout=10_000)
    assert not editor.apply_button.isEnabled()


def test_cancel_changes_nothing(qtbot, opened, editor):
    before = opened.data_page.view.opened
    redrawn(qtbot, editor, lambda: editor.form.rows["val_fraction"].editor.set_value(0.5))
    editor.reject()
    assert opened.data_page.view.opened is before
    assert (before.splits == VAL).sum() == 6
    assert (before.splits == TRAIN).sum() == 24


def test_what_was_moved_by_hand_stays_where_it_was_put(qtbot, opened, editor):
    editor.reject()
    view = opened.data_page.view
    view.browser.grid.go_to(0)
    view.editing.move(2)
    view.edit_split()
    editor = view.split_editor
    qtbot.waitUntil(editor.apply_button.isEnabled, timeout=10_000)
    redrawn(qtbot, editor, lambda: editor.form.rows["split_seed"].editor.set_value(5))
    assert cells(editor, 0)[3] == "1"
    editor.reject()
