"""The runs page lists what lies in the workspace, shows it again from its events, and hands it to other pages."""

from __future__ import annotations

import pytest
from gui.some_runs import age, chosen, make_run, settled, shown, texts
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QMenu, QMessageBox

from tlstudio.api.config import parse_config
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.run_difference import names_of
from tlstudio.gui.pages.run_text import settings_of
from tlstudio.gui.pages.runs import RunsPage
from tlstudio.gui.widgets.comparison import ComparisonView
from tlstudio.runs.lock import hold
from tlstudio.runs.notes import RunNotes, write_notes
from tlstudio.runs.store import list_runs, require_run


@pytest.fixture
def page(runs_page):
    return runs_page


def test_an_empty_workspace_says_what_will_be_here(qtbot, page, context):
    page.show()
    qtbot.waitUntil(page.empty.isVisible)
    make_run(context.workspace)
    context.runs_changed.emit()
    qtbot.waitUntil(lambda: page.view.isVisible() and page.proxy.rowCount() == 1)


def test_runs_are_listed_with_their_figures(qtbot, page, context):
    make_run(context.workspace, name="mine", accuracy=0.948)
    make_run(context.workspace, outcome="failed", backbone="torchvision/vgg16")
    shown(qtbot, page, 2)
    row = texts(page, "name").index("mine")
    cells = [page.proxy.index(row, column).data() for column in range(page.proxy.columnCount())]
    assert cells[:5] == ["mine", "bees", "tf_efficientnet_lite0", "head-only", "✓ finished"]
    assert cells[5:11] == ["3 / 3", "3", "94.8 %", "0.400", "0:06", "4"]
    other, status = 1 - row, page.table.column_of("status")
    assert page.proxy.index(other, status).data() == "! failed"
    assert page.proxy.index(other, status).data(Qt.ItemDataRole.ToolTipRole) == "The disk is full."


def test_sorting_goes_by_value_and_searching_by_words(qtbot, page, context):
    for name, accuracy in (("a", 0.95), ("b", 1.0), ("c", 0.099)):
        make_run(context.workspace, name=name, accuracy=accuracy, path=f"/data/set {name}")
    shown(qtbot, page, 3)
    page.view.sortByColumn(page.table.column_of("val_accuracy"), Qt.SortOrder.AscendingOrder)
    assert texts(page, "name") == ["c", "a", "b"]
    page.bar.search.setText("SET b")
    assert texts(page, "name") == ["b"]
    page.bar.search.setText("nothing")
    assert texts(page, "name") == []


def test_a_chosen_run_is_played_again(qtbot, page, context):
    run = make_run(context.workspace)
    make_run(context.workspace, name="other")
    shown(qtbot, page, 2)
    chosen(qtbot, page, run)
    data = page.details.curves.data
    assert data.run == run
    assert len(data.steps[0]) == 15
    assert data.best() == pytest.approx((3.0, 0.4, 0.9))
    assert [stage.name for stage in page.details.strip.stages] == ["stem", "head"]
    text = page.details.text.toPlainText()
    assert "A note about <bees> & ants." in text
    assert text.index("Changed settings") < text.index("Epochs") < text.index("Settings at their defaults")


def test_several_runs_lie_over_each_other(qtbot, page, context):
    runs = [make_run(context.workspace, name=name) for name in "abc"]
    shown(qtbot, page, 3)
    page.view.selectAll()
    qtbot.waitUntil(lambda: page.details.overlay.isVisible() and settled(page))
    assert page.details.overlay.loss.names == set(runs)
    assert not page.bar.predict.isEnabled()
    assert page.bar.delete.isEnabled()


def test_the_actions_lead_to_other_pages(qtbot, page, context):
    run = make_run(context.workspace)
    shown(qtbot, page, 1)
    chosen(qtbot, page, run)
    asked, runs, configs, data = [], [], [], []
    context.page_requested.connect(asked.append)
    context.run_requested.connect(runs.append)
    context.config_requested.connect(configs.append)
    context.data_requested.connect(data.append)
    page.bar.predict.click()
    page.bar.evaluate.click()
    page.bar.again.click()
    assert asked == ["predict", "evaluate", "train"]
    assert runs == [run, run]
    assert configs[0].run.epochs == 3
    assert data[0].path == "/data/bees"


def test_a_run_without_a_model_cannot_predict(qtbot, page, context):
    run = make_run(context.workspace, outcome="cancelled")
    shown(qtbot, page, 1)
    chosen(qtbot, page, run)
    assert not page.bar.predict.isEnabled()
    assert page.bar.again.isEnabled()


def test_deleting_asks_and_moves_to_the_trash(qtbot, page, context, monkeypatch):
    run, kept = make_run(context.workspace), make_run(context.workspace)
    for info in list_runs(context.workspace):
        age(info.folder)
    shown(qtbot, page, 2)
    chosen(qtbot, page, run)
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    page.bar.delete.click()
    assert len(list_runs(context.workspace)) == 2
    page.bar.delete.click()
    qtbot.waitUntil(lambda: page.proxy.rowCount() == 1 and settled(page))
    assert [info.id for info in list_runs(context.workspace)] == [kept]
    assert len(list((context.workspace / "trash").iterdir())) == 1


