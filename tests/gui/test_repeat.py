"""The same settings several times: what is missing waits and is trained, and the Runs page tells mean and interval."""

from __future__ import annotations

import pytest
from gui.fake_engine import wait_run
from gui.some_runs import chosen, settled, shown, texts
from PySide6.QtCore import QUrl

from tlstudio.api.config import DataConfig, TrainConfig
from tlstudio.api.events import RunFinished
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.memory import Memory
from tlstudio.runs import queue
from tlstudio.runs.groups import done, plan_folds, plan_seeds
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run, list_runs


@pytest.fixture
def context(equipped):
    return equipped


@pytest.fixture
def page(queue_page):
    return queue_page


def keep(workspace, member, accuracy=0.9, outcome="completed", config=None):
    """A finished run of a group, as the engine leaves it."""
    run_id, folder = create_run(workspace, config or member.config, {"group": member.record})
    end = RunFinished(
        run=run_id, outcome=outcome, metrics={"val_accuracy": accuracy}, best_epoch=0, epochs=1, seconds=1.0, model=""
    )
    assert list(record([end], folder)) == [end]
    return run_id


def asked(qtbot, page):
    """The dialog, when it knows what is done."""
    page.waiting.repeat.trigger()
    dialog = page.waiting.repeater.dialog
    qtbot.waitUntil(dialog.add.isEnabled, timeout=20_000)
    return dialog


def test_several_seeds_are_trained_one_after_the_other(qtbot, page, engine, context):
    before = page.form.config()
    dialog = asked(qtbot, page)
    assert dialog.add.text() == "Add 3 runs"
    assert "Seeds 0 to 2. None is done yet. The first begins at once" in dialog.state.text()
    dialog.add.click()
    for number in (1, 2, 3):
        wait_run(qtbot, engine, page, number)
        assert engine.config.run.seed == number - 1
        assert page.form.config() == before, "the seed of one run is not what the user set"
        engine.put(None)
    qtbot.waitUntil(lambda: len(done(list_runs(context.workspace), dialog_group(before))) == 3, timeout=20_000)
    qtbot.waitUntil(lambda: not page.is_running(), timeout=20_000)
    again = asked(qtbot, page)
    assert again.add.text() == "Show the group"
    assert "All are done." in again.state.text()
    went = []
    context.page_requested.connect(went.append)
    context.run_requested.connect(went.append)
    again.add.click()
    assert went == ["runs", list_runs(context.workspace)[0].id]
    assert len(list_runs(context.workspace)) == 3


def dialog_group(config):
    return plan_seeds(config, 1)[0].group


def test_after_a_stop_the_others_wait_and_the_same_wish_adds_only_what_is_missing(qtbot, page, engine, context):
    asked(qtbot, page).add.click()
    wait_run(qtbot, engine, page, 1)
    page.stop(keep=True)
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        engine.prepared()
    qtbot.waitUntil(lambda: len(page.elsewhere.runs.now.waiting) == 2, timeout=20_000)
    assert not page.is_running()
    dialog = asked(qtbot, page)
    assert dialog.add.text() == "Add 1 run"
    assert "None is done yet. Waiting or going: 2. It begins at once." in dialog.state.text()
    dialog.count.setValue(5)
    assert dialog.add.text() == "Add 3 runs"
    dialog.add.click()
    wait_run(qtbot, engine, page, 2)
    assert engine.config.run.seed == 0, "the first that was added, as Start would"
    waiting = [run.group_number for run in queue.waiting(context.workspace)]
    assert waiting == [1, 2, 3, 4]


def test_over_folds_the_form_keeps_its_split(qtbot, page, engine, context):
    before = page.form.config()
    keep(context.workspace, plan_folds(before, 4)[0])
    dialog = asked(qtbot, page)
    dialog.folds.setChecked(True)
    dialog.count.setValue(4)
    assert "Done already: 1." in dialog.state.text()
    dialog.add.click()
    wait_run(qtbot, engine, page, 1)
    assert (engine.config.data.split, engine.config.data.folds, engine.config.data.fold) == ("kfold", 4, 1)
    assert page.form.config() == before


def test_while_a_run_is_going_they_wait_behind_it(qtbot, page, engine, context):
    page.start()
    wait_run(qtbot, engine, page, 1)
    page.waiting.menu.aboutToShow.emit()
    assert not page.waiting.repeat.isEnabled()
    page.waiting.prepare.trigger()
    dialog = asked(qtbot, page)
    assert "wait in the queue for their turn" in dialog.state.text()
    dialog.add.click()
    qtbot.waitUntil(lambda: len(page.elsewhere.runs.now.waiting) == 3, timeout=20_000)
    assert engine.runs == 1
    page.waiting.open()
    names = [page.waiting.list.list.item(row).text() for row in range(3)]
    assert [name.partition(", ")[2].partition(" · ")[0] for name in names] == ["seed 0", "seed 1", "seed 2"]
    page.waiting.list.hide()
    engine.put(None)
    wait_run(qtbot, engine, page, 2)
    assert engine.config.run.seed == 0


