"""Presets are chosen from the list of what learns, by mouse and by keyboard, and give way to what is chosen later."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.api.config import AUTO_STRATEGY, SAMPLE_DATASET, DataConfig, FreezingConfig, TrainConfig, parse_config
from tlstudio.registry.presets import PRESETS, Situation, find_preset

LEFT, KEY = Qt.MouseButton.LeftButton, Qt.Key


@pytest.fixture
def form(qtbot, form):
    form.resize(form.width(), 700)
    with qtbot.waitExposed(form):
        form.show()
    usual = QApplication.doubleClickInterval()
    QApplication.setDoubleClickInterval(10)
    yield form
    QApplication.setDoubleClickInterval(usual)


@pytest.fixture
def row(form):
    return form.form.rows["freezing.strategy"]


def titles(row):
    return [row.editor.itemText(index) for index in range(row.editor.count())]


def pick(qtbot, row, title, past=""):
    """Open the list and click this entry, with the mouse coming from the one ``past``."""
    box = row.editor
    qtbot.mouseClick(box, LEFT)
    view = box.view()
    qtbot.waitUntil(view.isVisible)
    qtbot.wait(2 * QApplication.doubleClickInterval())  # so long a release may be that of the click which opened the list
    for name in filter(None, (past, title)):
        index = box.model().index(titles(row).index(name), 0)
        view.scrollTo(index)
        where = view.visualRect(index).center()
        qtbot.mouseMove(view.viewport(), where)
    qtbot.mouseClick(view.viewport(), LEFT, pos=where)


def choose(qtbot, row, name):
    pick(qtbot, row, find_preset(name).title)


def changes(form):
    """A list that gets an item for each change."""
    seen = []
    form.changed.connect(lambda: seen.append(1))
    return seen


def test_the_list_has_the_situations_between_automatic_and_the_strategies(row, catalog):
    found = titles(row)
    assert found[0].startswith("Automatic")
    assert found[1:7] == ["By situation", *(preset.title for preset in PRESETS)]
    assert found[7:] == ["By strategy", *(spec.title for spec in catalog.strategies.values())]
    tips = [row.editor.itemData(index, Qt.ItemDataRole.ToolTipRole) for index in range(2, 7)]
    assert tips == [preset.about for preset in PRESETS]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_each_is_chosen_with_the_mouse_and_is_what_the_terminal_has(qtbot, form, row, preset):
    seen = changes(form)
    choose(qtbot, row, preset.name)
    assert form.config() == preset.applied(TrainConfig())
    assert row.editor.currentText() == form.strategy().title, "the list shows what learns now"
    assert row.note.isVisible()
    assert preset.title in row.note.text()
    assert preset.about in row.note.text()
    assert len(seen) == 1


def test_by_keyboard_the_list_is_opened_and_a_situation_taken(qtbot, form, row):
    box = row.editor
    box.setFocus()
    qtbot.keyClick(box, KEY.Key_Space)
    qtbot.waitUntil(box.view().isVisible)
    for _ in range(2):
        qtbot.keyClick(box.view(), KEY.Key_Down)  # the first passes over the heading
    qtbot.keyClick(box.view(), KEY.Key_Return)
    qtbot.waitUntil(lambda: not box.view().isVisible())
    assert form.value("freezing.strategy") == "freezing/lora"
    assert "another kind" in row.note.text()


def test_arrows_and_wheel_on_the_closed_list_pass_over_the_situations(qtbot, form, row, catalog):
    box = row.editor
    box.setFocus()
    qtbot.keyClick(box, KEY.Key_Down)
    assert box.value() == next(iter(catalog.strategies))
    assert row.note.text() == ""
    qtbot.keyClick(box, KEY.Key_Up)
    assert box.value() == AUTO_STRATEGY
    middle = QPointF(box.rect().center())
    for turn, expected in ((-120, next(iter(catalog.strategies))), (120, AUTO_STRATEGY)):
        event = QWheelEvent(
            middle, QPointF(box.mapToGlobal(middle.toPoint())), QPoint(), QPoint(0, turn), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(box, event)
        assert box.value() == expected
    choose(qtbot, row, "few-far")
    assert form.value("freezing.strategy") == "freezing/lora", "and they can be taken from the open list afterwards"


def test_headings_cannot_be_taken(qtbot, form, row):
    seen = changes(form)
    pick(qtbot, row, "By situation", past=PRESETS[0].title)
    assert row.editor.view().isVisible(), "the list stays open"
    qtbot.keyClick(row.editor.view(), KEY.Key_Escape)
    assert row.editor.value() == AUTO_STRATEGY
    assert seen == []


def test_what_the_user_has_set_stays(qtbot, form, row):
    form.form.rows["run.epochs"].editor.set_value(7)
    form.form.rows["augment.preset"].editor.set_value("light")
    choose(qtbot, row, "scratch")
    config = form.config()
    assert (config.run.epochs, config.augment.preset, config.model.weights) == (7, "light", "none")
    choose(qtbot, row, "few-close")
    config = form.config()
    assert (config.run.epochs, config.augment.preset, config.model.weights) == (7, "light", "auto")


def test_a_choice_that_changes_nothing_is_no_change(qtbot, form, row):
    form.set_freezing(FreezingConfig(strategy="freezing/full", options={"stage_factor": 0.05}))
    seen = changes(form)
    for name in ("many-far", "many-far"):
        choose(qtbot, row, name)
        assert find_preset(name).title in row.note.text()
    assert seen == []
    assert form.freezing().options == {"stage_factor": 0.05}


def test_invalid_fields_do_not_keep_a_situation_from_being_chosen(qtbot, form, row):
    form.form.rows["run.batch_size"].editor.set_value(0)
    choose(qtbot, row, "many-close")
    assert form.value("freezing.strategy") == "freezing/last-stages"
    assert form.value("run.batch_size") == 0


def test_the_reset_leads_back_to_automatic_and_takes_back_what_the_situation_brought(qtbot, form, row):
    form.set_situation(Situation(images=20, a_class=10, pretrained=True, likeness=0.9))
    form.set_data(DataConfig(path="/data/photos"))
    choose(qtbot, row, "scratch")
    assert row.label.text().startswith("•")
    qtbot.mouseClick(row.reset, LEFT)
    assert form.config() == parse_config({"data": {"path": "/data/photos"}})
    assert "20 training images are few" in row.note.text(), "the reason of the automatic choice is back"
    choose(qtbot, row, "scratch")
    form.form.rows["augment.preset"].editor.set_value("light")
    qtbot.mouseClick(row.reset, LEFT)
    assert form.value("augment.preset") == "light", "set by the user since"
    assert form.value("model.weights") == "auto"


def test_on_the_sample_the_reset_leads_to_what_the_sample_has(qtbot, form, row):
    form.set_data(DataConfig(dataset=SAMPLE_DATASET))
    before = form.config()
    choose(qtbot, row, "scratch")
    assert form.config() != before
    qtbot.mouseClick(row.reset, LEFT)
    assert form.config() == before


def test_another_strategy_ends_it_and_leaves_the_other_settings(qtbot, form, row):
    choose(qtbot, row, "scratch")
    row.editor.setFocus()
    pick(qtbot, row, form._catalog.strategies["freezing/gradual"].title)
    assert row.note.text() == ""
    assert form.value("augment.preset") == "strong"
    pick(qtbot, row, titles(row)[0])
    assert form.value("freezing.strategy") == AUTO_STRATEGY
    assert form.value("augment.preset") == "auto"


def test_settings_of_a_run_are_no_situations(qtbot, form, row):
    choose(qtbot, row, "scratch")
    form.set_config(find_preset("scratch").applied(TrainConfig()))
    assert row.note.text() == ""
    qtbot.mouseClick(row.reset, LEFT)
    assert form.value("augment.preset") == "strong", "it came with the run"


def test_it_outlasts_other_plugins(qtbot, form, row, catalog):
    """Plugins that are switched off and on leave the choice; a situation whose strategy is gone cannot be taken."""
    choose(qtbot, row, "many-close")
    strategies = dict(catalog.strategies)
    del strategies["freezing/head-only"]
    row.editor.set_strategies(strategies)
    assert form.value("freezing.strategy") == "freezing/last-stages"
    pick(qtbot, row, find_preset("few-close").title)
    qtbot.keyClick(row.editor.view(), KEY.Key_Escape)
    assert form.value("freezing.strategy") == "freezing/last-stages"
    assert find_preset("many-close").title in row.note.text()
    form.set_catalog(catalog)
    assert find_preset("many-close").title in row.note.text()
    choose(qtbot, row, "few-close")
    assert form.value("freezing.strategy") == "freezing/head-only"


def test_words_are_translated(qtbot, form, row):
    from PySide6.QtCore import QTranslator

    class Chinese(QTranslator):
        def translate(self, context, text, disambiguation=None, n=-1):
            return {("StrategyBox", "By situation"): "按情况", ("Presets", PRESETS[0].title): "图像少"}.get((context, text), "")

    translator = Chinese()
    QApplication.installTranslator(translator)
    try:
        row.editor.set_strategies(form._catalog.strategies)
        assert titles(row)[1:3] == ["按情况", "图像少"]
        pick(qtbot, row, "图像少")
        assert row.note.text().startswith("图像少")
    finally:
        QApplication.removeTranslator(translator)
