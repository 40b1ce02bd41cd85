"""The queue and the runs of other processes on the Train page."""

from __future__ import annotations

from pathlib import Path

import pytest
from gui.fake_engine import wait_run

import tlstudio
from tlstudio.api.config import DataConfig
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.events import RunFailed
from tlstudio.engine.run import make_run
from tlstudio.gui.context import AppContext
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.run_going_on import GoingOnBar
from tlstudio.gui.pages.train import TrainPage
from tlstudio.runs import queue
from tlstudio.runs.lock import is_held
from tlstudio.runs.standing import standing_of
from tlstudio.runs.store import list_runs


@pytest.fixture
def context(equipped):
    return equipped


@pytest.fixture
def page(queue_page):
    return queue_page


def add(qtbot, page, name):
    before = len(waiting(page))
    page.form.set_config(
        page.form.config().model_copy(update={"run": page.form.config().run.model_copy(update={"name": name})})
    )
    page.waiting.add.trigger()
    qtbot.waitUntil(lambda: len(waiting(page)) == before + 1, timeout=20_000)


def waiting(page):
    return [run.name for run in page.elsewhere.runs.now.waiting]


def test_what_waits_begins_when_a_run_has_ended(qtbot, page, engine):
    page.start()
    wait_run(qtbot, engine, page, 1)
    assert not page.waiting.add.isEnabled()
    page.waiting.prepare.trigger()
    page.waiting.menu.aboutToShow.emit()
    assert page.waiting.add.isEnabled()
    add(qtbot, page, "second")
    add(qtbot, page, "third")
    assert page.waiting.button.text() == "2 waiting"
    engine.put(None)
    wait_run(qtbot, engine, page, 2)
    assert engine.config.run.name == "second"
    assert page.form.config().run.name == "third", "what the user was preparing is gone"
    qtbot.waitUntil(lambda: waiting(page) == ["third"], timeout=20_000)


def test_after_a_stop_the_next_waits_for_a_click(qtbot, page, engine):
    add(qtbot, page, "second")
    page.start()
    wait_run(qtbot, engine, page, 1)
    page.stop(keep=True)
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        engine.prepared()
    assert not page.is_running()
    assert waiting(page) == ["second"]
    page.waiting.open()
    page.waiting.list.start.click()
    wait_run(qtbot, engine, page, 2)
    assert engine.config.run.name == "second"


def test_the_order_is_changed_and_runs_are_taken_out(qtbot, page, context):
    for name in "abc":
        add(qtbot, page, name)
    page.waiting.open()
    shown = page.waiting.list
    assert not shown.up.isEnabled()
    shown.down.click()
    qtbot.waitUntil(lambda: waiting(page) == ["b", "a", "c"], timeout=20_000)
    assert shown.list.currentItem().text() == "a"
    shown.remove.click()
    qtbot.waitUntil(lambda: waiting(page) == ["b", "c"], timeout=20_000)
    assert [run.name for run in queue.waiting(context.workspace)] == ["b", "c"]
    again = TrainPage(AppContext(context.workspace))
    qtbot.addWidget(again)
    again.elsewhere.runs.look()
    qtbot.waitUntil(lambda: waiting(again) == ["b", "c"], timeout=20_000)
    shown.hide()


def test_while_another_process_works_it_off_the_window_does_not(qtbot, page, context, monkeypatch):
    add(qtbot, page, "a")
    monkeypatch.setattr("tlstudio.runs.lock.queue_holder", lambda _workspace: "process 1 on another")
    page.elsewhere.runs.look()
    qtbot.waitUntil(lambda: page.elsewhere.runs.now.holder != "", timeout=20_000)
    assert not page.waiting.start_next()
    page.waiting.open()
    assert not page.waiting.list.start.isEnabled()
    assert "process 1 on another" in page.waiting.list.caption.text()
    page.waiting.list.hide()


def test_one_that_was_added_elsewhere_a_moment_ago_has_its_turn(qtbot, page, engine, context, catalog):
    page.start()
    wait_run(qtbot, engine, page, 1)
    make_run(page.form.config(), catalog, context.workspace, waits=True)
    engine.put(None)
    wait_run(qtbot, engine, page, 2)


@pytest.mark.parametrize("begins", [True, False])
def test_one_that_fails_at_once_is_tried_once(qtbot, page, context, monkeypatch, begins):
    tried = []

    def resume_run(folder, *_arguments):
        tried.append(folder)
        if begins:
            queue.begin(folder)
        yield RunFailed(error="No.")

    monkeypatch.setattr("tlstudio.engine.run.resume_run", resume_run)
    add(qtbot, page, "a")
    assert page.waiting.start_next()
    with qtbot.waitSignal(page.run_ended, timeout=20_000):
        pass
    for _ in range(3):
        with qtbot.waitSignal(page.elsewhere.runs.looked, timeout=20_000):
            page.elsewhere.runs.look()
    assert len(tried) == 1
    assert not page.is_running()


