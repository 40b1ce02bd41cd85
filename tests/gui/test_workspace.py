"""The workspace that the user chose is the one of the next start, with what lies there; one that is gone is said to be."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from PySide6.QtWidgets import QFileDialog

from tlstudio import paths
from tlstudio.gui.memory import Memory


@pytest.fixture
def project(tmp_path):
    """A folder of the user's for a workspace."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def choose(window, monkeypatch, folder):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(folder))
    window.actions_by_id["file.workspace"].trigger()


def test_it_is_chosen_from_the_menu_and_a_run_that_broke_off_there_is_offered(loaded, monkeypatch, project):
    looked = []
    monkeypatch.setattr(loaded.offer, "look", lambda: looked.append(loaded.context.workspace))
    loaded.show_page("settings")
    choose(loaded, monkeypatch, project)
    assert loaded.context.workspace == project
    assert looked == [project]
    assert Memory().workspace == project
    assert loaded.page("settings").workspace.text() == str(project)


def test_what_was_offered_of_another_workspace_goes_away(qtbot, loaded, monkeypatch, project):
    loaded.offer.bar.show_text("a run of the old one")
    choose(loaded, monkeypatch, project)
    qtbot.waitUntil(loaded.offer.bar.isHidden)


def test_it_stays_while_a_run_is_going(loaded, monkeypatch, project):
    before = loaded.context.workspace
    loaded.context.set_run_active(True)
    loaded.set_workspace(project)
    assert not loaded.actions_by_id["file.workspace"].isEnabled()
    assert (loaded.context.workspace, Memory().workspace) == (before, None)


def test_the_opened_images_have_the_edits_of_their_workspace(qtbot, opened, monkeypatch, project):
    first = opened.context.workspace
    view = opened.data_page.view
    view.browser.grid.selectAll()
    view.editing.toggle_excluded()
    assert opened.data_page.opened.table.excluded.all()
    for workspace, out in ((project, False), (first, True)):
        with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
            opened.set_workspace(workspace)
        assert opened.data_page.opened.table.excluded.all() == out
    assert not (project / "data").exists()


_START = """
import os, sys
from pathlib import Path
from tlstudio.gui import startup

def loaded(self, found):
    context = self._window.context
    context.problem.connect(lambda error: print("problem:", error.title, flush=True))
    real(self, found)
    print("workspace:", context.workspace, flush=True)
    os._exit(0)

real, startup.Startup._plugins_loaded = startup.Startup._plugins_loaded, loaded
from tlstudio.gui.app import run_window
run_window(workspace=Path(sys.argv[1]) if sys.argv[1:] else None)
"""


def start(*arguments):
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", _START, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.splitlines()


def test_the_next_start_opens_it_unless_told_otherwise_and_says_where_it_is_gone(tmp_path, project):
    assert start() == [f"workspace: {paths.workspace()}"]
    Memory().workspace = project
    assert start() == [f"workspace: {project}"]
    assert start(tmp_path / "given") == [f"workspace: {tmp_path / 'given'}"]
    project.rename(tmp_path / "elsewhere")
    assert start() == [f"problem: The workspace {project} is not there.", f"workspace: {paths.workspace()}"]
    (tmp_path / "elsewhere").rename(project)
    assert start() == [f"workspace: {project}"]
