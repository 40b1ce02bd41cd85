"""The net under the window: what nobody caught is shown, logged, and never ends the program."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QFileDialog

from tlstudio.api.errors import UserError
from tlstudio.api.events import RunFailed
from tlstudio.gui import safety
from tlstudio.gui.problems import describe, diagnostics


@pytest.fixture
def net(qapp, tmp_path):
    net = safety.install(log_folder=tmp_path / "logs", crashes=False)
    yield net
    net.uninstall()


def _lines(net, folder):
    net._listener.stop()
    net._listener.start()
    return [json.loads(line) for line in (folder / "logs" / "tlstudio.log").read_text().splitlines()]


def test_an_error_in_a_thread_becomes_a_dialog_with_traceback_and_diagnostics(qtbot, net, window, tmp_path):
    net.fault.connect(window.context.problem)

    def fail():
        raise ValueError("a number was odd")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    qtbot.waitUntil(window.errors.isVisible)
    view = window.errors.view
    assert "a number was odd" in view.title()
    assert not view._detail.isVisible()
    view._details.click()
    assert "ValueError" in view._detail.toPlainText()
    view._copy.click()
    assert "tlstudio" in QApplication.clipboard().text()
    assert any("a number was odd" in line["text"] for line in _lines(net, tmp_path))
    window.errors.reject()


def test_what_is_logged_before_the_file_is_opened_is_in_it(qapp, tmp_path):
    net = safety.install(log_folder=tmp_path / "logs", crashes=False, write=False)
    try:
        safety.logger.warning("early, %s", "with its text made")
        assert not (tmp_path / "logs" / "tlstudio.log").exists()
    finally:
        net.uninstall()
    lines = [json.loads(line) for line in (tmp_path / "logs" / "tlstudio.log").read_text().splitlines()]
    assert [line["text"] for line in lines] == ["early, with its text made"]


def test_an_error_in_a_slot_reaches_the_dialog_and_the_loop_goes_on(qtbot, net, window):
    net.fault.connect(window.context.problem)
    with qtbot.captureExceptions():
        sys.excepthook = net._excepthook  # what pytest-qt put there is for tests
        QTimer.singleShot(0, lambda: [].pop())
        qtbot.waitUntil(window.errors.isVisible)
    assert "pop from empty list" in window.errors.view.title()
    window.context.problem.emit(UserError("second"))
    assert "1 more" in window.errors._more.text()
    window.errors.reject()


def test_a_problem_of_the_user_has_a_hint_and_no_traceback():
    described = describe(UserError("The disk is full.", "/data", "Free some space."))
    assert (described.title, described.detail, described.hint) == ("The disk is full.", "/data", "Free some space.")
    assert described.expected
    assert "Free some space." in diagnostics(described)


def test_the_menu_copies_the_last_problem_also_that_of_a_run(window):
    window.set_device("a fast GPU")
    window.context.run_event.emit(RunFailed(error="ValueError: odd", detail=f"in {Path.home() / 'x.py'}", hint="Report it."))
    window.actions_by_id["help.copy"].trigger()
    text = QApplication.clipboard().text()
    for part in ("ValueError: odd", f"in ~{os.sep}x.py", "torch ", "a fast GPU"):
        assert part in text
    assert str(Path.home()) not in text


def test_the_menu_saves_diagnostics_after_it_has_shown_what_is_in_them(qtbot, loaded, monkeypatch, tmp_path):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "report"), ""))
    loaded.actions_by_id["help.save"].trigger()
    qtbot.waitUntil(lambda: loaded.diagnostics.question is not None, timeout=20_000)
    box = loaded.diagnostics.question
    assert "about.json" in box.informativeText()
    box.defaultButton().click()
    qtbot.waitUntil((tmp_path / "report.zip").exists)
    with zipfile.ZipFile(tmp_path / "report.zip") as bundle:
        about = json.loads(bundle.read("tlstudio-diagnostics/about.json"))
    assert about["libraries"]["torch"]


def test_diagnostics_are_collected_once_at_a_time_and_again_after_a_failure(qtbot, loaded, monkeypatch):
    asked, said, told, go = [], [], [], threading.Event()

    def examine(*_arguments):
        asked.append(1)
        assert go.wait(20)
        raise UserError("The workspace cannot be read.")

    monkeypatch.setattr("tlstudio.registry.examine.examine", examine)
    loaded.context.message.connect(said.append)
    loaded.context.problem.connect(told.append)
    for _ in range(2):
        loaded.actions_by_id["help.save"].trigger()
    assert said == ["Collecting what a report needs …"]
    qtbot.wait(100)
    assert len(asked) == 1
    go.set()
    qtbot.waitUntil(lambda: len(told) == 1, timeout=20_000)
    loaded.errors.reject()
    loaded.actions_by_id["help.save"].trigger()
    qtbot.waitUntil(lambda: len(told) == 2, timeout=20_000)
    loaded.errors.reject()
    assert len(asked) == 2


def test_the_collector_is_off_while_the_net_hangs_and_a_timer_collects(qtbot, qapp, tmp_path):
    gc.enable()
    net = safety.install(log_folder=tmp_path / "logs", crashes=False)
    try:
        assert not gc.isenabled()
        before = gc.get_stats()[1]["collections"]
        qtbot.waitUntil(lambda: gc.get_stats()[1]["collections"] > before, timeout=5000)
    finally:
        net.uninstall()
        assert gc.isenabled()
        gc.disable()


def test_a_log_that_cannot_be_written_is_no_error(qapp, tmp_path):
    (tmp_path / "logs").write_text("in the way")
    net = safety.install(log_folder=tmp_path / "logs")
    logging.getLogger("tlstudio").error("lost")
    net.uninstall()


def test_the_same_line_is_written_ten_times_a_minute(net, tmp_path):
    for _ in range(100):
        logging.getLogger("tlstudio").warning("again")
    assert sum("again" in line["text"] for line in _lines(net, tmp_path)) == 10


_HARD = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
app = QApplication([])
from tlstudio.gui import safety
net = safety.install(log_folder=Path(sys.argv[1]))
import faulthandler
faulthandler._sigabrt()
"""


def test_a_hard_crash_leaves_every_threads_stack(tmp_path):
    (tmp_path / "logs").mkdir()
    done = subprocess.run([sys.executable, "-c", _HARD, str(tmp_path / "logs")], capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "Current thread" in (tmp_path / "logs" / "crash.log").read_text()


def test_the_first_background_work_is_delivered_in_the_window_s_thread():
    """However quick the first work is: run in a process of its own, since the relay is made once."""
    code = """
import sys, threading
from PySide6.QtCore import QCoreApplication, QObject
from tlstudio.gui.widgets.background import run_in_background
sys.setswitchinterval(1e-6)
app = QCoreApplication([])
owner = QObject()
seen = []
def done(_):
    seen.append(threading.current_thread() is threading.main_thread())
    app.quit()
run_in_background(owner, lambda task: None, done=done)
app.exec()
print(seen)
"""
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
        assert result.stdout.strip() == "[True]"


def test_a_full_disk_is_told_as_such_and_not_as_a_fault():
    described = describe(OSError(errno.ENOSPC, "No space left on device"))
    assert described.expected
    assert "disk is full" in described.title
    assert "Free some space" in described.hint
