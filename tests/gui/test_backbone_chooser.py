"""Choosing a backbone among 1,300 by keyboard and mouse; what the list says of each; what it costs before it is opened."""

from __future__ import annotations

import pytest
from many_backbones import LOOKED, with_many
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication

from tlstudio.gui import theme
from tlstudio.gui.pages.train_form import TrainForm

NAME, WEIGHTS = 0, 6


@pytest.fixture
def form(qtbot, catalog, tmp_path):
    """A form over 1,300 backbones and those that ship; of the made-up ones three have weights here."""
    for name in ("resnet_05", "vit_03", "swin_11"):
        (tmp_path / f"{name}.pth").touch()
    LOOKED.clear()
    form = TrainForm()
    qtbot.addWidget(form)
    form.set_catalog(with_many(catalog, tmp_path))
    form.set_recent(lambda: ("zoo/eva_02", "gone/away", "torchvision/resnet50"))
    form.show()
    return form


@pytest.fixture
def box(form):
    return form.form.rows["model.backbone"].editor


@pytest.fixture
def chooser(qtbot, box):
    """The open list, after the look at the disk."""
    qtbot.keyClick(box, Qt.Key.Key_Return)
    chooser = box.chooser
    qtbot.waitUntil(lambda: "on this machine" in str(rows(chooser)[:20]), timeout=10_000)
    yield chooser
    if box.chooser is not None:
        chooser.reject()


def rows(chooser, column=NAME):
    return [chooser.table.index(i, column).data() for i in range(chooser.table.rowCount())]


def current(chooser):
    item = chooser.table.at(chooser.list.currentIndex())
    return item.name if item else None


def test_a_large_catalog_costs_nothing_before_the_list_is_opened(form, box):
    assert box.count() == 1
    assert LOOKED == [], "the disk was looked at for a list that nobody opened"
    form.form.rows["model.backbone"].editor.set_value("zoo/resnet_05")
    assert set(LOOKED) <= {"resnet_05"}, "of the chosen one only"


def test_typing_a_name_and_enter_chooses_it(qtbot, form, box):
    changes = []
    box.changed.connect(lambda: changes.append(box.value()))
    box.setFocus()
    qtbot.keyClicks(box, "r")  # opens the list with the letter in its search
    chooser = box.chooser
    assert chooser.search.text() == "r"
    qtbot.keyClicks(chooser.search, "esnet50 torchvision")
    assert current(chooser) == "torchvision/resnet50"
    qtbot.keyClick(chooser.search, Qt.Key.Key_Return)
    assert box.value() == "torchvision/resnet50"
    assert changes == ["torchvision/resnet50"]
    assert "ResNet-50" in box.currentText()
    assert box.chooser is None
    assert form.config().model.backbone == "torchvision/resnet50"
    assert "• " in form.form.rows["model.backbone"].label.text()


def test_escape_changes_nothing(qtbot, box, chooser):
    before = box.value()
    qtbot.keyClicks(chooser.search, "vit")
    qtbot.keyClick(chooser.search, Qt.Key.Key_Down)
    qtbot.keyClick(chooser.search, Qt.Key.Key_Escape)
    assert box.value() == before
    assert box.chooser is None


def test_arrows_walk_past_headings_while_the_search_keeps_the_keyboard(qtbot, chooser):
    chooser.list.choose(chooser.table.first())
    seen = []
    for _ in range(12):
        seen.append(current(chooser))
        qtbot.keyClick(chooser.search, Qt.Key.Key_Down)
    assert None not in seen
    assert len(chooser.table.heading_rows()) > 3
    assert chooser.table.heading_rows()[1] < chooser.list.currentIndex().row(), "a heading was passed"
    for _ in range(30):
        qtbot.keyClick(chooser.search, Qt.Key.Key_Up)
    assert chooser.list.currentIndex().row() == chooser.table.first()
    qtbot.keyClick(chooser.search, Qt.Key.Key_PageDown)
    assert current(chooser) is not None


def test_on_top_are_those_used_last_and_those_with_weights_here(chooser, catalog):
    total = len(catalog.backbones) + 1300
    titles = rows(chooser)
    assert titles[:4] == ["Used last (2)", "EVA-02", "ResNet-50", "Weights on this machine (4)"]
    assert {"ResNet-05", "ViT-03", "Swin-11", "EfficientNet-Lite0"} == set(titles[4:8])
    headings = [titles[i].rpartition(" (")[0] for i in chooser.table.heading_rows()[2:]]
    assert headings == sorted(headings, key=str.casefold)
    assert chooser.table.found == total


