"""The window as a whole: starting, moving about, keys, the palette, the theme, closing while a run is going."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gui.stand_in import StandIn
from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QMessageBox, QWidget

from tlstudio import paths
from tlstudio.api.events import EpochStarted, RunStarted, StepDone
from tlstudio.api.images import printable
from tlstudio.gui import theme
from tlstudio.gui.actions import matches
from tlstudio.gui.main_window import PAGES, MainWindow
from tlstudio.gui.memory import Memory
from tlstudio.gui.status import duration
from tlstudio.gui.widgets.palette import CommandPalette

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def train(window):
    """The window's Train page, replaced by the stand-in, with a run going."""
    page = StandIn(window.context)
    window._pages["train"] = page
    window.stack.addWidget(page)
    window.start_training()
    return page


def test_keys_lead_to_every_page(qtbot, loaded):
    for number, name in enumerate(PAGES, 1):
        qtbot.keyClick(loaded, Qt.Key(Qt.Key.Key_0 + number), CTRL)
        assert loaded.current_page() == name
        assert loaded.rail.button(name).isChecked()
    qtbot.mouseClick(loaded.rail.button("data"), Qt.MouseButton.LeftButton)
    assert loaded.current_page() == "data"
    qtbot.keyClick(loaded, Qt.Key.Key_Comma, CTRL)
    assert loaded.current_page() == "settings"


def test_every_control_has_a_name_and_every_icon_exists(loaded):
    _, glyphs = theme._glyphs()
    icons = {record.icon for record in loaded.actions_by_id.records} | {entry[2] for entry in loaded._rail_entries()}
    nameless = []
    for name in PAGES:
        loaded.show_page(name)
        for widget in loaded.page(name).findChildren(QWidget):
            stored = widget.property("tlstudio_icon")
            icons.add(stored[0] if stored else "")
            ours = not widget.objectName().startswith("qt_") and widget.isVisibleTo(loaded.page(name))
            if ours and isinstance(widget, QAbstractButton) and not (widget.text() or widget.accessibleName()):
                nameless.append((name, widget))
            alone = isinstance(widget, QComboBox | QLineEdit) and not isinstance(widget.parent(), QComboBox | QAbstractSpinBox)
            if ours and alone and not widget.accessibleName():
                nameless.append((name, widget))
    assert nameless == []
    assert icons - {""} - set(glyphs) == set()


def test_no_two_actions_share_a_key(loaded):
    keys = [key for record in loaded.actions_by_id.records for key in record.keys]
    assert len(keys) == len(set(keys))


def test_the_palette_finds_and_runs_an_action(qtbot, loaded):
    qtbot.keyClick(loaded, Qt.Key.Key_P, CTRL | SHIFT)
    palette = loaded.findChild(CommandPalette)
    qtbot.waitUntil(palette.isVisible)
    qtbot.keyClicks(palette.edit, "plug")
    assert palette.list.count() >= 1
    qtbot.keyClick(palette.edit, Qt.Key.Key_Return)
    assert loaded.current_page() == "plugins"


def test_the_palette_offers_only_what_can_be_done(loaded):
    palette = CommandPalette(loaded.actions_by_id.records, loaded)
    offered = [action.id for action in palette._actions]
    assert "file.open" in offered
    assert "run.stop" not in offered
    palette.close()


def test_letters_in_order_are_a_match_and_whole_words_come_first():
    assert matches("tr", "Train") == 0
    assert matches("train", "Start training") == 1
    assert matches("sttr", "Start training") > 2
    assert matches("xyz", "Start training") is None


def test_pictures_of_the_help_suit_the_theme(qtbot, loaded):
    def corner():
        """The ground of the first picture of the page."""
        text = loaded._help.text
        name = re.search(r'src="(images/strip[^"]+)"', text.toHtml())[1]
        found = text.document().resource(QTextDocument.ResourceType.ImageResource, QUrl(name))
        return found.toImage().pixelColor(0, 0).lightness()

    loaded.show_help("strategies")
    qtbot.waitUntil(lambda: "strip-gradual" in loaded._help.text.toHtml())
    assert corner() > 200
    loaded._help.text.verticalScrollBar().setValue(300)
    try:
        theme.apply("dark")
        assert corner() < 60
        assert loaded._help.text.verticalScrollBar().value() == 300
    finally:
        theme.apply("light")
    assert corner() > 200
    loaded._help.close()