def test_a_running_run_is_not_deleted(qtbot, page, context):
    run = make_run(context.workspace, outcome="interrupted")
    with hold(require_run(context.workspace, run).folder):
        shown(qtbot, page, 1)
        chosen(qtbot, page, run)
        assert texts(page, "status") == ["▶ running"]
        assert not page.bar.delete.isEnabled()


def test_news_keep_the_choice(qtbot, page, context):
    run = make_run(context.workspace)
    shown(qtbot, page, 1)
    chosen(qtbot, page, run)
    make_run(context.workspace, name="newer")
    context.runs_changed.emit()
    qtbot.waitUntil(lambda: page.proxy.rowCount() == 2 and settled(page))
    assert [info.id for info in page.chosen()] == [run]


def test_nothing_is_read_out_of_sight(qtbot, page, context):
    make_run(context.workspace)
    context.runs_changed.emit()
    assert page._reading is None
    shown(qtbot, page, 1)


def test_settings_are_told_apart_from_the_defaults():
    changed, same = settings_of(parse_config({"optim": {"learning_rate": 0.01}}).model_dump(mode="json"))
    assert changed == [("Learning rate", "0.01")]
    assert {("Epochs", "30"), ("Batch size", "32 images"), ("Compile", "off")} <= set(same)


def test_notes_and_tags_are_written_in_the_table(qtbot, page, context):
    run = make_run(context.workspace)
    shown(qtbot, page, 1)
    chosen(qtbot, page, run)
    for column, text in (("notes", "look again"), ("tags", "good, try, Good")):
        page.view.write(column)
        editor = page.view.findChild(QLineEdit)
        editor.setText(text)
        qtbot.keyClick(editor, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: page.view.state() == page.view.State.NoState)
    (info,) = list_runs(context.workspace)
    assert (info.notes, info.tags) == ("look again", ("good", "try"))
    assert texts(page, "tags") == ["good, try"]
    page.undo()
    page.undo()
    (info,) = list_runs(context.workspace)
    assert (info.notes, info.tags) == ("", ())
    page.redo()
    assert list_runs(context.workspace)[0].notes == "look again"


def test_notes_in_the_details_are_kept_when_another_run_is_chosen(qtbot, page, context):
    run, other = make_run(context.workspace), make_run(context.workspace)
    shown(qtbot, page, 2)
    chosen(qtbot, page, run)
    page.details.notes.text.setPlainText("two lines\nof words")
    page.details.notes.tags.setText("one")
    chosen(qtbot, page, other)
    assert page.details.notes.text.toPlainText() == ""
    notes = {info.id: (info.notes, info.tags) for info in list_runs(context.workspace)}
    assert notes == {run: ("two lines\nof words", ("one",)), other: ("", ())}
    page.bar.search.setText("words ONE")
    assert page.proxy.rowCount() == 1


def test_status_and_tag_filter_the_table(qtbot, page, context):
    for name, outcome, tags in (("a", "completed", ("x",)), ("b", "failed", ("x", "y")), ("c", "failed", ())):
        run = make_run(context.workspace, name=name, outcome=outcome)
        write_notes(require_run(context.workspace, run).folder, RunNotes(tags=tags))
    shown(qtbot, page, 3)
    bar = page.bar
    bar.status.setCurrentIndex(bar.status.findData("failed"))
    assert sorted(texts(page, "name")) == ["b", "c"]
    bar.tag.setCurrentIndex(bar.tag.findData("x"))
    assert texts(page, "name") == ["b"]
    bar.clear()
    assert page.proxy.rowCount() == 3


def test_columns_are_chosen_and_remembered(qtbot, context, home):
    make_run(context.workspace)
    page = RunsPage(context, memory=Memory())
    qtbot.addWidget(page)
    columns = page.view.columns
    assert "parent" not in columns.visible()
    menu = QMenu()
    columns.fill(menu)
    next(action for action in menu.actions() if action.text() == "Parent").trigger()
    next(action for action in menu.actions() if action.text() == "Data").trigger()
    columns.header.moveSection(columns.header.visualIndex(page.table.column_of("tags")), 1)
    page.view.setColumnWidth(page.table.column_of("name"), 333)
    page.view.sortByColumn(page.table.column_of("val_loss"), Qt.SortOrder.AscendingOrder)
    columns.save()
    again = RunsPage(context, memory=Memory())
    qtbot.addWidget(again)
    assert again.view.columns.visible() == columns.visible()
    assert again.view.columns.visible()[:3] == ["name", "tags", "backbone"]
    assert again.view.columnWidth(page.table.column_of("name")) == 333
    assert again.view.columns.header.sortIndicatorSection() == page.table.column_of("val_loss")
    again.view.columns.reset()
    assert again.view.columns.visible()[1] == "data"