def test_weights_are_told_by_a_sign_and_in_words(chooser):
    chooser.search.setText("zoo/resnet_05")
    assert rows(chooser, WEIGHTS)[0] == "✓ here"
    chooser.search.setText("zoo/resnet_06")
    assert rows(chooser, WEIGHTS)[0] == "↓ to fetch"


def test_filters_narrow_the_list_and_say_how_far(qtbot, chooser, catalog):
    chooser.here.click()
    assert chooser.table.found == 4
    assert f"4 of {len(catalog.backbones) + 1300:,}" in chooser.count.text()
    chooser.here.click()
    chooser.family.setCurrentIndex(chooser.family.findData("Swin"))
    swins = chooser.table.found
    assert {chooser.table.at(chooser.table.index(i, 0)).spec.family for i in range(1, swins)} == {"Swin"}
    chooser.size.setCurrentIndex(1)
    small = [chooser.table.at(chooser.table.index(i, 0)) for i in range(chooser.table.rowCount())]
    assert all(item.spec.params < 5e6 for item in small if item)
    chooser.search.setText("zebra")
    assert chooser.table.found == 0
    qtbot.keyClick(chooser.search, Qt.Key.Key_Return)
    assert chooser.isVisible(), "there is nothing to choose"


def test_a_click_on_a_heading_sorts_and_the_third_one_groups_again(qtbot, chooser):
    header = chooser.list.horizontalHeader()
    column = next(i for i, column in enumerate(chooser.table.columns) if column.order == "accuracy")

    def click():
        where = header.sectionPosition(column) + 8
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(where, 8))
        return [item.accuracy for i in range(40) if (item := chooser.table.at(chooser.table.index(i, 0)))]

    best = click()
    assert best == sorted(best, reverse=True)
    assert len(best) == 40
    worst = click()
    assert worst == sorted(worst)
    assert worst[0] < best[-1]
    click()
    assert chooser.table.heading_rows()
    assert chooser.order.currentIndex() == 0


def test_details_say_where_weights_come_from_and_how_to_get_them(chooser):
    chooser.search.setText("torchvision/resnet18")
    text = chooser.details.text.toPlainText()
    for words in (
        "ResNet-18",
        "11,689,512",
        "IMAGENET1K_V1",
        "69.8 %",
        "download.pytorch.org",
        "weights import",
        "BSD-3-Clause",
    ):
        assert words in text, words
    chooser.details.copy.click()
    assert QApplication.clipboard().text() == "tlstudio weights fetch torchvision/resnet18:IMAGENET1K_V1"
    chooser.search.setText("zoo/resnet_05")
    assert "✓ here" in chooser.details.text.toPlainText()
    assert chooser.details.copy.isHidden()


def test_a_double_click_chooses(qtbot, box, chooser):
    chooser.search.setText("zoo/swin_11")
    middle = chooser.list.visualRect(chooser.table.index(0, NAME)).center()
    qtbot.mouseClick(chooser.list.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseDClick(chooser.list.viewport(), Qt.MouseButton.LeftButton, pos=middle)
    assert box.value() == "zoo/swin_11"


def test_letters_typed_into_the_list_go_to_the_search(qtbot, chooser):
    chooser.list.setFocus()
    qtbot.keyClicks(chooser.list, "eva")
    assert chooser.search.text() == "eva"


def test_pointing_at_the_field_looks_at_the_disk_before_the_list_is_opened(qtbot, box):
    point = QPointF(5, 5)
    QApplication.sendEvent(box, QEnterEvent(point, point, point))
    qtbot.waitUntil(lambda: len(set(LOOKED)) == 1300, timeout=10_000)
    qtbot.waitUntil(lambda: box._known is not None)
    box.showPopup()
    assert rows(box.chooser)[0].startswith("Used last"), "at once, so that nothing jumps"
    box.chooser.reject()


def test_a_name_that_no_plugin_offers_is_kept(form, box):
    box.set_value("lost/network")
    assert box.value() == "lost/network"
    assert box.currentText() == "lost/network"
    assert form.backbone() is None


def test_the_list_follows_the_theme_and_the_palette_has_it(qtbot, loaded):
    loaded.actions_by_id["run.backbone"].trigger()
    box = loaded.page("train").form.form.rows["model.backbone"].editor
    assert box.chooser is not None
    theme.apply("dark")
    theme.apply("light")
    assert box.chooser.details.text.toPlainText()
    box.chooser.reject()
