"""Searching for a learning rate: what is shown while it goes on, what its button changes, that giving up changes nothing."""

from __future__ import annotations

import queue
import threading

import pytest
from PySide6.QtCore import Qt

from tlstudio.api.config import DataConfig
from tlstudio.api.events import Progress, RateFound, RateTried, RunFailed
from tlstudio.gui.pages.train import TrainPage

FOUND = RateFound(rate=3.17e-4, lowest=2.2e-2)


class FakeFinder:
    """A search whose events come from the test, and which obeys its control as the engine's does."""

    def __init__(self):
        self.events = queue.Queue()
        self.control = None
        self.thread = None

    def __call__(self, config, catalog, workspace, control):
        self.control, self.thread = control, threading.current_thread()
        while control.checkpoint() == "go":
            try:
                event = self.events.get(timeout=0.02)
            except queue.Empty:
                continue
            yield event
            if isinstance(event, RateFound | RunFailed):
                return
        yield RateFound(rate=None, lowest=None)

    def put(self, *events):
        for event in events:
            self.events.put(event)

    def tries(self, *rates):
        self.put(*(RateTried(step=i + 1, steps=100, rate=rate, loss=2.0 - i / 9, smoothed=2.0) for i, rate in enumerate(rates)))


@pytest.fixture
def finder():
    return FakeFinder()


@pytest.fixture
def page(qtbot, context, catalog, finder):
    page = TrainPage(context, finder=finder)
    qtbot.addWidget(page)
    page.resize(1000, 700)
    context.set_catalog(catalog)
    page.set_data(DataConfig(path="/data/photos"), "2 classes")
    yield page
    page.shut_down()


@pytest.fixture
def dialog(page):
    """The open dialog of a search that goes on."""
    page.find_rate()
    return page.rate_search.dialog


def test_the_search_is_shown_and_its_button_sets_the_field(qtbot, page, dialog, finder):
    finder.put(Progress(task="Running the frozen layers", done=3, total=12))
    qtbot.waitUntil(lambda: "frozen layers" in dialog.says.text())
    assert (dialog.progress.value(), dialog.progress.maximum()) == (3, 12)
    finder.tries(1e-6, 1e-5, 1e-4)
    qtbot.waitUntil(lambda: dialog.progress.value() == 3 and dialog.progress.maximum() == 100)
    assert not dialog.use.isEnabled()
    assert finder.thread is not threading.main_thread()
    finder.put(FOUND)
    qtbot.waitUntil(lambda: not dialog.is_running())
    assert [event.rate for event in dialog.plot.points] == [1e-6, 1e-5, 1e-4]
    assert dialog.use.text() == "Use 3.2e-4"
    assert "0.022" in dialog.says.text()
    qtbot.mouseClick(dialog.use, Qt.MouseButton.LeftButton)
    assert page.form.config().optim.learning_rate == 3.2e-4
    assert page.rate_search.dialog is None


def test_escape_ends_the_search_and_changes_nothing(qtbot, page, dialog, finder):
    before = page.form.config()
    finder.tries(1e-6)
    qtbot.waitUntil(lambda: bool(dialog.plot.points))
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: page.rate_search.dialog is None)
    assert finder.control.wish == "cancel"
    assert page.form.config() == before


def test_where_no_rate_helps_there_is_nothing_to_use(qtbot, page, dialog, finder):
    finder.put(RateFound(rate=None, lowest=None))
    qtbot.waitUntil(lambda: not dialog.is_running())
    assert "No rate" in dialog.says.text()
    assert not dialog.use.isEnabled()
    dialog.stop.click()
    assert page.form.value("optim.learning_rate") is None


def test_a_search_that_fails_says_why(qtbot, page, dialog, finder):
    finder.put(RunFailed(error="There is not enough memory.", hint="Use a smaller batch size."))
    qtbot.waitUntil(lambda: not dialog.is_running())
    assert "smaller batch size" in dialog.says.text()
    assert not dialog.use.isEnabled()
    dialog.stop.click()
    assert page.rate_search.dialog is None


def test_the_end_of_the_program_does_not_leave_the_thread(page, dialog, finder):
    finder.tries(1e-6)
    page.shut_down()
    assert dialog._thread.isFinished()


def test_wrong_settings_are_marked_instead(page):
    page.form.form.rows["run.epochs"].editor.set_value(0)
    page.find_rate()
    assert page.rate_search.dialog is None
    assert page.form.form.rows["run.epochs"].error.text()


def test_the_field_and_the_palette_lead_to_it(qtbot, page, opened):
    [tool] = page.form.form.rows["optim.learning_rate"].editor.lineEdit().actions()
    tool.trigger()
    page.rate_search.dialog.reject()
    qtbot.waitUntil(lambda: page.rate_search.dialog is None)
    opened.actions_by_id.refresh()
    assert opened.actions_by_id["run.rate"].isEnabled()
