"""The Plugins page: what is loaded, what it adds, and what failed and why."""

from __future__ import annotations

from PySide6.QtGui import QDesktopServices

from tlstudio import paths
from tlstudio.registry import load_catalog

_PROJECT = """[project]
name = "{name}"
version = "1.2"
[project.entry-points."tlstudio.plugins"]
{name} = "{name}_module"
"""


def _plugin(folder, name, code):
    (folder / name).mkdir(parents=True)
    (folder / name / "pyproject.toml").write_text(_PROJECT.format(name=name))
    (folder / name / f"{name}_module.py").write_text(code)


def _texts(page, row):
    return [page.table.item(row, column).text() for column in range(5)]


def test_shipped_plugins_are_listed_with_what_they_add(loaded):
    loaded.show_page("plugins")
    page = loaded.page("plugins")
    names = [page.table.item(row, 0).text() for row in range(page.table.rowCount())]
    assert {"datasets", "freezing", "timm", "torchvision"} <= set(names)
    page.table.selectRow(names.index("freezing"))
    text = page.details.toPlainText()
    assert "Freezing strategies" in text
    assert "freezing/head-only" in text


def test_a_plugin_of_many_networks_shows_families_and_what_is_not_offered(loaded):
    loaded.show_page("plugins")
    page = loaded.page("plugins")
    names = [page.table.item(row, 0).text() for row in range(page.table.rowCount())]
    page.table.selectRow(names.index("timm"))
    lines = page.details.toPlainText().splitlines()
    convnext = next(line for line in lines if "timm/convnext_tiny" in line)
    assert convnext.strip().startswith("ConvNeXt timm/")
    assert any("Not offered" in line for line in lines)
    assert any("classifier" in line and "timm/qwen3_vit_88m_enc" in line for line in lines)


def test_a_failed_plugin_comes_first_with_its_error_and_traceback(window, tmp_path):
    _plugin(tmp_path, "broken", "raise RuntimeError('no <b>licence</b>')")
    window.context.set_catalog(load_catalog(user_folder=tmp_path))
    window.show_page("plugins")
    page = window.page("plugins")
    assert _texts(page, 0) == ["broken", "1.2", "plugin folder", "failed", "–"]
    assert "1 failed" in page.summary.text()
    text = page.details.toPlainText()
    assert "RuntimeError: no <b>licence</b>" in text
    assert "Traceback" in text


def test_switched_off_plugins_are_shown_as_such(window, tmp_path):
    _plugin(tmp_path, "extra", "")
    window.context.set_catalog(load_catalog(user_folder=tmp_path, off=["extra"]))
    window.show_page("plugins")
    page = window.page("plugins")
    rows = [_texts(page, row) for row in range(page.table.rowCount())]
    assert ["extra", "1.2", "plugin folder", "switched off", "–"] in rows


def test_the_plugin_folder_is_made_and_opened(qtbot, loaded, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    loaded.show_page("plugins")
    loaded.page("plugins").open_folder()
    qtbot.waitUntil(lambda: bool(opened))
    assert paths.user_plugins().is_dir()


def test_an_observer_that_failed_in_a_run_is_shown_with_its_traceback(loaded):
    from tlstudio.registry.observers import Fault

    loaded.show_page("plugins")
    page = loaded.page("plugins")
    names = [page.table.item(row, 0).text() for row in range(page.table.rowCount())]
    at = names.index("tensorboard")
    assert _texts(page, at)[3] == "loaded"
    fault = Fault(observer="tensorboard/event-files", run="r", time=0.0, error="OSError: full", details="Traceback: <here>")
    loaded.context.catalog.observer_faults[fault.observer] = fault
    loaded.show_page("train")
    loaded.show_page("plugins")
    page.table.selectRow(at)
    assert _texts(page, at)[3] == "failed in a run"
    text = page.details.toPlainText()
    assert "Observers of runs (1)" in text
    assert "OSError: full" in text
    assert "Traceback: <here>" in text