def test_help_shows_the_keys_offline(qtbot, loaded):
    qtbot.keyClick(loaded, Qt.Key.Key_F1)
    qtbot.waitUntil(loaded._help.isVisible)
    loaded.show_help("keys")
    qtbot.waitUntil(lambda: "Ctrl+Shift+P" in loaded._help.text.toPlainText())
    loaded._help.close()


def test_the_theme_can_be_switched_and_is_kept(qtbot, loaded):
    loaded.show_page("settings")
    page = loaded.page("settings")
    page.theme.setCurrentIndex(page.theme.findData("dark"))
    assert theme.colors().dark
    assert loaded.palette().window().color() == theme.DARK.window
    assert Memory().theme == "dark"
    page.points.setValue(12.0)
    assert theme.font().pointSizeF() == 12.0
    assert Memory().points == 12.0
    page._reset_points()
    theme.apply("light")


@pytest.mark.parametrize("colors", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_and_marks_have_enough_contrast(colors):
    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color.getRgbF()[:3]]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def contrast(a, b):
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in (colors.base, colors.window):
        for name in ("text", "muted", "error", "frozen_text", "learn_text", "accent"):
            assert contrast(getattr(colors, name), ground) >= 4.5, name
        for name in ("frozen", "learn"):
            assert contrast(getattr(colors, name), ground) >= 3.0, name
        for color in colors.series:
            assert contrast(color, ground) >= 3.0, color.name()
    assert contrast(colors.on_accent, colors.accent) >= 4.5


def test_the_status_bar_tells_what_runs_and_when_it_ends(qtbot, window):
    context, status = window.context, window.status
    assert status.memory.text().endswith("B")
    context.set_run_active(True)
    context.run_event.emit(RunStarted(folder="x", config={}, epochs=5))
    context.run_event.emit(EpochStarted(epoch=0, stages=()))
    step = StepDone(epoch=0, step=1, steps=100, loss=1.0, lr=0.1, images_per_s=10.0)
    context.run_event.emit(step)
    assert status.run.text() == "Training: epoch 1 of 5"
    status._first = (status._first[0] - 10.0, 1)
    context.run_event.emit(step.model_copy(update={"step": 51}))
    assert "10 s left" in status.run.text()
    context.set_run_active(False)
    assert status.run.text() == ""
    window.set_device("CPU (2 threads)")
    assert status.device.text() == "CPU (2 threads)"
    assert [duration(value) for value in (48, 200, 7500)] == ["48 s", "3:20 min", "2:05 h"]


def test_closing_while_training_asks_and_keep_open_keeps_all(qtbot, window, train):
    window.close()
    question = window.closer.question
    qtbot.waitUntil(question.isVisible)
    question.button(QMessageBox.StandardButton.NoButton)
    qtbot.keyClick(question, Qt.Key.Key_Escape)
    assert window.isVisible()
    assert train.calls == []
    train.end()


@pytest.mark.parametrize(("text", "keep"), [("Stop, save and close", "leave"), ("Cancel the run", False)])
def test_closing_while_training_waits_for_the_run_and_then_closes(qtbot, window, train, text, keep):
    window.close()
    qtbot.waitUntil(window.closer.question.isVisible)
    button = next(button for button in window.closer.question.buttons() if button.text().replace("&", "") == text)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert train.calls == [keep]
    assert window.isVisible()
    with qtbot.waitSignal(window.closed, timeout=5000):
        train.end()
    assert not window.isVisible()
    assert window.memory.left() == (["run1"] if keep == "leave" else [])


def test_the_end_of_the_session_waits_until_the_run_is_saved(qtbot, window, train):
    with qtbot.waitSignal(window.closed, timeout=5000):
        window.closer.session_ends()
        assert not train.running
    assert train.calls == ["leave"]
    assert window.memory.left() == ["run1"]


def test_a_signal_saves_and_closes_without_asking(qtbot, window, train):
    window.closer.close_quietly()
    assert train.calls == ["leave"]
    assert window.closer.question is None
    with qtbot.waitSignal(window.closed, timeout=5000):
        train.end()


