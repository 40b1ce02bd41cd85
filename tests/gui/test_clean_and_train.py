"""A user's hour with real photos: open, see what is wrong, mend it by clicks, split, train; and the run is what was shown."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import Qt

from tlstudio.api.config import with_overrides
from tlstudio.api.events import RunFinished
from tlstudio.cli.app import main


@pytest.mark.slow
def test_ants_and_bees_are_cleaned_split_and_trained_as_shown(qtbot, loaded, hymenoptera, capsys):
    window = loaded
    with qtbot.waitSignal(window.context.data_changed, timeout=20_000):
        window.open_path(hymenoptera)
    view = window.data_page.view
    qtbot.waitUntil(lambda: view.scan.complete and view.scan.issues is not None, timeout=60_000)

    view.browser.show_issue("placeholder")
    assert [view.browser._name(row) for row in view.browser.model.rows] == ["train/ants/imageNotFound.gif"]
    view.notes._action.click()
    view.browser.show_issue("")

    grid = view.browser.grid
    view.browser.filters.line.setText("split:val class:bees")
    qtbot.waitUntil(lambda: view.browser.model.rowCount() == 83)
    grid.go_to(0)
    relabelled = view.browser._name(view.browser.row_at(0))
    qtbot.keyClick(grid, Qt.Key.Key_1)
    assert view.browser.model.rowCount() == 82

    view.edit_split()
    editor = view.split_editor
    editor.form.rows["split"].editor.set_value("stratified")
    qtbot.waitUntil(editor.apply_button.isEnabled, timeout=20_000)
    shown = [editor.table.item(0, column).text() for column in range(1, 4)]
    with qtbot.waitSignal(window.context.data_changed):
        qtbot.mouseClick(editor.apply_button, Qt.MouseButton.LeftButton)

    window.show_page("train")
    page = window.train_page
    page.set_config(with_overrides(page.form.config(), ["run.epochs=1"]))
    with qtbot.waitSignal(page.run_ended, timeout=240_000) as ended:
        assert page.start()
    assert isinstance(ended.args[0], RunFinished), ended.args[0]
    folder = next((window.context.workspace / "runs").iterdir())
    kept = json.loads((folder / "split.json").read_text())
    assert [f"{len(kept[name])}" for name in ("train", "val", "test")] == shown
    everything = kept["train"] + kept["val"]
    assert "train/ants/imageNotFound.gif" not in everything
    assert relabelled in everything
    table = view.opened.table
    for split, name in enumerate(("train", "val")):
        rows = np.flatnonzero((table.splits == split) & ~table.excluded)
        assert sorted(kept[name]) == sorted(table.images.keys[row] for row in rows)

    status = main(["--workspace", str(window.context.workspace), "data", "scan", str(hymenoptera), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert (found["excluded"], found["edited"]) == (1, 2)
    assert "placeholder" not in {issue["kind"] for issue in found["issues"]}
