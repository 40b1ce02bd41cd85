"""The Predict and Evaluate pages on a run, with a stand-in for the network: what is shown, saved and said."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PySide6.QtCore import Qt

from tlstudio.api.config import DataConfig, TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import RunFinished
from tlstudio.runs.store import create_run


class _Model:
    """Says the colour that is strongest, with a fixed certainty."""

    classes = ("blue", "green", "red")

    def predict(self, images):
        rows = np.full((len(images), 3), 0.1, np.float32)
        for row, image in zip(rows, images, strict=True):
            row[2 - int(np.asarray(image).mean((0, 1)).argmax())] = 0.8
        return rows


@pytest.fixture
def run(context, folder):
    """A finished run in the workspace."""
    run_id, place = create_run(context.workspace, TrainConfig(data=DataConfig(path=str(folder))), {})
    done = RunFinished(
        run=run_id, outcome="completed", metrics={"val_accuracy": 0.9}, best_epoch=1, epochs=2, seconds=3.0, model="x"
    )
    (place / "events.jsonl").write_text(done.model_dump_json() + "\n")
    (place / "model.safetensors").write_bytes(b"weights")
    return run_id


@pytest.fixture
def model(monkeypatch):
    """The stand-in instead of the engine's model; counts how often it is loaded."""
    predict = pytest.importorskip("tlstudio.engine.predict")
    loads = []
    monkeypatch.setattr(predict, "load_model", lambda folder, catalog: loads.append(folder) or _Model())
    return loads


@pytest.fixture
def page(qtbot, loaded, run, model):
    """The Predict page with that run chosen."""
    loaded.show_page("predict")
    page = loaded.page("predict")
    qtbot.waitUntil(lambda: page.picker.run() is not None)
    return page


def test_without_a_run_the_page_says_so_and_leads_on(qtbot, loaded):
    loaded.show_page("predict")
    page = loaded.page("predict")
    qtbot.waitUntil(lambda: page.picker.ready)
    assert page.stack.currentWidget() is page.no_runs


def test_images_of_a_folder_get_their_likeliest_classes(qtbot, page, folder, model):
    assert page.stack.currentWidget() is page.no_images
    with qtbot.waitSignal(page.finished, timeout=30_000):
        page.add_paths([folder])
    assert len(page.paths) == 30
    said = {path.parent.name: item.top[0][0] for path, item in zip(page.paths, page.predictions, strict=True)}
    assert said == {"blue": "blue", "green": "green", "red": "red"}
    assert page.predictions[0].top[0][1] == pytest.approx(0.8)
    assert "30 images" in page.status.text()
    assert "80.0 %" in page._describe(0)
    with qtbot.waitSignal(page.finished, timeout=30_000):
        page.add_paths([folder / "red" / "red_000.png", folder / "blue"])
        qtbot.waitUntil(lambda: page._work is None)
        page.finished.emit()
    assert len(page.paths) == 30
    assert len(model) == 1


def test_predictions_are_saved_as_csv_with_the_unreadable_ones_named(qtbot, page, folder, tmp_path):
    (folder / "red" / "red_000.png").write_bytes(b"")
    with qtbot.waitSignal(page.finished, timeout=30_000):
        page.add_paths([folder / "red"])
    assert "1 cannot be read" in page.status.text()
    target = tmp_path / "out.csv"
    with qtbot.waitSignal(page._context.message):
        page.save_csv(target)
    with target.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", "class_1", "probability_1", "class_2", "probability_2", "class_3", "probability_3", "problem"]
    assert rows[1][-1] == "empty file"
    assert rows[2][1:3] == ["red", "0.800000"]


def test_a_folder_without_images_is_said_with_a_hint(qtbot, page, tmp_path):
    (tmp_path / "bare").mkdir()
    with qtbot.waitSignal(page._context.problem) as caught:
        page.add_paths([tmp_path / "bare"])
    assert isinstance(caught.args[0], UserError)
    assert caught.args[0].hint
    page.window().errors.reject()


def test_a_prediction_opens_large(qtbot, page, folder):
    with qtbot.waitSignal(page.finished, timeout=30_000):
        page.add_paths([folder / "blue"])
    page.grid.go_to(0)
    qtbot.keyClick(page.grid, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "px" in page.viewer.text())
    assert "blue 80.0 %" in page.viewer.text()
    qtbot.keyClick(page.viewer, Qt.Key.Key_Escape)
    assert page.stack.currentWidget() is page.grid
    page.clear()
    assert page.stack.currentWidget() is page.no_images


def test_a_requested_run_is_chosen(qtbot, page, context, folder):
    other, place = create_run(context.workspace, TrainConfig(data=DataConfig(path=str(folder))), {})
    done = RunFinished(run=other, outcome="stopped", metrics={}, best_epoch=0, epochs=1, seconds=1.0, model="x")
    (place / "events.jsonl").write_text(done.model_dump_json() + "\n")
    (place / "model.safetensors").write_bytes(b"weights")
    context.run_requested.emit(other)
    qtbot.waitUntil(lambda: page.picker.run() is not None and page.picker.run().id == other)
    assert page.picker.count() == 2


def test_evaluate_shows_accuracy_matrix_and_the_images_of_a_cell(qtbot, loaded, run, catalog, folder, monkeypatch):
    report = pytest.importorskip("tlstudio.evaluation.report")
    images = catalog.open_images(DataConfig(path=str(folder)))
    rows = np.arange(0, 30, 3)
    labels = images.labels[rows].astype(np.int64)
    chances = np.full((len(rows), 3), 0.1, np.float32)
    chances[np.arange(len(rows)), labels] = 0.8
    chances[0] = (0.1, 0.7, 0.2)
    made = report.build_report(images.classes, "val", images, rows, labels, chances)
    monkeypatch.setattr(report, "evaluate_run", lambda *_args, **_kwargs: made)
    loaded.show_page("evaluate")
    page = loaded.page("evaluate")
    qtbot.waitUntil(lambda: page.report is not None, timeout=30_000)
    assert page.stack.currentWidget() is page.report_page
    assert page.summary.text() == "90.0 % right"
    assert page.rows.rowCount() == 1
    assert page.table.item(0, 0).text() == "blue"
    cell = page.matrix.cell_rect(0, 1).center()
    qtbot.mouseClick(page.matrix, Qt.MouseButton.LeftButton, pos=cell)
    assert page.what.text() == "1 of blue, called green"
    assert page._verdict(0) == "blue → green 70 %"
    qtbot.keyClick(page.matrix, Qt.Key.Key_Left)
    assert page.rows.rowCount() == int(made.confusion[0, 0])


def test_what_cannot_be_evaluated_is_said_in_place(qtbot, loaded, run, monkeypatch):
    report = pytest.importorskip("tlstudio.evaluation.report")

    def fail(*_args, **_kwargs):
        raise UserError("The images are gone.", hint="Connect the drive.")

    monkeypatch.setattr(report, "evaluate_run", fail)
    loaded.show_page("evaluate")
    page = loaded.page("evaluate")
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.error, timeout=30_000)
    assert page.error.title() == "The images are gone."