def test_while_another_process_trains_the_next_waits_for_its_end(qtbot, page, engine, context, monkeypatch):
    going = []
    monkeypatch.setattr(queue, "at_work", lambda _workspace: list(going))
    add(qtbot, page, "second")
    page.start()
    wait_run(qtbot, engine, page, 1)
    going.append(queue.waiting(context.workspace)[0].folder)  # whichever: it is only counted
    engine.put(None)
    qtbot.waitUntil(lambda: not page.is_running() and bool(page.elsewhere.runs.now.going), timeout=20_000)
    assert engine.runs == 1
    going.clear()
    page.elsewhere.runs.look()  # as it does every two seconds while it can be seen
    wait_run(qtbot, engine, page, 2)


def test_what_was_to_be_first_before_a_stop_is_not_first_after_it(qtbot, page, engine, context, monkeypatch):
    for name in ("a", "b"):
        add(qtbot, page, name)
    first, second = queue.waiting(context.workspace)
    going = [first.folder]  # whichever: it is only counted
    monkeypatch.setattr(queue, "at_work", lambda _workspace: list(going))
    with qtbot.waitSignal(page.elsewhere.runs.looked, timeout=20_000):
        page.waiting.begin_soon(second.id)
    page.start()
    wait_run(qtbot, engine, page, 1)
    page.stop(keep=True)
    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        engine.prepared()
    going.clear()
    page.start()
    wait_run(qtbot, engine, page, 2)
    engine.put(None)
    wait_run(qtbot, engine, page, 3)
    assert engine.config.run.name == "a"


def test_closing_begins_no_other_run(qtbot, page, engine, context):
    add(qtbot, page, "second")
    window = MainWindow(context, Memory())
    qtbot.addWidget(window)
    window._pages["train"] = page
    window.stack.addWidget(page)
    window.show()
    page.start()
    wait_run(qtbot, engine, page, 1)
    page.leave = lambda: "x"  # too late: its last event is on the way
    window.closer.stop_and_close(keep=True)
    engine.put(None)
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=20_000)
    assert engine.runs == 1
    assert [run.name for run in queue.waiting(context.workspace)] == ["second"]


def test_what_is_prepared_may_be_unfinished_when_the_next_begins(qtbot, page, engine, monkeypatch):
    page.start()
    wait_run(qtbot, engine, page, 1)
    page.waiting.prepare.trigger()
    add(qtbot, page, "second")

    def unfinished():
        raise ConfigError((Problem(field="run.epochs", message="No number."),))

    kept = page.form.config
    monkeypatch.setattr(page.form, "config", unfinished)
    said = []
    page._context.message.connect(said.append)
    page.waiting.add_to_queue()
    assert "See the marked fields." in said[-1]
    engine.put(None)
    wait_run(qtbot, engine, page, 2)
    monkeypatch.setattr(page.form, "config", kept)
    assert page.waiting.may_add()
    assert page.form.config().run.name == "second", "what the user had entered"
    assert page.form.form.isEnabled()


def test_a_waiting_run_is_not_offered_to_be_resumed(qtbot, page, context):
    add(qtbot, page, "a")
    (run,) = queue.waiting(context.workspace)
    assert standing_of(run) is None
    bar = GoingOnBar(context)
    qtbot.addWidget(bar)
    bar.show_run(run)
    assert bar.text.text() == "This run waits for its turn."
    assert not bar.can("resume")


@pytest.mark.slow
def test_a_run_in_the_background_survives_the_window(qtbot, context, catalog, photos, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(tlstudio.__file__).parent.parent))  # of whatever tree is tested
    first = opened(qtbot, context, photos)
    page = first.train_page
    page.waiting.background.trigger()
    qtbot.waitUntil(page.is_watching, timeout=60_000)
    qtbot.waitUntil(lambda: page.monitor.progress.epochs_done > 0, timeout=120_000)
    run = page.session.run
    first.close()
    qtbot.waitUntil(lambda: not first.isVisible(), timeout=20_000)
    assert first.closer.question is None
    (info,) = list_runs(context.workspace)
    assert info.id == run
    assert info.status == "running"
    assert is_held(info.folder)

    context = AppContext(context.workspace)
    context.set_catalog(catalog)
    second = opened(qtbot, context, photos)
    page = second.train_page
    qtbot.waitUntil(lambda: page.elsewhere.bar.action() == "Watch", timeout=20_000)
    page.elsewhere.bar._action.click()
    qtbot.waitUntil(lambda: page.monitor.progress.epochs_done > 0, timeout=60_000)
    assert page.session.run == run
    page.stop(keep=True)
    with qtbot.waitSignal(page.run_ended, timeout=60_000):
        pass
    assert page.monitor.progress.end.outcome == "stopped"
    assert (info.folder / "model.safetensors").is_file()
    second.close()


def opened(qtbot, context, photos):
    window = MainWindow(context, Memory())
    qtbot.addWidget(window)
    window.show()
    window.show_page("train")
    page = window.train_page
    page.set_data(DataConfig(path=str(photos)))
    config = page.form.config()
    page.form.set_config(config.model_copy(update={
        "run": config.run.model_copy(update={"epochs": 5000, "plan": "reference"}),
        "data": config.data.model_copy(update={"image_size": 32}),
        "freezing": config.freezing.model_copy(update={"strategy": "freezing/head-only"}),
    }))  # fmt: skip
    return window