def test_start_and_stop_keys_reach_the_train_page(qtbot, window, train):
    assert window.current_page() == "train"
    qtbot.keyClick(window, Qt.Key.Key_F5, SHIFT)
    assert train.calls == [True]
    train.end()


def test_geometry_comes_back(qtbot, context):
    first = MainWindow(context, Memory())
    first.show()
    first.resize(960, 650)
    first.close()
    second = MainWindow(context, Memory())
    qtbot.addWidget(second)
    assert second.height() == 650
    first.deleteLater()
    QCoreApplication.processEvents()


def test_recent_data_can_be_opened_from_the_menu(qtbot, opened, folder):
    opened._fill_recent()
    action = opened._recent.actions()[0]
    assert action.text() == "photos"
    with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
        action.trigger()


def test_file_names_are_shown_escaped():
    assert printable("a\nb\udcff.png") == "a\\nb\\xff.png"


_START = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.app import run_window

def shown(self, event):
    super(MainWindow, self).showEvent(event)
    slow = {{"torch", "numpy", "pydantic", "pyqtgraph", "PIL", "hashlib", "logging.handlers", "platform"}}
    late = {{"tlstudio.gui.pages.data_view", "tlstudio.gui.widgets.palette", "tlstudio.gui.widgets.error_view"}}
    print("at show:", sorted((slow | late) & set(sys.modules)), flush=True)
    def opened(data):
        print("opened", len(data.images), flush=True)
        if "{end}" == "close":
            QTimer.singleShot(0, self.close)
    self.context.data_changed.connect(opened)

MainWindow.showEvent = shown
sys.exit(run_window({arguments}))
"""


def _start(arguments, end, home):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "TLSTUDIO_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", _START.format(arguments=arguments, end=end)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=paths.shipped_plugins().parent,
    )  # fmt: skip


def test_the_real_start_shows_before_anything_slow_is_imported_opens_data_and_ends_with_0(folder, home):
    process = _start(f"open_path=Path({str(folder)!r})", "close", home)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "at show: []" in output
    assert "opened 30" in output
    assert (home / "logs" / "tlstudio.log").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals as on POSIX")
def test_sigterm_ends_the_window_with_0(home):
    lines = []
    with _start("demo=True", "stay", home) as process:
        for line in process.stdout:
            lines.append(line)
            if "opened" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0, "".join(lines)


def test_the_window_itself_never_imports_torch():
    """Not even inside functions: by name only, through the engine."""
    sources = Path(theme.__file__).parent.rglob("*.py")
    pattern = re.compile(r"^\s*(import|from)\s+(torch|torchvision|timm)\b", re.MULTILINE)
    assert [str(file) for file in sources if pattern.search(file.read_text(encoding="utf-8"))] == []


_DEMO = """
import sys
from tlstudio.gui import startup
from tlstudio.gui.app import run_window

def warm_up(self):
    slow = {"torch", "cuda", "pyqtgraph.parametertree", "filelock", "tlstudio.gui.pages.data_view", "tlstudio.runs.store"}
    page = self._window.train_page
    print("painted:", page.curves.loss.paint_ms > 0.0, page.form.value("data.dataset"), sorted(slow & set(sys.modules)))
    self._window.show_page("data")
    print("drawn:", self._window.data_page.stack.currentWidget() is self._window.data_page.view)
    self._window.close()

startup.Startup._warm_up = warm_up
sys.exit(run_window(demo=True))
"""


def test_the_samples_start_paints_the_train_page_before_anything_that_it_does_not_show(home):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "TLSTUDIO_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", _DEMO], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "painted: True datasets/digits []" in done.stdout, done.stdout + done.stderr
    assert "drawn: True" in done.stdout


def test_the_train_page_is_made_without_styling_its_parts_again_and_again(loaded, qapp):
    """A part that is put into its parent after it was filled is styled anew with all that is in it."""

    class Count(QObject):
        styled = 0

        def eventFilter(self, watched, event):
            self.styled += event.type() == QEvent.Type.StyleChange and watched.isWidgetType()
            return False

    count = Count()
    qapp.installEventFilter(count)
    page = loaded.page("train")
    qapp.removeEventFilter(count)
    assert count.styled < 3 * len(page.findChildren(QWidget))