def test_settings_that_cannot_be_trained_are_told_instead(qtbot, page):
    page.form.form.rows["run.epochs"].editor.set_value(0)
    page.waiting.repeat.trigger()
    assert page.waiting.repeater.dialog is None


def test_the_palette_has_it(qtbot, context, page):
    window = MainWindow(context, Memory())
    qtbot.addWidget(window)
    window._pages["train"] = page
    window.stack.addWidget(page)
    window.show()
    context.data = object()
    window.actions_by_id.refresh()
    window.actions_by_id["run.repeat"].trigger()
    assert page.waiting.repeater.dialog.isVisible()
    page.waiting.repeater.dialog.reject()
    assert page.waiting.repeater.dialog is None
    context.data = None


def plain(browser):
    return browser.toPlainText().replace("\xa0", " ")


CONFIG = TrainConfig(data=DataConfig(path="/data/bees"))


def test_the_group_of_a_chosen_run_is_told(qtbot, runs_page, context):
    members = plan_seeds(CONFIG, 4)
    ids = [keep(context.workspace, member, accuracy) for member, accuracy in zip(members, (0.90, 0.92, 0.94), strict=False)]
    stopped = keep(context.workspace, members[3], 0.1, outcome="stopped")
    alone, _ = create_run(context.workspace, CONFIG, {})
    shown(qtbot, runs_page, 5)
    chosen(qtbot, runs_page, ids[1])
    text = plain(runs_page.details.text)
    assert members[0].group in text
    assert "Accuracy 92.0 % on average of 3 runs, standard deviation 2.0 points." in text
    assert "95 % interval of the mean: 87.0 % to 97.0 % (Student's t, 2 degrees of freedom)." in text
    assert "not that of other images" in text
    assert "Not counted: 1 run" in text
    assert "differ in" not in text
    assert "seed 2\n94.0 %" in text
    assert "seed 3\n10.0 %\nstopped" in text
    runs_page.details.text.anchorClicked.emit(QUrl("group:"))
    qtbot.waitUntil(lambda: len(runs_page.chosen()) == 4 and settled(runs_page), timeout=10_000)
    assert {run.id for run in runs_page.chosen()} == {*ids, stopped}
    assert runs_page.details.group_text.isVisible()
    text = plain(runs_page.details.group_text)
    assert "95 % interval" in text
    assert "Choose all runs" not in text
    assert not runs_page.can("group"), "all of it is chosen"
    runs_page.details.group_text.anchorClicked.emit(QUrl(f"run:{ids[2]}"))
    qtbot.waitUntil(lambda: [run.id for run in runs_page.chosen()] == [ids[2]] and settled(runs_page), timeout=10_000)
    chosen(qtbot, runs_page, alone)
    assert "interval" not in plain(runs_page.details.text)
    assert not runs_page.can("group")
    runs_page.view.choose([alone, ids[0]])
    qtbot.waitUntil(lambda: len(runs_page.chosen()) == 2 and settled(runs_page), timeout=10_000)
    assert not runs_page.details.group_text.isVisible(), "they are not of one group"


def test_a_group_whose_runs_differ_says_in_what(qtbot, runs_page, context):
    first, second = plan_seeds(CONFIG, 2)
    keep(context.workspace, first)
    longer = second.config.model_copy(update={"run": second.config.run.model_copy(update={"epochs": 7})})
    other = keep(context.workspace, second, config=longer)
    shown(qtbot, runs_page, 2)
    chosen(qtbot, runs_page, other)
    assert "Mind that the runs differ in Epochs: they do not repeat one" in plain(runs_page.details.text)


def test_a_group_is_searched_for_and_sorted_by(qtbot, runs_page, context, tmp_path):
    members = [*plan_seeds(CONFIG, 2), plan_folds(CONFIG, 2)[0]]
    for member in reversed(members):
        keep(context.workspace, member)
    create_run(context.workspace, CONFIG, {})
    shown(qtbot, runs_page, 4)
    runs_page.bar.search.setText(members[0].group)
    digits = members[0].group.partition("-")[2][:4]
    assert sorted(texts(runs_page, "group")) == [f"seed 0 · {digits}", f"seed 1 · {digits}"]
    runs_page.bar.search.setText("fold")
    assert len(texts(runs_page, "group")) == 1
    runs_page.bar.clear()
    runs_page.view.sortByColumn(runs_page.table.column_of("group"), runs_page.view.columns.header.sortIndicatorOrder())
    runs_page.export(tmp_path / "runs.csv", runs_page.view.shown())
    assert members[0].group in (tmp_path / "runs.csv").read_text(encoding="utf-8-sig")
    runs_page.view.columns.show_column("group", False)
    assert "group" not in runs_page.view.columns.visible()
