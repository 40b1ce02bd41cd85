"""The runs page lists what lies in the workspace, shows it again from its events, and hands it to other pages."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from tlstudio.api.config import parse_config
from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Note,
    Prepared,
    RunFailed,
    RunFinished,
    RunStarted,
    StageState,
    StepDone,
)
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.run_text import settings_of
from tlstudio.gui.pages.runs import RunsPage
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run, list_runs

STAGES = (StageState(name="stem", params=100), StageState(name="head", params=20, factor=1.0, trainable_params=20))


def make_run(
    workspace, *, name="", backbone="timm/tf_efficientnet_lite0", path="/data/bees", outcome="completed", accuracy=0.9
):
    config = parse_config({
        "data": {"path": path}, "model": {"backbone": backbone}, "freezing": {"strategy": "freezing/head-only"},
        "run": {"epochs": 3, "name": name},
    })  # fmt: skip
    run, folder = create_run(workspace, config, {})

    def events():
        yield RunStarted(folder=str(folder), config=config.model_dump(mode="json"), epochs=3)
        yield Prepared(
            classes=("ants", "bees"), images={"train": 8, "val": 2}, stages=STAGES, device="CPU", weights="w", steps_per_epoch=5
        )
        yield Note(text="A note about <bees> & ants.")
        for epoch in range(3):
            yield EpochStarted(epoch=epoch, stages=STAGES)
            for i in range(5):
                step = 5 * epoch + i + 1
                yield StepDone(epoch=epoch, step=step, steps=15, loss=1 / step, lr=0.1, images_per_s=3)
            yield EpochDone(
                epoch=epoch, step=5 * epoch + 5, train={"loss": 0.3, "accuracy": 0.9},
                val={"loss": 0.4, "accuracy": accuracy - 0.1 * (2 - epoch)}, seconds=2.0, best=True,
            )  # fmt: skip
        if outcome == "failed":
            yield RunFailed(error="The disk is full.", hint="Make room.")
        elif outcome != "interrupted":
            yield RunFinished(
                outcome=outcome, metrics={"val_accuracy": accuracy, "val_loss": 0.4}, best_epoch=2, epochs=3, seconds=6.5,
                model=str(folder / "model.safetensors"),
            )  # fmt: skip

    for _ in record((event.model_copy(update={"run": run}) for event in events()), folder):
        pass
    if outcome in ("completed", "stopped"):
        (folder / "model.safetensors").write_bytes(b"weights")
    return run


@pytest.fixture
def context(tmp_path):
    return AppContext(tmp_path / "workspace")


@pytest.fixture
def page(qtbot, context):
    page = RunsPage(context)
    qtbot.addWidget(page)
    page.resize(1200, 740)
    return page


def shown(qtbot, page, count):
    page.show()
    qtbot.waitUntil(lambda: page.proxy.rowCount() == count and not page.details.busy, timeout=10_000)


def chosen(qtbot, page, run):
    page.show_run(run)
    qtbot.waitUntil(lambda: [r.id for r in page.chosen()] == [run] and settled(page), timeout=10_000)


def settled(page):
    return not page.details.busy and not page._settle.isActive() and page._reading is None


def texts(page, column):
    """What stands in a column, by its name."""
    return [page.proxy.index(row, page.table.column_of(column)).data() for row in range(page.proxy.rowCount())]


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
    assert asked == ["predict", "evaluate", "train", "train"]  # once more, after the images were opened
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
    run = make_run(context.workspace, outcome="interrupted")  # its heartbeat is fresh
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


def age(folder):
    """Make a run's heartbeat old."""
    import os

    old = time.time() - 1000
    os.utime(folder / "run.json", (old, old))
