"""The stage strip says for each stage whether it learns, how fast and how large it is, in colour and without."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import QPoint, Qt

from tlstudio.api.events import StageState
from tlstudio.gui import theme
from tlstudio.gui.widgets.stage_look import count_text, ground
from tlstudio.gui.widgets.stage_strip import StageStrip

STAGES = (
    StageState(name="stem", params=928),
    StageState(name="block1", params=140_000, factor=0.01, trainable_params=140_000),
    StageState(name="block2", params=2_700_000, factor=0.1, trainable_params=3_000),
    StageState(name="head", params=12_810, factor=1.0, trainable_params=12_810),
)


@pytest.fixture
def strip(qtbot):
    strip = StageStrip()
    qtbot.addWidget(strip)
    strip.resize(800, strip.height())
    strip.set_stages(STAGES)
    strip.show()
    return strip


def contrast(one, two):
    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_each_stage_has_a_place_in_order_and_larger_ones_more_room(strip):
    boxes = strip.rectangles()
    assert len(boxes) == 4
    assert all(a.right() < b.left() for a, b in itertools.pairwise(boxes))
    assert boxes[2].width() > boxes[1].width() > boxes[0].width() > 30
    assert boxes[-1].right() == pytest.approx(800)


def test_screen_readers_and_tooltips_hear_the_same(strip):
    text = strip.accessibleDescription()
    assert "stem: frozen" in text
    assert "block1: learns at 0.01 times the learning rate, 0.1 M parameters" in text
    assert "3.0 k of them learn" in text


def test_frozen_is_cold_learning_is_warm_and_brighter_the_faster(strip):
    colors = [ground(stage) for stage in STAGES]
    assert colors[0].blue() > colors[0].red()
    assert all(color.red() > color.blue() for color in colors[1:])
    warmth = [color.hslSaturationF() * (1 - abs(color.lightnessF() - 0.5)) for color in colors[1:]]
    assert warmth == sorted(warmth)


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_text_can_be_read_on_every_stage(strip, choice):
    theme.apply(choice)
    try:
        for factor in (0.0, 1e-6, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0, 3.0):
            color = ground(StageState(name="x", params=1, factor=factor))
            assert contrast(theme.colors().text, color) >= 4.5, factor
        assert contrast(theme.colors().frozen_text, ground(STAGES[0])) >= 4.5
    finally:
        theme.apply("light")


def test_frozen_is_told_without_colour(strip, qtbot):
    def pixels(stages):
        strip.set_stages(stages)
        return strip.grab().toImage().convertToFormat(strip.grab().toImage().Format.Format_Grayscale8)

    assert pixels(STAGES) != pixels(tuple(stage.model_copy(update={"factor": 1.0}) for stage in STAGES))


def test_a_head_is_added_where_it_is_missing(strip):
    strip.set_stages(STAGES[:2])
    assert [stage.name for stage in strip.stages] == ["stem", "block1", "head"]
    strip.set_stages(())
    assert strip.stages == ()
    strip.set_placeholder("Looking …")
    strip.grab()


def test_keyboard_and_mouse_choose_stages(strip, qtbot):
    chosen = []
    strip.stage_clicked.connect(chosen.append)
    box = strip.rectangles()[2]
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(int(box.center().x()), 20))
    strip.setFocus()
    qtbot.keyClick(strip, Qt.Key.Key_Left)
    for _ in range(9):
        qtbot.keyClick(strip, Qt.Key.Key_Right)
    assert chosen[:2] == ["block2", "block1"]
    assert chosen[-1] == "head"


def test_many_stages_in_little_room_are_drawn(strip):
    strip.set_stages([StageState(name=f"layer{i}.{i}", params=10**i, factor=i % 2) for i in range(40)])
    strip.resize(300, strip.height())
    strip.grab()
    assert len(strip.rectangles()) == 41


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (940, "940"), (1000, "1.0 k"), (12_810, "13 k"), (94_000, "94 k"), (900_000, "0.9 M"), (4_652_008, "4.7 M"),
     (25_557_032, "26 M"), (197_767_336, "198 M"), (1_300_000_000, "1.3 G")],
)  # fmt: skip
def test_parameters_are_counted_as_people_do(count, text):
    assert count_text(count) == text
