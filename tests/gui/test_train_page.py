"""The train page drives one run: start, pause, stop, cancel, failure, and what it shows of each. The engine is a fake."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QPushButton

from tlstudio.api.config import DataConfig, parse_config
from tlstudio.api.events import (
    CheckpointSaved,
    EpochDone,
    EpochStarted,
    Note,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunPaused,
    RunStarted,
    StepDone,
)
from tlstudio.gui.context import OpenedData
from tlstudio.gui.pages.train import TrainPage
from tlstudio.gui.pages.train_progress import RunProgress, duration_text
from tlstudio.gui.widgets.preview_strip import COUNT
from tlstudio.runs.store import create_run, read_run


@pytest.fixture
def context(equipped):
    return equipped


@pytest.fixture
def page(train_page):
    return train_page


def wait_state(qtbot, page, state):
    qtbot.waitUntil(lambda: page.monitor.state == state, timeout=10_000)


def end(qtbot, page, engine):
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        engine.put(None)


def test_without_data_the_page_says_what_to_do(qtbot, context, engine):
    page = TrainPage(context, runner=engine)
    qtbot.addWidget(page)
    page.show()
    assert page.empty.isVisible()
    assert not page.start()
    assert engine.runs == 0
    with qtbot.waitSignals([context.page_requested, context.data_requested]):
        qtbot.mouseClick(page.empty.findChildren(QPushButton)[1], Qt.MouseButton.LeftButton)
    page.set_data(DataConfig(dataset="datasets/digits"))
    assert not page.empty.isVisible()


def test_a_run_from_start_to_result(qtbot, page, engine, context):
    active, events = [], []
    context.run_active_changed.connect(active.append)
    context.run_event.connect(events.append)
    page.form.form.rows["run.epochs"].editor.set_value(10)
    assert page.start()
    assert page.is_running()
    assert not page.start(), "one run at a time"
    assert not page.form.form.isEnabled()
    engine.put(Progress(task="Reading images", done=120, total=397))
    qtbot.waitUntil(lambda: page.monitor.status.text() == "Reading images 120 / 397")
    assert page.monitor.epoch_bar.value() == round(1000 * 120 / 397)
    engine.prepared()
    wait_state(qtbot, page, "running")
    assert [stage.factor for stage in page.network.strip.stages] == [0.0, 0.1, 1.0]
    engine.epoch(0)
    engine.epoch(1, accuracy=0.85, best=False)
    qtbot.waitUntil(lambda: len(page.curves.data.epoch_positions) == 2)
    qtbot.waitUntil(lambda: "44 images/s" in page.monitor.figures.text())
    assert "best so far 90.0 % at epoch 1" in page.monitor.figures.text()
    assert page.monitor.total_bar.value() == 200
    engine.put(Note(level="advice", text="Train the last stages too."))
    end(qtbot, page, engine)
    assert engine.config.run.epochs == 10
    assert engine.config.data.path == "/data/ants-bees"
    assert page.monitor.result.headline.text() == "Validation accuracy 94.8 % at epoch 7"
    assert "run1" in page.monitor.result.place.text()
    assert "last stages" in page.monitor.result.advice.text()
    assert page.form.form.isEnabled()
    assert not page.is_running()
    assert active == [True, False]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)


def test_the_result_leads_on(qtbot, page, engine, context):
    page.start()
    end(qtbot, page, engine)
    asked, runs = [], []
    context.page_requested.connect(asked.append)
    context.run_requested.connect(runs.append)
    page.monitor.result._predict.click()
    page.monitor.result._show.click()
    assert asked == ["predict", "runs"]
    assert runs == ["run1", "run1"]


def test_pause_and_resume(qtbot, page, engine):
    page.start()
    engine.prepared()
    wait_state(qtbot, page, "running")
    page.monitor.pause.click()
    assert page.monitor.state == "paused"
    assert page.monitor.pause.text() == "Resume"
    assert engine.control.paused
    engine.epoch(0)
    qtbot.waitUntil(engine.paused_at.is_set)
    assert not len(page.curves.data.epoch_positions)
    page.monitor.pause.click()
    qtbot.waitUntil(lambda: len(page.curves.data.epoch_positions) == 1)
    end(qtbot, page, engine)


def test_the_status_bar_and_the_page_say_that_it_is_paused_and_saved(qtbot, page, engine, context):
    still = []
    context.run_still_changed.connect(still.append)
    page.start()
    engine.prepared()
    wait_state(qtbot, page, "running")
    page.toggle_pause()
    assert page.monitor.status.text() == "Paused after the current step."
    engine.put(CheckpointSaved(epoch=0, step=2, path="x"))
    qtbot.waitUntil(lambda: page.monitor.status.text() == "Paused. All is saved.")
    page.toggle_pause()
    assert page.monitor.state == "running"
    assert still == [True, False]
    end(qtbot, page, engine)


def test_a_run_that_cannot_be_saved_says_so_and_is_tried_again(qtbot, page, engine, context):
    still = []
    context.run_still_changed.connect(still.append)
    page.start()
    engine.prepared()
    wait_state(qtbot, page, "running")
    engine.control.pause()  # as the engine does
    engine.put(RunPaused(reason="The disk is full.", hint="Free 120 MB."))
    wait_state(qtbot, page, "held")
    monitor = page.monitor
    assert monitor._lower.currentWidget() is monitor.held
    assert (monitor.held.title.text(), monitor.held.hint.text()) == ("The disk is full.", "Free 120 MB.")
    assert monitor.stop.isEnabled()
    assert not monitor.pause.isEnabled()
    monitor.held.again.click()
    assert not engine.control.paused
    assert "Tried again at" in monitor.held.state.text()
    assert monitor.state == "held"
    engine.put(CheckpointSaved(epoch=0, step=2, path="x"))
    wait_state(qtbot, page, "running")
    assert monitor._lower.currentWidget() is monitor.notes
    assert still == [True, False]
    end(qtbot, page, engine)


def test_stop_keeps_the_model_even_when_paused(qtbot, page, engine):
    page.start()
    engine.prepared()
    wait_state(qtbot, page, "running")
    page.pause()
    engine.put(Note(text="x"))
    page.monitor.stop.click()
    assert page.monitor.state == "stopping"
    with qtbot.waitSignal(page.run_ended, timeout=10_000) as ended:
        pass
    assert ended.args[0].outcome == "stopped"
    assert "kept" in page.monitor.status.text()
    assert not page.monitor.result._predict.isHidden()


def test_cancel_before_anything_is_learnt_does_not_ask(qtbot, page, engine):
    page.start()
    with qtbot.waitSignal(page.run_ended, timeout=10_000) as ended:
        page.monitor.cancel.click()
        engine.put(Progress(task="Reading images", done=1, total=2))
    assert ended.args[0].outcome == "cancelled"
    assert page.monitor.result._predict.isHidden()


def test_cancel_asks_once_there_is_something_to_lose(qtbot, page, engine, monkeypatch):
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    page.start()
    engine.prepared()
    engine.epoch(0)
    qtbot.waitUntil(lambda: page.monitor.progress.epochs_done == 1)
    page.monitor.cancel.click()
    assert page.monitor.state == "running"
    with qtbot.waitSignal(page.run_ended, timeout=10_000) as ended:
        page.monitor.cancel.click()
        engine.put(Note(text="x"))
    assert ended.args[0].outcome == "cancelled"
    assert not answers


def test_a_failure_is_shown_in_place_with_its_hint_and_details(qtbot, page, engine, context):
    problems = []
    context.problem.connect(problems.append)
    page.start()
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        engine.put(RunFailed(error="There is not enough memory.", detail="line 1\nline 2", hint="Use a smaller batch size."))
    assert page.monitor.failure.title.text() == "There is not enough memory."
    assert page.monitor.failure.hint.text() == "Use a smaller batch size."
    page.monitor.failure.details_wanted.emit(page.monitor.failure._event)
    assert problems[0].detail == "line 1\nline 2"
    assert page.start(), "another run can start"
    end(qtbot, page, engine)


def test_settings_that_the_engine_refuses_are_marked(qtbot, page, context, tmp_path):
    def runner(config, catalog, workspace, control):
        yield RunFailed(error="2 settings are not valid.", detail="data.path: needs a path\nfreezing.options.k: too large")

    page._runner = runner
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        page.start()
    assert page.form.form.rows["data.path"].error.text() == "needs a path"
    assert "too large" in page.form.form.rows["freezing.options"].error.text()


def test_wrong_settings_do_not_start(page, engine):
    page.form.form.rows["run.epochs"].editor.set_value(0)
    assert not page.start()
    assert engine.runs == 0
    assert "One setting is not valid" in page.monitor.status.text()


def test_late_events_of_another_run_are_ignored(qtbot, page, engine):
    page.start()
    engine.prepared()
    engine.epoch(0)
    end(qtbot, page, engine)
    page.start()
    engine.put(
        StepDone(run="run1", epoch=9, step=40, steps=40, loss=9.0, lr=1.0, images_per_s=1.0),
        RunFinished(run="run1", outcome="completed", metrics={}, best_epoch=0, epochs=1, seconds=1, model="m"),
        RunStarted(run="strange", folder="x", config={}, epochs=3),
    )
    engine.prepared()
    wait_state(qtbot, page, "running")
    assert page.monitor.progress.run == "run2"
    assert len(page.curves.data.steps[0]) == 0
    assert page.monitor.progress.end is None
    end(qtbot, page, engine)
    page.session._arrived(StepDone(run="run2", epoch=0, step=1, steps=4, loss=1.0, lr=1.0, images_per_s=1.0))
    assert len(page.curves.data.steps[0]) == 0


def test_settings_of_another_run_fill_the_form(page, context):
    config = parse_config({"data": {"path": "/x"}, "freezing": {"strategy": "freezing/last-stages", "options": {"k": 3}}})
    context.config_requested.emit(config)
    assert page.form.config() == config


def test_the_strip_follows_the_form_before_training(qtbot, page, catalog, photos):
    images = catalog.open_images(DataConfig(path=str(photos)))
    page._context.set_data(OpenedData(config=DataConfig(path=str(photos)), images=images))
    page.show()
    qtbot.waitUntil(lambda: len(page.network.strip.stages) > 3, timeout=60_000)
    row = page.form.form.rows["freezing.strategy"]
    assert "training images are few" in row.note.text()  # nobody has chosen: the program did, and says why
    assert page.form.strategy().title in row.editor.currentText()
    row.editor.set_value("freezing/head-only")
    assert row.note.text() == ""
    qtbot.waitUntil(lambda: {stage.factor for stage in page.network.strip.stages[:-1]} == {0.0}, timeout=20_000)
    row.editor.set_value("freezing/full")
    assert {stage.factor for stage in page.network.strip.stages[:-1]} == {0.1}
    page.form.form.rows["model.backbone"].editor.set_value("torchvision/resnet18")
    qtbot.waitUntil(lambda: [s.name for s in page.network.strip.stages[1:2]] == ["layer1"], timeout=60_000)
    assert {stage.factor for stage in page.network.strip.stages} == {1.0}, "no weights at hand: all learn at the full rate"
    qtbot.waitUntil(lambda: page.network.preview.count == COUNT, timeout=20_000)


def test_the_page_fits_a_small_window(page, qtbot):
    assert page.minimumSizeHint().width() <= 1280 - 88
    assert page.minimumSizeHint().height() <= 800 - 64


def test_time_left_follows_the_pace():
    progress = RunProgress()
    progress.feed(RunStarted(run="a", time=100.0, folder="x", config={}, epochs=10))
    assert progress.left(100.0) is None
    progress.feed(Prepared(run="a", time=101.0, classes=(), images={}, stages=(), device="", weights="", steps_per_epoch=4))
    progress.feed(EpochStarted(run="a", time=102.0, epoch=0, stages=()))
    progress.feed(StepDone(run="a", time=104.0, epoch=0, step=2, steps=40, loss=1, lr=1, images_per_s=2))
    assert progress.epoch_share == pytest.approx(0.5)
    assert progress.left(104.0) == pytest.approx(2 + 9 * 4)
    done = EpochDone(run="a", time=106.0, epoch=0, step=4, train={}, val={"accuracy": 0.5}, seconds=4.0, best=True)
    progress.feed(done)
    progress.feed(EpochStarted(run="a", time=106.0, epoch=1, stages=()))
    assert progress.left(106.0) == pytest.approx(36.0)
    assert progress.total_share == pytest.approx(0.1)
    progress.feed(
        RunFinished(run="a", time=120.0, outcome="completed", metrics={}, best_epoch=0, epochs=10, seconds=20, model="m")
    )
    assert progress.elapsed(500.0) == pytest.approx(20.0)
    assert progress.left(500.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (7, "0:07"), (750, "12:30"), (11_100, "3:05:00"), (float("inf"), "–")]
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


def test_an_earlier_run_is_done_again_with_exactly_its_settings(qtbot, page, context, engine, monkeypatch):
    config = parse_config({
        "data": {"path": "/data/others"}, "freezing": {"strategy": "freezing/head-only"},
        "run": {"epochs": 7, "seed": 41}, "optim": {"learning_rate": 0.003},
    })  # fmt: skip
    _, folder = create_run(context.workspace, config, {})
    monkeypatch.setattr("tlstudio.engine.reproduce.reproduce_run", lambda run, *rest: engine(parse_config(run.config), *rest))
    context.reproduction_requested.emit(read_run(folder))
    engine.prepared()
    wait_state(qtbot, page, "running")
    assert engine.config == config
    assert page.form.value("run.epochs") == 7
    context.reproduction_requested.emit(read_run(folder))  # one at a time
    end(qtbot, page, engine)
    assert engine.runs == 1
