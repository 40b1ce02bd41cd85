"""What a user changes on the Data page: labels by digit, by menu and by drag, what is left out, splits; all of it undone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QInputDialog, QMenu

from tlstudio.data.edits import Exclude, Journal
from tlstudio.gui.widgets.class_list import ALL
from tlstudio.gui.widgets.grid_view import DRAGGED_CELLS

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def view(qtbot, opened):
    view = opened.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete, timeout=20_000)
    return view


def select(qtbot, view, *positions):
    grid = view.browser.grid
    for place, position in enumerate(positions):
        at = grid.visualRect(grid.model().index(position, 0)).center()
        modifier = CTRL if place else Qt.KeyboardModifier.NoModifier
        qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifier, pos=at)


def label_names(view):
    images = view.opened.images
    return ["" if label < 0 else images.classes[label] for label in images.labels]


def counts(view):
    return {entry.name: entry.count for entry in view.browser.classes.entries()}


def choose(menu, *titles):
    for title in titles:
        found = {action.text().split("\t")[0]: action for action in menu.actions()}
        action = found[title]
        if action.menu() is None:
            action.trigger()
            return
        menu = action.menu()


def test_digits_label_the_selected_images_and_undo_takes_it_back(qtbot, opened, view):
    select(qtbot, view, 0, 2)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_3)
    assert label_names(view)[:3] == ["red", "blue", "red"]
    assert counts(view)["red"] == 7
    assert view.browser.grid.selected() == [0, 2]
    opened.actions_by_id["edit.undo"].trigger()
    assert counts(view) == {"All classes": 30, "blue": 15, "green": 10, "red": 5}
    opened.actions_by_id["edit.redo"].trigger()
    assert counts(view)["red"] == 7


def test_delete_leaves_out_and_takes_back_in(qtbot, view):
    select(qtbot, view, 1)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_Delete)
    assert np.flatnonzero(view.opened.table.excluded).tolist() == [1]
    assert "29 images" in view.header.facts.text()
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_Delete)
    assert not view.opened.table.excluded.any()


def test_images_are_labelled_in_the_large_view_too(qtbot, view):
    view.show_large(4)
    qtbot.keyClick(view.viewer, Qt.Key.Key_2)
    assert label_names(view)[4] == "green"
    assert "green" in view.viewer.text()
    assert view.stack.currentWidget() is view.viewer


def test_the_menu_labels_moves_and_tags(qtbot, view, monkeypatch):
    select(qtbot, view, 3, 5)
    for path in (("Label as", "green"), ("Move to", "test"), ("Leave out",)):
        menu = QMenu()
        view.fill_menu(menu)
        choose(menu, *path)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_args, **_kwargs: ("ask Ann", True))
    menu = QMenu()
    view.fill_menu(menu)
    choose(menu, "Tags", "New tag…")
    table = view.opened.table
    assert [label_names(view)[row] for row in (3, 5)] == ["green", "green"]
    assert table.splits[[3, 5]].tolist() == [2, 2]
    assert table.excluded[[3, 5]].all()
    assert table.tags["ask Ann"].tolist() == [3, 5]
    view.browser.filters.line.setText("tag:'ask Ann'")
    qtbot.waitUntil(lambda: view.browser.model.rowCount() == 2)


def test_images_dropped_on_a_class_take_it(qtbot, view):
    select(qtbot, view, 0, 1)
    classes = view.browser.classes
    index = classes.model().index([entry.name for entry in classes.entries()].index("green"))
    data = QMimeData()
    data.setData(DRAGGED_CELLS, b"")
    place = QPointF(classes.visualRect(index).center())
    event = QDropEvent(place, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    classes.dropEvent(event)
    assert label_names(view)[:2] == ["green", "green"]
    all_of_them = QPointF(classes.visualRect(classes.model().index(0)).center())
    event = QDropEvent(all_of_them, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    classes.dropEvent(event)
    assert label_names(view)[:2] == ["green", "green"]


def test_a_drag_starts_on_selected_images_only(qtbot, view):
    grid = view.browser.grid
    select(qtbot, view, 0)
    at = grid.visualRect(grid.model().index(2, 0)).center()
    qtbot.mousePress(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert not grid.dragEnabled()
    qtbot.mouseRelease(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.mousePress(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert grid.dragEnabled()
    qtbot.mouseRelease(grid.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(at))


def test_classes_are_renamed_and_merged(qtbot, opened, view, monkeypatch):
    monkeypatch.setattr(QInputDialog, "getText", lambda *_args, **_kwargs: ("azure", True))
    menu = QMenu()
    view.editing.fill_class_menu(menu, "blue")
    choose(menu, "Rename…")
    assert counts(view)["azure"] == 15
    menu = QMenu()
    view.editing.fill_class_menu(menu, "azure")
    with qtbot.waitSignal(opened.context.data_changed):
        choose(menu, "Merge into", "red")
    assert counts(view) == {"All classes": 30, "green": 10, "red": 20}
    assert opened.context.data.images.classes == ("green", "red")


def test_edits_are_there_after_a_restart_and_undo_goes_on(qtbot, opened, view, folder):
    select(qtbot, view, 0)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_2)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_Delete)
    lines = [json.loads(line) for line in view.editing.curation.journal.path.read_text().splitlines()]
    assert [line["op"] for line in lines] == ["relabel", "exclude"]
    with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
        opened.open_path(folder)
    assert label_names(view)[0] == "green"
    assert view.opened.table.excluded[0]
    opened.actions_by_id["edit.undo"].trigger()
    opened.actions_by_id["edit.undo"].trigger()
    assert label_names(view)[0] == "blue"


def test_what_another_program_edits_is_shown_when_the_page_comes_up_and_undo_leaves_it_alone(qtbot, opened, view):
    select(qtbot, view, 0)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_2)
    other = Journal(view.editing.curation.journal.path)
    other.add(Exclude(keys=(view.editing.curation.original.keys[3],)))
    opened.show_page("settings")
    opened.show_page("data")
    qtbot.waitUntil(lambda: bool(view.opened.table.excluded[3]))
    assert opened.data_page.opened.table.excluded[3]
    opened.actions_by_id["edit.undo"].trigger()
    assert label_names(view)[0] == "blue"
    assert view.opened.table.excluded[3]
    other.undo()
    opened.actions_by_id["edit.undo"].trigger()
    assert not view.opened.table.excluded[3]


def test_what_cannot_be_saved_is_said_and_not_shown(qtbot, opened, view, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    problems = []
    opened.context.problem.disconnect(opened._show_problem)
    opened.context.problem.connect(problems.append)
    select(qtbot, view, 0)
    monkeypatch.setattr("os.fsync", full)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_3)
    assert "No space" in str(problems[0])
    assert label_names(view)[0] == "blue"


def test_a_filter_of_words_is_understood_kept_and_its_faults_are_said(qtbot, opened, view):
    browser = view.browser
    select(qtbot, view, 0)
    qtbot.keyClick(browser.grid, Qt.Key.Key_2)
    qtbot.keyClicks(browser.filters.line, "class:green is:edited")
    qtbot.keyClick(browser.filters.line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: browser.model.rowCount() == 1)
    assert opened.memory.queries() == ["class:green is:edited"]
    browser.filters.line.setText("class:violet")
    qtbot.waitUntil(lambda: browser.nothing.isVisible())
    assert "violet" in browser.nothing.text()
    assert "blue" in browser.nothing.text()
    browser.filters.line.clear()
    qtbot.waitUntil(lambda: browser.model.rowCount() == 30)
    assert browser.classes.label() == ALL


def test_an_issue_is_shown_explained_and_mended_by_one_click(qtbot, loaded, folder):
    double = folder / "blue" / "blue_000.png"
    (folder / "blue" / "zz_copy.png").write_bytes(double.read_bytes())
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(folder)
    view = loaded.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete and view.scan.issues is not None, timeout=20_000)
    assert view.scan.issues.of_kind("exact-duplicate") is not None
    view.browser.show_issue("exact-duplicate")
    assert [view.browser._name(row) for row in view.browser.model.rows] == ["blue/blue_000.png", "blue/zz_copy.png"]
    assert "leave out 1 image" in view.notes.action()
    view.notes._action.click()
    assert [view.browser._name(row) for row in np.flatnonzero(view.opened.table.excluded)] == ["blue/zz_copy.png"]
    qtbot.waitUntil(lambda: view.scan.issues.of_kind("exact-duplicate") is None, timeout=20_000)
    assert view.browser.issue == ""
    assert "exact" not in view.notes.text().lower()


def test_the_images_are_exported_as_they_stand(qtbot, opened, view, tmp_path):
    select(qtbot, view, 0)
    qtbot.keyClick(view.browser.grid, Qt.Key.Key_Delete)
    opened.actions_by_id["file.export"].trigger()
    dialog = view.exporter
    assert not dialog.button.isEnabled()
    dialog.place.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(dialog.said, timeout=20_000) as said:
        qtbot.mouseClick(dialog.button, Qt.MouseButton.LeftButton)
    assert "29 images" in said.args[0]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 29


def test_an_export_over_something_that_exists_is_refused(qtbot, opened, view, folder):
    problems = []
    opened.context.problem.disconnect(opened._show_problem)
    opened.context.problem.connect(problems.append)
    view.export()
    view.exporter.place.setText(str(folder))
    qtbot.mouseClick(view.exporter.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(problems), timeout=20_000)
    assert "exists already" in str(problems[0])
    view.exporter.reject()


def test_mirrored_pictures_count_as_duplicates_when_the_user_says_so(qtbot, loaded, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
            small.resize((64, 48), Image.Resampling.BICUBIC).save(tmp_path / "photos" / name / f"{i}.png")
    photo = Image.open(tmp_path / "photos" / "ant" / "0.png")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "photos" / "ant" / "mirrored.png")
    photo.close()
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(tmp_path / "photos")
    view = loaded.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete and view.scan.issues is not None, timeout=20_000)
    assert view.scan.issues.of_kind("near-duplicate") is None
    view.header.flips.setChecked(True)
    qtbot.waitUntil(lambda: view.scan.issues.of_kind("near-duplicate") is not None, timeout=20_000)
    view.browser.show_issue("near-duplicate")
    assert {view.browser._name(row) for row in view.browser.model.rows} == {"ant/0.png", "ant/mirrored.png"}


def test_the_chosen_issue_stays_chosen_when_others_above_it_are_mended(qtbot, loaded, folder):
    (folder / "red" / "empty.png").write_bytes(b"")
    (folder / "blue" / "zz_copy.png").write_bytes((folder / "blue" / "blue_000.png").read_bytes())
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(folder)
    view = loaded.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete and view.scan.issues is not None, timeout=20_000)
    view.browser.show_issue("exact-duplicate")
    assert view.browser.issues.label() > 0
    view.editing.do(Exclude(keys=("red/empty.png",)), "")
    qtbot.waitUntil(lambda: view.scan.issues.of_kind("empty") is None, timeout=20_000)
    assert view.browser.issue == "exact-duplicate"
    assert view.browser.model.rowCount() == 2
