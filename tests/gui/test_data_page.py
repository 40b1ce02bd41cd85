"""What a user does on the Data page: open, look, filter, find what cannot be read."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QPushButton

from tlstudio.api import CancelledError, ImageSet, report
from tlstudio.api.config import DataConfig
from tlstudio.data.query import Known
from tlstudio.gui.memory import Memory
from tlstudio.gui.opening import Filter, Opened, filter_rows
from tlstudio.gui.widgets.class_list import ALL


def _thumbnails(page):
    browser = page.view.browser
    return [browser.store.get(browser.row_at(i), browser._side()) for i in browser.grid.visible()]


def test_first_start_offers_a_folder_and_the_sample(window):
    page = window.data_page
    texts = [button.text() for button in page.empty.findChildren(type(page.view.header.check_button))]
    assert page.stack.currentWidget() is page.empty
    assert texts[0].startswith("Open a folder")
    assert "Try the sample" in texts


def test_opening_a_folder_shows_thumbnails_classes_and_counts(qtbot, opened):
    page = opened.data_page
    assert [(entry.name, entry.count) for entry in page.view.browser.classes.entries()] == [
        ("All classes", 30), ("blue", 15), ("green", 10), ("red", 5)
    ]  # fmt: skip
    qtbot.waitUntil(lambda: all(_thumbnails(page)), timeout=10_000)
    assert not any(thumbnail.reason for thumbnail in _thumbnails(page))
    assert opened.windowTitle().startswith("photos")
    assert "30 images" in page.view.header.facts.text()
    assert Memory().recent()[0].path.endswith("photos")


def test_the_sample_opens_and_is_shown_in_crisp_pixels(qtbot, loaded):
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.data_page.open_sample()
    qtbot.waitUntil(lambda: all(_thumbnails(loaded.data_page)), timeout=10_000)
    assert _thumbnails(loaded.data_page)[0].whole


def test_opening_waits_for_the_plugins(qtbot, window, catalog, folder):
    window.open_path(folder)
    assert window.data_page.stack.currentWidget() is window.data_page.loading
    with qtbot.waitSignal(window.context.data_changed, timeout=20_000):
        window.context.set_catalog(catalog)


def test_what_the_user_opens_meanwhile_replaces_what_the_start_would_open(qtbot, window, catalog, folder):
    window.data_page.open_when_ready(None)
    window.open_path(folder)
    with qtbot.waitSignal(window.context.data_changed, timeout=20_000) as opened:
        window.context.set_catalog(catalog)
    assert opened.args[0].config.path == str(folder)


def test_cancelling_before_the_plugins_are_loaded_opens_nothing(window, catalog):
    window.data_page.open_when_ready(None)
    window.data_page._cancel_opening()
    window.context.set_catalog(catalog)
    assert window.data_page.stack.currentWidget() is window.data_page.empty


def test_a_dropped_folder_opens(qtbot, loaded, folder):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder))])
    event = QDropEvent(
        QPointF(300, 300), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000) as caught:
        loaded.dropEvent(event)
    assert len(caught.args[0].images) == 30


def test_an_archive_opens(qtbot, loaded, folder, tmp_path):
    target = tmp_path / "photos.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000) as caught:
        loaded.open_path(target)
    assert caught.args[0].images.classes == ("blue", "green", "red")


@pytest.mark.parametrize("name", ["nothing-here", "empty"])
def test_what_cannot_be_opened_is_said_in_place_with_a_way_on(qtbot, loaded, tmp_path, name):
    (tmp_path / "empty").mkdir()
    page = loaded.data_page
    loaded.open_path(tmp_path / name)
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.error, timeout=10_000)
    assert page.error.title()
    assert page.error.hint()
    assert not loaded.errors.isVisible()


def test_a_class_a_split_and_a_text_filter_together(qtbot, opened):
    browser = opened.data_page.view.browser
    browser.classes.setCurrentIndex(browser.classes.model().index(2))
    assert browser.model.rowCount() == 10
    browser.filters.splits.setCurrentIndex(browser.filters.splits.findData(1))
    assert browser.model.rowCount() == 2
    assert browser.classes.entries()[0].count == 6
    browser.filters.splits.setCurrentIndex(0)
    qtbot.keyClicks(browser.filters.line, "_003")
    qtbot.waitUntil(lambda: browser.model.rowCount() == 1)
    browser.filters.line.clear()
    browser.classes.setCurrentIndex(browser.classes.model().index(0))
    qtbot.waitUntil(lambda: browser.model.rowCount() == 30)
    assert browser.classes.label() == ALL


def test_no_match_is_said_in_words(qtbot, opened):
    browser = opened.data_page.view.browser
    qtbot.keyClicks(browser.filters.line, "zebra")
    qtbot.waitUntil(lambda: browser.nothing.isVisible())
    assert not browser.grid.isVisible()


def test_the_large_view_goes_on_with_arrows_and_back_with_escape(qtbot, opened):
    page = opened.data_page
    grid, viewer = page.view.browser.grid, page.view.viewer
    grid.go_to(3)
    qtbot.keyClick(grid, Qt.Key.Key_Space)
    assert page.view.stack.currentWidget() is viewer
    qtbot.waitUntil(lambda: "48 × 32 px" in viewer.text())
    assert "blue_003.png" in viewer.text()
    qtbot.keyClick(viewer, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: "blue_004.png" in viewer.text() and "px" in viewer.text())
    assert "blue" in viewer.text()
    qtbot.keyClick(viewer, Qt.Key.Key_Escape)
    assert page.view.stack.currentWidget() is not viewer
    assert grid.currentIndex().row() == 4


def test_a_double_click_opens_and_a_drag_or_ctrl_a_selects(qtbot, opened):
    page = opened.data_page
    grid = page.view.browser.grid
    qtbot.keyClick(grid, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert len(grid.selected()) == 30
    assert "30 selected" in page.view.browser.filters.counts.text()
    first = grid.visualRect(grid.model().index(1, 0)).center()
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=first)
    assert grid.selected() == [1]
    third = grid.visualRect(grid.model().index(3, 0)).center()
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, pos=third)
    assert grid.selected() == [1, 2, 3]
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=first)
    qtbot.mouseDClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=first)
    assert page.view.stack.currentWidget() is page.view.viewer


def test_unreadable_images_are_marked_found_and_filtered(qtbot, loaded, folder):
    (folder / "red" / "red_900.png").write_bytes(b"")
    (folder / "red" / "red_901.png").write_text("not an image")
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(folder)
    page = loaded.data_page
    browser = page.view.browser
    qtbot.waitUntil(lambda: page.view.scan.complete and page.view.scan.issues is not None, timeout=20_000)
    assert {issue.kind: len(issue) for issue in page.view.scan.issues if issue.severity == "error"} == {
        "unreadable": 1, "empty": 1,
    }  # fmt: skip
    browser.filters.line.setText("is:unreadable")
    qtbot.waitUntil(lambda: browser.model.rowCount() == 2)
    browser.show_issue("empty")
    assert [browser._name(row) for row in browser.model.rows] == ["red/red_900.png"]
    assert page.view.notes.action() == "Leave out 1 image"
    browser.show_issue("")
    browser.filters.line.setText("is:unreadable")
    qtbot.waitUntil(lambda: browser.model.rowCount() == 2)
    qtbot.waitUntil(lambda: all(_thumbnails(page)))
    assert [thumbnail.reason for thumbnail in _thumbnails(page)] == ["empty file", "not an image"]
    page.view.show_large(0)
    qtbot.waitUntil(lambda: "empty file" in page.view.viewer.picture.reason())


def test_zooming_keeps_the_place_and_takes_sharper_thumbnails(qtbot, opened):
    browser = opened.data_page.view.browser
    browser.filters.zoom.setValue(320)
    assert browser._side() == 384
    columns = browser.grid.columns()
    browser.filters.zoom.setValue(64)
    assert browser.grid.columns() > columns


def test_two_hundred_thousand_images_open_and_scroll_at_once(qtbot, opened):
    """Arithmetic instead of a layout: nothing in the grid grows with the number of images."""
    n = 200_000
    images = ImageSet(
        classes=("even", "odd"),
        keys=tuple(f"{i % 2}/{i}.png" for i in range(n)),
        labels=(np.arange(n) % 2).astype(np.int32),
        read=opened.data_page.opened.images.load,
    )
    many = Opened(config=DataConfig(path="many"), images=images, splits=np.zeros(n, np.int8))
    browser = opened.data_page.view.browser
    browser.show_data(many)
    bar = browser.grid.verticalScrollBar()
    bar.setValue(bar.maximum())
    assert browser.grid.visible().stop == n
    assert len(browser.grid.visible()) < 200
    last = browser.grid.visualRect(browser.model.index(n - 1))
    assert browser.grid.indexAt(last.center()).row() == n - 1
    assert browser.grid.indexAt(QPoint(2, -10_000_000)).row() == -1
    assert len(filter_rows(Known(table=many.table), Filter(text="199999"))) == 1


def test_names_that_cannot_be_printed_are_escaped(qtbot, loaded, tmp_path, folder_of):
    root = folder_of(tmp_path / "naïve 图", {"blue": 2, "red": 2})
    (root / "blue" / "blue_000.png").rename(root / "blue" / "a\nb.png")
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(root)
    names = [loaded.data_page.view.browser._name(i) for i in range(4)]
    assert "blue/a\\nb.png" in names


def test_notes_of_the_data_are_shown(qtbot, opened):
    opened.data_page.view.notes.show_lines(("one", "two"))
    assert opened.data_page.view.notes.text() == "one"
    opened.data_page.view.notes._more.click()
    assert opened.data_page.view.notes.text() == "one\ntwo"


def test_opening_tells_how_far_it_is_and_ends_when_the_user_cancels(qtbot, loaded, folder, monkeypatch):
    ended = []

    def endless(*_args):
        done = 0
        try:
            while True:
                done += 1
                report(done, 5_000_000)
        except CancelledError as error:
            ended.append(error)
            raise

    monkeypatch.setattr("tlstudio.gui.opening.open_data", endless)
    loaded.open_path(folder)
    page = loaded.data_page
    qtbot.waitUntil(lambda: "of 5,000,000 files" in page._loading_count.text(), timeout=10_000)
    qtbot.mouseClick(page.loading.findChild(QPushButton), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(ended), timeout=10_000)
    assert page.stack.currentWidget() is page.empty
