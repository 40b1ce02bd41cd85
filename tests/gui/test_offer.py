"""After a start, a run that broke off is offered: to be resumed, looked at, or left alone for good."""

from __future__ import annotations

import os

import pytest
from gui.stand_in import StandIn
from PySide6.QtCore import Qt

from tlstudio import safe_io
from tlstudio.api.config import parse_config
from tlstudio.api.events import EpochDone, RunStarted
from tlstudio.gui.memory import Memory
from tlstudio.gui.offer import Offer
from tlstudio.gui.widgets.background import finish_all
from tlstudio.runs.checkpoints import FORMAT
from tlstudio.runs.recorder import record
from tlstudio.runs.store import create_run, read_run


@pytest.fixture
def broken(window):
    """A run of the workspace that a crash broke off in its third epoch."""
    config = parse_config({"data": {"path": "/data/bees"}, "model": {"backbone": "test/net"}, "run": {"epochs": 20}})
    run_id, folder = create_run(window.context.workspace, config, {})
    events = [RunStarted(run=run_id, folder=str(folder), config={}, epochs=20)]
    for epoch in (0, 1):
        events.append(EpochDone(run=run_id, epoch=epoch, step=4 * epoch + 4, train={}, val={}, seconds=1, best=True))
    list(record(events, folder))
    checkpoint = folder / "ckpt" / "step-000000008"
    checkpoint.mkdir(parents=True)
    safe_io.write_json(checkpoint / "meta.json", {"format": FORMAT, "epoch": 2, "events": 0})
    digest = safe_io.sha256(checkpoint / "meta.json")
    safe_io.write_json(checkpoint / "MANIFEST.json", {"sha256": {"meta.json": digest}})
    os.utime(folder / "run.json", (1.0, 1.0))  # nobody has worked on it for long
    return read_run(folder)


def _offered(qtbot, window):
    window.offer.look()
    finish_all(10.0)
    qtbot.wait(1)
    return window.offer.bar.isVisible()


def test_a_broken_run_is_offered_until_it_is_declined(qtbot, window, broken):
    window.offer.look()
    bar = window.offer.bar
    qtbot.waitUntil(bar.isVisible)
    assert bar.text.text() == "The run “net on bees” was interrupted in epoch 3 of 20."
    wishes, pages, runs = [], [], []
    window.context.going_on_requested.connect(wishes.append)
    window.context.page_requested.connect(pages.append)
    window.context.run_requested.connect(runs.append)
    qtbot.mouseClick(bar.show_it, Qt.MouseButton.LeftButton)
    assert (pages, runs) == (["runs"], [broken.id])
    assert bar.isVisible()
    qtbot.mouseClick(bar.later, Qt.MouseButton.LeftButton)
    assert not bar.isVisible()
    assert wishes == []
    assert not _offered(qtbot, window)
    other = Offer(window.context, Memory(), window)
    other.look()
    finish_all(10.0)
    qtbot.wait(1)
    assert other.bar.isHidden()
    goes_on = RunStarted(run=broken.id, folder="", config={}, epochs=20)
    window.context.run_event.emit(goes_on)  # and breaks off again
    window.offer.look()
    qtbot.waitUntil(bar.isVisible)


def test_what_is_offered_goes_on_and_the_bar_goes_away(qtbot, window, broken):
    window._pages["train"] = page = StandIn(window.context)
    window.stack.addWidget(page)
    wishes = []
    window.context.going_on_requested.connect(wishes.append)
    window.offer.look()
    qtbot.waitUntil(window.offer.bar.isVisible)
    qtbot.mouseClick(window.offer.bar.resume, Qt.MouseButton.LeftButton)
    assert [(wish.run.id, wish.epochs) for wish in wishes] == [(broken.id, None)]
    assert window.current_page() == "train"
    assert not window.offer.bar.isVisible()


def test_nothing_is_offered_while_a_run_is_going(qtbot, window, broken):
    window.context.set_run_active(True)
    assert not _offered(qtbot, window)
    window.context.set_run_active(False)
