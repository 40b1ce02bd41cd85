"""A strategy is drawn with mouse and keys, on the strip and on the time axis; it can be taken back, saved and picked."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.api.config import SAMPLE_DATASET, DataConfig, FreezingConfig, parse_config
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.train import TrainPage
from tlstudio.gui.widgets.model_tree import STATE
from tlstudio.registry.strategies import save_strategy, saved_strategies

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
NAMES = ["stem", *(f"block{number}" for number in range(1, 8)), "conv_head"]


@pytest.fixture
def page(qtbot, tmp_path, catalog):
    return make_page(qtbot, tmp_path, catalog)


def make_page(qtbot, tmp_path, catalog):
    context = AppContext(tmp_path / "workspace")
    context.set_catalog(catalog)
    page = TrainPage(context)
    qtbot.addWidget(page)
    page.resize(1190, 740)
    page.set_data(DataConfig(dataset=SAMPLE_DATASET))
    page.form.form.rows["run.epochs"].editor.set_value(10)
    page.show()
    qtbot.waitUntil(lambda: len(page.network.strip.stages) == 10, timeout=60_000)
    return page


def choose(page, name, **options):
    page.form.set_freezing(FreezingConfig(strategy=f"freezing/{name}", options=options))


def factors(page):
    return [stage.factor for stage in page.network.strip.stages[:-1]]


def at(strip, name, y=20):
    index = [stage.name for stage in strip.stages].index(name)
    return QPoint(int(strip.rectangles()[index].center().x()), y)


def drag(qtbot, widget, *points, modifier=NONE):
    qtbot.mousePress(widget, LEFT, modifier, points[0])
    for point in points[1:]:
        qtbot.mouseMove(widget, point)
    qtbot.mouseRelease(widget, LEFT, modifier, points[-1])


def begins(page):
    """For each stage the first epoch (from 0) in which it learns; -1 for never."""
    plans = page.network.plans
    return [next((e for e, plan in enumerate(plans) if plan[i].factor), -1) for i in range(len(NAMES))]


def test_a_click_thaws_a_stage_and_another_freezes_it(qtbot, page):
    strip = page.network.strip
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "block7"))
    assert page.form.freezing() == FreezingConfig(strategy="freezing/custom", options={"stages": {"block7": 0.1}})
    assert factors(page) == [0.0] * 7 + [0.1, 0.0]
    assert page.form.form.rows["freezing.options"].reset.isHidden(), "options have reset buttons of their own"
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "block7"))
    assert factors(page) == [0.0] * 9
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "head"))
    assert factors(page) == [0.0] * 9, "the head always learns"


def test_a_drag_gives_the_stages_that_it_passes_the_state_of_the_first(qtbot, page):
    strip = page.network.strip
    drag(qtbot, strip, at(strip, "block5"), at(strip, "block6"), at(strip, "conv_head"), at(strip, "block7"))
    assert factors(page) == [0.0] * 5 + [0.1] * 3 + [0.0], "and lets those go that it leaves again"
    page.undo()
    assert page.form.freezing().strategy == "freezing/head-only", "a gesture is taken back as one"


def test_a_drag_from_the_head_lets_those_that_it_passes_learn_with_it(qtbot, page):
    strip = page.network.strip
    drag(qtbot, strip, at(strip, "head"), at(strip, "conv_head"), at(strip, "block6"), at(strip, "block7"))
    assert factors(page) == [0.0] * 7 + [0.1] * 2
    drag(qtbot, strip, at(strip, "head"), at(strip, "block6"), at(strip, "head"))
    assert factors(page) == [0.0] * 7 + [0.1] * 2, "one that comes back to the head changes nothing"
    drag(qtbot, strip, at(strip, "head"), at(strip, "head") + QPoint(0, 40))
    assert factors(page) == [0.0] * 7 + [0.1] * 2, "the head has no factor of its own"


def test_less_than_frozen_there_is_not(qtbot, page):
    strip = page.network.strip
    start = at(strip, "block7")
    drag(qtbot, strip, start, start + QPoint(0, 15), start + QPoint(0, 30))
    assert factors(page) == [0.0] * 9


@pytest.mark.parametrize(("up", "expected"), [(60, 1.0), (-60, 0.01)])
def test_a_drag_up_or_down_changes_the_factor(qtbot, page, up, expected):
    choose(page, "full")
    strip = page.network.strip
    start = at(strip, "block3", 35)
    drag(qtbot, strip, start, start - QPoint(0, up // 2), start - QPoint(0, up))
    assert factors(page)[3] == pytest.approx(expected, rel=1.01)
    assert (factors(page)[3] > 0.1) == (up > 0)
    assert factors(page)[:3] == [0.1] * 3


def test_the_wheel_with_ctrl_changes_the_factor(qtbot, page):
    choose(page, "full")
    strip = page.network.strip

    def wheel(modifiers):
        where = QPointF(at(strip, "block2"))
        event = QWheelEvent(
            where, QPointF(strip.mapToGlobal(where.toPoint())), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, modifiers,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(strip, event)

    wheel(NONE)
    assert factors(page)[2] == 0.1
    wheel(Qt.KeyboardModifier.ControlModifier)
    assert factors(page)[2] == 0.2


def test_keys_do_what_the_mouse_does(qtbot, page):
    strip = page.network.strip
    strip.setFocus()
    for _ in range(20):
        qtbot.keyClick(strip, Qt.Key.Key_Left)
    qtbot.keyClick(strip, Qt.Key.Key_Right)
    qtbot.keyClick(strip, Qt.Key.Key_Space)
    qtbot.keyClick(strip, Qt.Key.Key_Up)
    qtbot.keyClick(strip, Qt.Key.Key_Up)
    assert page.form.freezing().options == {"stages": {"block1": 0.5}}


def test_the_menu_sets_factors(page):
    menu = page.network.strip.menu_for(4)
    next(action for action in menu.actions() if action.text().endswith("0.01")).trigger()
    assert page.form.freezing().options == {"stages": {"block4": 0.01}}


def test_a_drag_on_the_time_axis_says_from_when_stages_learn(qtbot, page):
    choose(page, "lp-ft")
    raster = page.network.raster
    assert raster.isVisible()
    assert begins(page) == [5] * 9
    drag(qtbot, raster, raster.cell(2, 8).center().toPoint(), raster.cell(3, 6).center().toPoint(),
         raster.cell(4, 2).center().toPoint())  # fmt: skip
    assert begins(page) == [5, 5, 2, 2, 2, 5, 5, 5, 5]
    assert {stage.factor for plan in page.network.plans for stage in plan[:-1]} == {0.0, 0.05}
    page.form.form.rows["run.epochs"].editor.set_value(20)
    assert begins(page) == [10, 10, 4, 4, 4, 10, 10, 10, 10], "the picture keeps its shape in a longer run"


def test_a_click_on_the_time_axis_goes_to_that_epoch(qtbot, page):
    choose(page, "gradual")
    raster = page.network.raster
    qtbot.mouseClick(raster, LEFT, pos=raster.cell(0, 3).center().toPoint())
    assert page.form.freezing().strategy == "freezing/gradual"
    assert [factor > 0 for factor in factors(page)] == [False] * 6 + [True] * 3
    raster.setFocus()
    qtbot.keyClick(raster, Qt.Key.Key_Left)
    assert raster.column == 2
    assert [factor > 0 for factor in factors(page)] == [False] * 7 + [True] * 2
    assert "epoch 3: frozen" in raster.accessibleDescription()
    choose(page, "full")
    assert not raster.isVisible(), "there is nothing to tell of epochs that are all alike"


def test_drawing_begins_from_the_present_plan_of_any_strategy(qtbot, page):
    choose(page, "lora", rank=2)
    qtbot.waitUntil(lambda: [s.within for s in page.network.strip.stages[-2:-1]] == ["adapter"], timeout=30_000)
    strip = page.network.strip
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "stem"))
    assert page.form.freezing().options["within"] == "adapter"
    assert page.form.freezing().options["rank"] == 2
    assert factors(page)[0] == 0.0
    assert all(factor == 0.3 for factor in factors(page)[1:])


def test_changes_are_taken_back_and_made_again(qtbot, page):
    choose(page, "lp-ft", probe_share=0.3)
    before = page.form.freezing()
    strip = page.network.strip
    for name in ("block1", "block2"):
        qtbot.mouseClick(strip, LEFT, pos=at(strip, name))
    drawn = page.form.freezing()
    page.undo()
    assert begins(page)[:4] == [3, 0, 3, 3]
    page.undo()
    assert page.form.freezing() == before
    page.redo()
    page.redo()
    assert page.form.freezing() == drawn
    assert not page.network._reset.isHidden()
    page.network._reset.click()
    assert page.form.freezing() == before
    assert page.network._reset.isHidden()
    page.undo()
    assert page.form.freezing() == drawn


def test_what_does_not_fit_is_marked_at_its_field(page):
    choose(page, "custom", stages={"block77": 0.1, "block1": 0.5})
    rows = page.form._editors["freezing.options"].form.rows
    assert "no stage 'block77'; did you mean block7?" in rows["stages"].error.text()
    assert factors(page)[1] == 0.5, "the rest is shown"
    assert not page.start()
    rows["stages"].editor.set_value({"block1": -1})
    assert not page.start()
    assert "block1" in rows["stages"].error.text()
    rows["stages"].editor.set_value({"block1": 1})
    assert rows["stages"].error.text() == ""
    assert page.network.problems == ()


def test_a_run_cannot_be_drawn_on_and_is_followed(qtbot, page):
    choose(page, "gradual")
    states = page.network.plans[4]
    page.network.set_running(True)
    page.network.show_states(states, running=True, epoch=4)
    strip = page.network.strip
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "block1"))
    qtbot.keyClick(strip, Qt.Key.Key_Space)
    assert page.form.freezing().strategy == "freezing/gradual"
    assert page.network.raster.running == 4
    page.network.set_running(False)
    assert page.network.raster.running == -1


def test_a_strategy_is_saved_and_picked_again(qtbot, page, catalog):
    strip = page.network.strip
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "block7"))
    drawn = page.form.freezing()
    drawer = page.network.drawer
    drawer.save_as("mine")
    workspace = page._context.workspace
    qtbot.waitUntil(lambda: "mine" in drawer.saved)
    assert saved_strategies(workspace) == {"mine": drawn}
    choose(page, "full")
    menu = page.network._saved.menu()
    menu.aboutToShow.emit()
    next(action for action in menu.actions() if action.text() == "mine").trigger()
    assert page.form.freezing() == drawn
    config = parse_config({"data": {"dataset": "datasets/digits"}, "freezing": {"strategy": "custom:mine"}})
    recipe = catalog.resolve(config, workspace=workspace)
    assert recipe.config.freezing == drawn, "a run keeps what it stands for, not the name"


def test_a_drawing_is_there_again_in_the_next_session(qtbot, page, tmp_path, catalog):
    strip = page.network.strip
    qtbot.mouseClick(strip, LEFT, pos=at(strip, "block7"))
    drawn = page.form.freezing()
    file = tmp_path / "workspace" / "strategies" / ".present.json"
    qtbot.waitUntil(lambda: file.exists() and json.loads(file.read_text())["strategy"] == "freezing/custom")
    page.hide()
    again = make_page(qtbot, tmp_path, catalog)
    qtbot.waitUntil(lambda: again.form.freezing() == drawn)


def test_the_tree_shows_layers_and_their_state(qtbot, page):
    choose(page, "norm-only", norm_stats="update")
    page.network._open_layers.click()
    tree = page.network.tree
    assert page._middle.currentWidget() is tree
    qtbot.waitUntil(lambda: tree.tree.has_layers, timeout=60_000)
    page.network.show_layers("block2")
    model = tree.tree
    stage = model.index(2, 0)
    assert tree.isExpanded(stage)

    def row(number, parent):
        return [model.index(number, column, parent).data() for column in range(4)]

    assert row(2, model.index(-1, -1))[2:] == ["24 × 56 × 56", "only norms learn × 1, statistics follow"]
    assert row(0, stage) == ["blocks.1.0.conv_pw   Conv2d 1×1, 96", "1,536", "96 × 112 × 112", "frozen"]
    assert row(1, stage)[3] == "learns × 1, statistics follow"
    choose(page, "head-only")
    assert tree.isExpanded(stage), "another strategy leaves the tree open"
    assert row(1, stage)[STATE] == "frozen, statistics fixed"
    assert page.minimumSizeHint().height() <= 800 - 64
    page.network._open_layers.click()
    assert page._middle.currentWidget() is page.curves


def test_enter_opens_the_layers_of_a_stage(qtbot, page):
    strip = page.network.strip
    strip.setFocus()
    qtbot.keyClick(strip, Qt.Key.Key_Return)
    assert page._middle.currentWidget() is page.network.tree
    tree = page.network.tree
    qtbot.waitUntil(lambda: tree.tree.has_layers, timeout=60_000)
    assert tree.isExpanded(tree.tree.index(0, 0)), "as soon as they are known"


def test_names_that_cannot_be_files_are_refused(tmp_path):
    from tlstudio.api.errors import UserError

    for name in ("", "../x", ".hidden", "a/b", "x" * 61):
        with pytest.raises(UserError):
            save_strategy(tmp_path, name, FreezingConfig())
