"""Fixtures of the window's tests: a home of its own, garbage collected in the GUI thread, no thread left behind."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from gui.fake_engine import FakeEngine
from PIL import Image
from PySide6.QtCore import QThread

from tlstudio.api.config import DataConfig, read_config
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.main_window import MainWindow
from tlstudio.gui.memory import Memory
from tlstudio.gui.pages.runs import RunsPage
from tlstudio.gui.pages.train import TrainPage
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.widgets.background import finish_all
from tlstudio.runs import queue
from tlstudio.runs.lock import hold
from tlstudio.runs.recorder import record

_COLORS = {"blue": (40, 60, 200), "green": (30, 160, 60), "red": (200, 40, 40)}


@pytest.fixture
def home(tlstudio_home):
    """The user's folder, empty."""
    return tlstudio_home


@pytest.fixture(autouse=True)
def _collect_in_gui_thread():
    """The cyclic collector destroys Qt objects in whatever thread trips it: keep it off, collect here."""
    was = gc.isenabled()
    gc.disable()
    yield
    gc.collect()
    if was:
        gc.enable()


@pytest.fixture(autouse=True)
def _no_thread_left(qapp):
    """A test must not leave a QThread running or background work going."""
    before = {id(thread) for thread in _threads()}
    yield
    assert finish_all(20.0), "background work does not end"
    qapp.processEvents()
    left = [thread for thread in _threads() if id(thread) not in before]
    assert not left, f"still running: {[thread.objectName() for thread in left]}"


def _threads():
    kinds, new = set(), [QThread]
    while new:
        kinds.update(new)
        new = [sub for kind in new for sub in kind.__subclasses__()]
    return [item for item in gc.get_objects() if type(item) in kinds and _runs(item)]


def _runs(thread):
    try:
        return thread.isRunning() and thread is not QThread.currentThread()
    except RuntimeError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _look(qapp):
    theme.apply("light")
    yield
    theme.apply("light")


def make_folder(root, counts, size=(48, 32)):
    """A folder of class folders with plain-coloured images; returns it."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            ground = np.array(_COLORS.get(name, (128, 128, 128)), np.int16)
            noise = rng.integers(-20, 20, (size[1], size[0], 3))
            Image.fromarray(np.clip(ground + noise, 0, 255).astype(np.uint8)).save(root / name / f"{name}_{i:03d}.png")
    return root


@pytest.fixture(scope="session")
def folder_of():
    """`make_folder`, for tests that need other images."""
    return make_folder


@pytest.fixture
def folder(tmp_path):
    """30 images of three classes, unevenly."""
    return make_folder(tmp_path / "photos", {"blue": 15, "green": 10, "red": 5})


@pytest.fixture
def context(home):
    """Shared state with an empty workspace and no plugins yet."""
    return AppContext(home / "workspace")


@pytest.fixture
def window(qtbot, context):
    """The real window, shown; plugins not loaded yet."""
    window = MainWindow(context, Memory())
    qtbot.addWidget(window)
    window.resize(1280, 800)
    with qtbot.waitExposed(window):
        window.show()
    return window


@pytest.fixture
def loaded(window, catalog):
    """The window with the plugins that ship."""
    window.context.set_catalog(catalog)
    return window


@pytest.fixture
def opened(qtbot, loaded, folder):
    """The window with the folder of 30 images opened."""
    with qtbot.waitSignal(loaded.context.data_changed, timeout=20_000):
        loaded.open_path(folder)
    return loaded


@pytest.fixture
def equipped(tmp_path, catalog):
    """Shared state without a window, with the plugins that ship and an empty workspace."""
    context = AppContext(tmp_path / "workspace")
    context.set_catalog(catalog)
    return context


@pytest.fixture
def engine():
    """What trains in the tests of the Train page."""
    return FakeEngine()


@pytest.fixture
def train_page(qtbot, equipped, engine):
    """A Train page whose runs are the fake's, on images that nobody reads."""
    page = TrainPage(equipped, runner=engine)
    qtbot.addWidget(page, before_close_func=lambda page: (engine.steps.put(None), page.shut_down()))
    page.set_data(DataConfig(path="/data/ants-bees"))
    return page


@pytest.fixture
def queue_page(qtbot, equipped, engine, photos, monkeypatch):
    """A Train page on real images; the runs that waited are the fake's, and keep what they tell."""

    def resume_run(folder, catalog, workspace, control):
        with hold(folder):
            queue.begin(folder)
            yield from record(engine(read_config(folder / "config.json"), catalog, workspace, control), folder)

    monkeypatch.setattr("tlstudio.engine.run.resume_run", resume_run)
    page = TrainPage(equipped, runner=engine)
    qtbot.addWidget(page, before_close_func=lambda page: (engine.steps.put(None), page.shut_down()))
    page.set_data(DataConfig(path=str(photos)))
    return page


@pytest.fixture
def runs_page(qtbot, context):
    """A Runs page over the workspace."""
    page = RunsPage(context)
    qtbot.addWidget(page)
    page.resize(1200, 740)
    return page


@pytest.fixture
def form(qtbot, catalog):
    """The form of the Train page, with the plugins that ship."""
    form = TrainForm()
    qtbot.addWidget(form)
    form.set_catalog(catalog)
    return form