def test_of_two_runs_only_what_differs_is_shown(qtbot, page, context):
    make_run(context.workspace, backbone="torchvision/vgg16", accuracy=0.8)
    make_run(context.workspace, accuracy=0.9)
    shown(qtbot, page, 2)
    page.view.selectAll()
    page.compare()
    qtbot.waitUntil(lambda: page.details.difference.isVisible() and settled(page))
    rows = page.details.difference.texts()
    settings = rows[rows.index(["Settings that differ"]) + 1 :]
    assert settings == [["Backbone", "timm/tf_efficientnet_lite0", "torchvision/vgg16"]]
    assert ["Val. accuracy", "90.0 %", "80.0 %"] in rows
    page.view.choose([page.table.runs[0].id])
    qtbot.waitUntil(lambda: page.details.curves.isVisible() and settled(page))


def test_two_models_are_compared_the_older_first(qtbot, page, context):
    ids = [make_run(context.workspace), make_run(context.workspace)]
    interrupted = make_run(context.workspace, outcome="interrupted")
    shown(qtbot, page, 3)
    page.view.choose([ids[1], interrupted])
    assert not page.can("judge")  # one of them has no model
    page.view.choose(ids)
    page.judge()
    [view] = page.findChildren(ComparisonView)
    assert [label.text().split()[-1] for label in view.names] == ids
    view.window().close()


def test_runs_alike_are_named_by_what_sets_them_apart(context):
    for seed in (1, 1, 2):
        make_run(context.workspace, seed=seed)
    make_run(context.workspace, name="mine", seed=3)
    runs = sorted(list_runs(context.workspace), key=lambda run: run.config["run"]["seed"])
    first, second, third, mine = names_of(runs)
    assert first == f"tf_efficientnet_lite0 on bees · {runs[0].id[:4]}"
    assert first != second
    assert (third, mine) == ("Seed 2", "mine")


def test_what_was_deleted_comes_back(qtbot, page, context):
    runs = {make_run(context.workspace), make_run(context.workspace)}
    for info in list_runs(context.workspace):
        age(info.folder)
    shown(qtbot, page, 2)
    page.edits.delete(list(page.table.runs))
    qtbot.waitUntil(lambda: page.proxy.rowCount() == 0 and settled(page))
    assert page.info.action() == "Undo"
    page.info._act()
    qtbot.waitUntil(lambda: page.proxy.rowCount() == 2 and settled(page))
    assert {info.id for info in list_runs(context.workspace)} == runs
    assert not page.info.isVisible()


def test_reproducing_starts_at_once_or_says_what_differs(qtbot, page, context, catalog, monkeypatch):
    run = make_run(context.workspace)
    context.set_catalog(catalog)
    shown(qtbot, page, 1)
    chosen(qtbot, page, run)
    found, asked, started = [], [], []
    monkeypatch.setattr("tlstudio.engine.reproduce.changes_since", lambda *_: list(found))
    monkeypatch.setattr(page.reproducer, "_ask", lambda _run, lines: asked.append(lines))
    context.reproduction_requested.connect(started.append)
    page.bar.reproduce.click()
    qtbot.waitUntil(lambda: not page.reproducer.busy)
    assert [info.id for info in started] == [run]
    found.append("torch: 1.0 then, 2.0 now.")
    page.reproduce()
    qtbot.waitUntil(lambda: not page.reproducer.busy)
    assert asked == [["torch: 1.0 then, 2.0 now."]]
    assert len(started) == 1  # the answer was no


def test_the_table_is_exported_as_it_is_shown(qtbot, page, context, tmp_path):
    for name in ("first", "second"):
        make_run(context.workspace, name=name)
    shown(qtbot, page, 2)
    page.bar.search.setText("second")
    page.view.columns.show_column("data", False)
    page.export(tmp_path / "runs.csv", page.view.shown())
    heading, *rows = (tmp_path / "runs.csv").read_text(encoding="utf-8-sig").splitlines()
    assert heading.startswith("name,backbone,strategy")
    assert [row.partition(",")[0] for row in rows] == ["second"]


def test_enter_opens_and_the_menu_acts_on_the_chosen_run(qtbot, loaded, folder):
    make_run(loaded.context.workspace)
    loaded.show_page("runs")
    page = loaded.page("runs")
    qtbot.waitUntil(lambda: len(page.chosen()) == 1 and settled(page), timeout=10_000)
    loaded.actions_by_id.refresh()
    enabled = {record.id for record in loaded.actions_by_id.records if loaded.actions_by_id[record.id].isEnabled()}
    assert {"run.reproduce", "run.again", "run.notes", "run.tags", "run.table", "run.reveal", "edit.undo"} <= enabled
    assert "run.differences" not in enabled
    qtbot.keyClick(page.view, Qt.Key.Key_Return)
    assert loaded.current_page() == "predict"
