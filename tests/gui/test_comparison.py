"""The comparison of two runs: its sentence, its table, what was left out, and what went wrong."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tlstudio.api import DataConfig, TrainConfig, UserError
from tlstudio.evaluation import compare
from tlstudio.evaluation.compare import Comparison, LeftOut
from tlstudio.gui.widgets.comparison import ComparisonView, open_comparison
from tlstudio.runs.store import create_run, read_run

FOUND = Comparison(
    split="val", both=1140, only_first=3, only_second=7, neither=3, p=0.34375, low=-0.01, high=0.065,
    left_out=LeftOut(trained_on=12), disagreements=(),
)  # fmt: skip


@pytest.fixture
def runs(context):
    config = TrainConfig(data=DataConfig(path="/data/insects"))
    return [read_run(create_run(context.workspace, config, {})[1]) for _ in range(2)]


@pytest.fixture
def view(qtbot, context, catalog, monkeypatch):
    """A comparison whose result is `FOUND`, or what ``view.answer`` says."""
    context.set_catalog(catalog)
    view = ComparisonView(context)
    qtbot.addWidget(view)
    view.answer = FOUND

    def fake(first, second, catalog, workspace, *, progress):
        assert threading.current_thread() is not threading.main_thread()
        progress(1, 2)
        if isinstance(view.answer, Exception):
            raise view.answer
        return view.answer

    monkeypatch.setattr(compare, "compare_runs", fake)
    return view


def shown(qtbot, view, runs):
    view.show_runs(*runs)
    assert view.stack.currentWidget() is view.busy
    qtbot.waitUntil(lambda: view.stack.currentWidget() is not view.busy)


def test_the_sentence_the_table_and_what_was_left_out(qtbot, view, runs):
    shown(qtbot, view, runs)
    assert view.verdict().startswith("B is ahead on 1,153 validation images by 0.3 points;")
    assert "by chance in 34 of 100 cases" in view.verdict()
    assert {name: label.text() for name, label in view.cells.items()} == {
        "both": "1,140", "only_first": "3", "only_second": "7", "neither": "3",
    }  # fmt: skip
    assert [label.text() for label in view.rates] == ["99.1 %", "99.5 %"]
    assert all(run.id in label.text() for run, label in zip(runs, view.names, strict=True))
    assert "−1.0 to +6.5" in view.figures.text()
    assert view.notes.text() == "Images left out because one of the runs has learned from them: 12."


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"only_first": 7}, "equally often right"),
        ({"only_first": 0, "only_second": 0}, "nothing tells them apart"),
        ({"only_first": 9, "p": 0.001}, "A is ahead"),
        ({"only_first": 90, "p": 0.001}, "fewer than 1 of 100 cases"),
    ],
)
def test_other_sentences(qtbot, view, runs, changed, sentence):
    view.answer = replace(FOUND, **changed)
    shown(qtbot, view, runs)
    assert sentence in view.verdict()


def test_it_waits_for_the_plugins(qtbot, context, catalog, view, runs):
    context.catalog = None
    view.show_runs(*runs)
    assert view.stack.currentWidget() is view.busy
    context.set_catalog(catalog)
    qtbot.waitUntil(lambda: view.found is not None)


def test_what_cannot_be_compared_is_said_in_place(qtbot, view, runs):
    view.answer = UserError("The two runs are of different images.")
    shown(qtbot, view, runs)
    assert view.error.title() == "The two runs are of different images."
    view.answer = FOUND
    shown(qtbot, view, runs)
    assert view.stack.currentWidget() is view.result


def test_a_dialog_shows_it_for_two_runs(qtbot, context, view, runs):
    dialog = open_comparison(context, *runs)
    own = dialog.findChild(ComparisonView)
    qtbot.waitUntil(lambda: own.found is not None)
    dialog.close()
