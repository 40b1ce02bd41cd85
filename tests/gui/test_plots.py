"""Curves of a run: the same numbers live and from the file, drawn rarely, saved as picture and as numbers."""

from __future__ import annotations

import csv
import io
import itertools
import math
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest
from PySide6.QtCore import Qt

from tlstudio.api.config import TrainConfig
from tlstudio.api.events import EpochDone, EpochStarted, Prepared, RunFinished, RunStarted, StageState, StepDone
from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_data import CurveData, Series
from tlstudio.gui.widgets.decimate import Peaks
from tlstudio.gui.widgets.overlay import OverlayCurves
from tlstudio.gui.widgets.plots import RunCurves
from tlstudio.gui.widgets.ranges import round_range
from tlstudio.gui.widgets.run_looks import run_looks
from tlstudio.gui.widgets.smoothing import smoothed
from tlstudio.runs.recorder import record
from tlstudio.runs.replay import read_events
from tlstudio.runs.store import create_run


def events(*, epochs=4, per_epoch=25, run="a", loss=lambda s: 2.0 / (1 + s / 20)):
    yield RunStarted(run=run, folder="x", config={}, epochs=epochs)
    stages = (StageState(name="stem", params=5), StageState(name="head", params=5, factor=1.0))
    yield Prepared(run=run, classes=("a", "b"), images={}, stages=stages, device="cpu", weights="", steps_per_epoch=per_epoch)
    step = 0
    for epoch in range(epochs):
        learning = tuple(stage.model_copy(update={"factor": 1.0}) for stage in stages)
        yield EpochStarted(run=run, epoch=epoch, stages=stages if epoch < epochs // 2 else learning)
        for _ in range(per_epoch):
            step += 1
            yield StepDone(run=run, epoch=epoch, step=step, steps=epochs * per_epoch, loss=loss(step), lr=1e-3, images_per_s=40)
        yield EpochDone(
            run=run, epoch=epoch, step=step, train={"loss": 0.5 / (epoch + 1), "accuracy": 0.8},
            val={"loss": 0.6 / (epoch + 1), "accuracy": 0.7 + 0.05 * epoch}, seconds=1.0, best=epoch != 2,
        )  # fmt: skip
    yield RunFinished(run=run, outcome="completed", metrics={}, best_epoch=3, epochs=epochs, seconds=9, model="m")


@pytest.fixture
def curves(qtbot):
    curves = RunCurves()
    qtbot.addWidget(curves)
    curves.resize(860, 300)
    with qtbot.waitExposed(curves):
        curves.show()
    return curves


class Drawn(NamedTuple):
    x: np.ndarray
    y: np.ndarray


def drawn(plot, name):
    return Drawn(*plot.curve(name))


def test_steps_epochs_and_the_best_are_where_they_belong():
    data = CurveData().feed_all(events())
    x, loss, smooth = data.steps
    assert len(x) == 100
    assert x[-1] == pytest.approx(4.0)
    assert loss[0] == pytest.approx(2.0 / 1.05)
    assert smooth[0] == pytest.approx(loss[0])
    assert loss.min() <= smooth.min()
    assert list(data.epoch_positions) == [1, 2, 3, 4]
    assert data.best() == pytest.approx((4.0, 0.15, 0.85))
    assert [epoch for epoch, _ in data.frozen_until] == [0, 2]
    assert data.at(2.1)["val_accuracy"] == pytest.approx(0.75)
    assert data.at(-5.0)["loss"] == pytest.approx(loss[0])


def test_where_steps_come_faster_than_they_are_told_each_epoch_has_its_point():
    told = (event for event in events() if event.event != "StepDone" or event.step == 3)
    x, loss, smooth = CurveData().feed_all(told).steps
    np.testing.assert_allclose(x, [3 / 25, 0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(loss[1:], [0.5, 0.25, 0.5 / 3, 0.125])
    assert np.isfinite(smooth).all()


def test_a_run_that_is_going_and_its_file_give_the_same_curves(tmp_path, curves):
    run_id, folder = create_run(tmp_path, TrainConfig(), {})
    for event in record(events(run=run_id), folder):
        curves.feed(event)
    replayed = CurveData().feed_all(read_events(folder))
    for live, again in zip(curves.data.steps, replayed.steps, strict=True):
        np.testing.assert_array_equal(live, again)
    for split in ("train", "val"):
        for name in ("loss", "accuracy"):
            np.testing.assert_array_equal(curves.data.metric(split, name), replayed.metric(split, name))
    assert curves.data.best() == replayed.best()
    assert curves.data.to_csv() == replayed.to_csv()


def test_a_hundred_thousand_steps_are_taken_quickly_and_drawn_rarely(curves, qtbot):
    stream = list(events(epochs=10, per_epoch=10_000))
    began = time.thread_time()
    for event in stream:
        curves.feed(event)
    assert time.thread_time() - began < 5.0
    qtbot.waitUntil(lambda: len(drawn(curves.loss, "raw").x) == 100_000)
    assert curves.redraws < 20
    began = time.thread_time()
    curves.data.version += 1
    curves.redraw()
    curves.loss.view.repaint()
    assert time.thread_time() - began < 0.03


def test_nothing_is_drawn_while_nothing_changed_or_nobody_looks(curves, qtbot):
    for event in events():
        curves.feed(event)
    qtbot.waitUntil(lambda: len(drawn(curves.accuracy, "val").x) == 4)
    assert len(drawn(curves.loss, "raw").x) == 100
    before = curves.redraws
    curves.redraw()
    assert curves.redraws == before
    curves.hide()
    curves.clear()
    for event in events(epochs=2):
        curves.feed(event)
    curves.redraw()
    assert curves.redraws == before
    curves.show()
    qtbot.waitUntil(lambda: len(drawn(curves.loss, "raw").x) == 50)


def test_epochs_that_come_faster_than_they_are_drawn_reach_both_plots(curves, qtbot):
    stream = events(epochs=1000, per_epoch=1)
    for event in itertools.islice(stream, 20):
        curves.feed(event)
    for _ in range(30):  # numbers change before every turn
        for event in itertools.islice(stream, 9):
            curves.feed(event)
        curves._tick()
    done = len(curves.data.epoch_positions)
    assert len(drawn(curves.accuracy, "val").x) > done - 15
    assert len(drawn(curves.loss, "val").x) > done - 15


def test_where_there_is_no_room_the_epoch_is_left_out_and_not_half_a_number(curves, qtbot):
    for event in events():
        curves.feed(event)
    curves.redraw()
    full = "epoch 4 · train 80.0 % · validation 85.0 %"
    assert curves.accuracy.readout.text() == full
    room = curves.width() - curves.accuracy.readout.width()
    curves.resize(room + curves.accuracy.readout.fontMetrics().horizontalAdvance(full) // 2, 300)
    qtbot.waitUntil(lambda: curves.accuracy.readout.text() == "train 80.0 % · validation 85.0 %")


def test_the_best_epoch_is_marked_and_values_stand_at_the_cursor(curves, qtbot):
    for event in events():
        curves.feed(event)
    curves.redraw()
    assert drawn(curves.accuracy, "best").x[0] == 4.0
    assert drawn(curves.accuracy, "val").y[-1] == pytest.approx(85.0)
    curves.show_values(2.0)
    assert "75.0 %" in curves.accuracy.readout.text()
    assert "epoch 2" in curves.loss.readout.text()
    curves.show_values(None)
    assert "85.0 %" in curves.accuracy.readout.text()


def test_the_loss_can_be_seen_on_a_logarithmic_axis_even_where_it_is_zero_or_not_finite(curves, qtbot):
    for event in events(loss=lambda s: {5: 0.0, 6: math.inf, 7: math.nan}.get(s, 1.0 / s)):
        curves.feed(event)
    curves.redraw()
    curves._log.setChecked(True)
    curves.loss.view.repaint()
    curves._log.setChecked(False)
    assert np.isfinite(curves.data.steps[2]).all()


def shown_range(plot):
    return tuple(round(end, 6) for end in plot.view.getViewBox().viewRange()[1])


def test_the_vertical_range_has_round_ends_and_stays_while_the_numbers_fit(curves, qtbot):
    seen = []
    curves.loss.view.getViewBox().sigYRangeChanged.connect(lambda _box, ends: seen.append(tuple(ends)))
    for event in events():
        curves.feed(event)
        curves.redraw()
    low, high = shown_range(curves.loss)
    assert low <= 0.0
    assert high >= max(drawn(curves.loss, "smooth").y)
    assert len(seen) <= 6, seen
    assert shown_range(curves.accuracy)[0] <= 70.0
    assert shown_range(curves.accuracy)[1] >= 85.0


def test_what_the_user_zoomed_into_is_not_moved_by_new_numbers_until_all_is_wanted_again(curves, qtbot):
    first, *rest = list(events())
    curves.feed(first)
    curves.redraw()
    box = curves.loss.view.getViewBox()
    box.scaleBy((1.0, 0.1))
    box.sigRangeChangedManually.emit([True, True])
    zoomed = shown_range(curves.loss)
    for event in rest:
        curves.feed(event)
    curves.redraw()
    assert shown_range(curves.loss) == zoomed
    curves.loss.show_all()
    assert shown_range(curves.loss)[1] >= max(drawn(curves.loss, "smooth").y)


@pytest.mark.parametrize(
    ("extent", "log", "ends"),
    [
        (None, False, None), ((0.02, 0.93), False, (0.0, 0.95)), ((0.6, 0.62), False, (0.6, 0.62)),
        ((0.0, 0.0), False, (0.0, 0.5)), ((-1.0, -1.0), False, (-1.0, 0.0)), ((0.01, 0.9), True, (-2.0, 0.0)),
        ((1.0, 1.0), True, (0.0, 0.5)),
    ],
)  # fmt: skip
def test_ends_are_round(extent, log, ends):
    assert round_range(extent, log=log) == (ends if ends is None else pytest.approx(ends))


def test_plots_are_saved_as_picture_vectors_and_numbers(curves, tmp_path):
    for event in events():
        curves.feed(event)
    curves.redraw()
    curves.export_png(curves.loss, tmp_path / "loss.png")
    curves.export_svg(curves.accuracy, tmp_path / "accuracy.svg")
    curves.export_csv(tmp_path / "both.csv")
    assert (tmp_path / "loss.png").stat().st_size > 2000
    assert "<svg" in (tmp_path / "accuracy.svg").read_text()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "both.csv").read_text())))
    assert [row["kind"] for row in rows].count("step") == 100
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(0.85)
    with pytest.raises(OSError):
        curves.export_png(curves.loss, tmp_path / "missing" / "x.png")


def test_themes_recolour_the_curves(curves):
    for event in events():
        curves.feed(event)
    theme.apply("dark")
    try:
        curves.redraw()
        assert curves.loss.to_image().pixelColor(1, 1) == theme.DARK.base
    finally:
        theme.apply("light")


def test_buffers_grow_without_losing_rows():
    series = Series(2)
    views = []
    for i in range(1000):
        series.append(i, -i)
        views.append(series.column(0))
    assert len(series) == 1000
    np.testing.assert_array_equal(series.column(1), -np.arange(1000.0))
    np.testing.assert_array_equal(views[255], np.arange(256.0))


@pytest.fixture
def overlay(qtbot):
    overlay = OverlayCurves()
    qtbot.addWidget(overlay)
    overlay.resize(1100, 320)
    with qtbot.waitExposed(overlay):
        overlay.show()
    return overlay


def overlaid(*names, **how):
    return [(name, name, CurveData().feed_all(events(run=name, **how))) for name in names]


def test_several_runs_lie_over_each_other_and_the_legend_tells_their_values(overlay):
    overlay.set_runs(overlaid("a", "b", "c"))
    assert overlay.loss.names == {"a", "b", "c"}
    overlay.set_runs(overlaid("a", "b"))
    assert overlay.loss.names == {"a", "b"}
    overlay.show_values(2.0)
    assert overlay.legend.text_of("b")[2] == "75.0 %"
    assert "epoch 2" in overlay.legend.where.text()
    overlay.show_values(None)
    assert overlay.legend.text_of("b")[2] == "85.0 %"


def test_a_run_keeps_its_colour_and_no_two_look_alike():
    first = run_looks([f"look-{i}" for i in range(8)])
    assert len({look.color for look in first.values()}) == 8
    many = run_looks([f"look-{i}" for i in range(30)])
    assert len(set(many.values())) == 30
    assert {run: many[run] for run in first} == first
    other = run_looks([f"other-{i}" for i in range(8)])  # in other company: the same colours as the first eight
    together = run_looks([*first, *other])
    assert len(set(together.values())) == 16
    assert all(together[run].color == look.color for run, look in {**first, **other}.items())


def test_smoothing_draws_the_average_over_the_faint_raw_line(overlay):
    noisy = overlaid("a", loss=lambda s: 1.0 + (s % 2))
    overlay.set_runs(noisy)
    overlay.which.setCurrentIndex(2)
    overlay.slider.setValue(70)
    raw, smooth = drawn(overlay.loss, "a~raw"), drawn(overlay.loss, "a")
    assert set(raw.y) == {1.0, 2.0}
    assert np.ptp(smooth.y[50:]) < 0.1
    assert smooth.y[50:].mean() == pytest.approx(1.5, abs=0.01)
    overlay.slider.setValue(0)
    assert overlay.loss.names == {"a"}
    np.testing.assert_array_equal(drawn(overlay.loss, "a").y, raw.y)


def test_a_hidden_run_leaves_its_room_to_the_others(overlay):
    overlay.set_runs(overlaid("a") + overlaid("far", loss=lambda s: 500.0))
    overlay.which.setCurrentIndex(2)
    assert shown_range(overlay.loss)[1] >= 500.0
    overlay.legend.tree.topLevelItem(1).setCheckState(0, Qt.CheckState.Unchecked)
    assert shown_range(overlay.loss)[1] < 5.0
    overlay.set_runs(overlaid("a") + overlaid("far", loss=lambda s: 500.0))
    assert shown_range(overlay.loss)[1] < 5.0


@pytest.mark.parametrize("weight", [0.3, 0.9, 0.999])
def test_the_average_is_what_its_definition_says(weight):
    values = np.random.default_rng(0).normal(size=5000)
    values[[0, 7, 4000]] = np.nan
    total = count = 0.0
    expected = []
    for value in values:
        total = weight * total + (0.0 if math.isnan(value) else value)
        count = weight * count + (not math.isnan(value))
        expected.append(math.nan if math.isnan(value) else total / count)
    np.testing.assert_allclose(smoothed(values, weight), expected, rtol=1e-9, atol=1e-12)
    assert smoothed(values, 0.0) is values


def test_of_a_long_curve_every_peak_is_drawn_and_little_else():
    x, y = np.arange(1_000_000.0), np.zeros(1_000_000)
    y[123_457], y[777_777], y[500_000:500_100] = 9.0, -9.0, np.nan
    peaks = Peaks(x, y)
    for low, high in ((0, 1e6), (123_000, 124_000), (100_000, 800_000)):
        drawn_x, drawn_y = peaks.within(low, high, 600)
        assert len(drawn_x) <= 1300
        assert drawn_y.max() == 9.0
        assert (np.diff(drawn_x) >= 0).all()
        assert drawn_x[0] <= low
        assert drawn_x[-1] >= min(high, 999_999) - (high - low) / 300
    assert peaks.within(0, 1e6, 600)[1].min() == -9.0
    back = Peaks(np.array([0.0, 1.0, 2.0, 1.5, 2.5]), np.array([0.0, 1.0, 2.0, 3.0, 4.0]))  # went on from a checkpoint
    np.testing.assert_array_equal(back.within(0, 9, 100)[0], [0.0, 1.0, 1.5, 2.0, 2.5])


_OTHER_RELEASE = """
import sys
from tlstudio.gui.widgets import plot_library
assert "pyqtgraph.parametertree" not in sys.modules
assert len(dir(plot_library.pg.QtCore)) < len(dir(sys.modules["PySide6.QtCore"]))
for name in [name for name in sys.modules if name.startswith("pyqtgraph")]:
    del sys.modules[name]
plot_library._UNUSED = ("PlotWidget",)
print(plot_library._import().PlotWidget, "pyqtgraph.parametertree" in sys.modules)
"""


def test_another_release_of_the_plots_library_that_needs_what_is_left_out_is_imported_whole():
    done = subprocess.run([sys.executable, "-c", _OTHER_RELEASE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "<class 'pyqtgraph.widgets.PlotWidget.PlotWidget'> True", done.stderr


def test_a_hundred_runs_are_drawn_a_few_at_a_time(overlay, qtbot):
    runs = overlaid(*(f"many-{i}" for i in range(30)), epochs=2, per_epoch=3)
    overlay.set_runs(runs)
    assert 0 < len(overlay.loss.names) < 30
    overlay.slider.setValue(50)
    qtbot.waitUntil(lambda: not overlay.busy)
    assert len(overlay.loss.names) == 60
    assert all(len(drawn(overlay.loss, name).x) == 2 for name in overlay.loss.names)
    overlay.set_runs(runs[:3])
    assert overlay.loss.names == {"many-0", "many-1", "many-2", "many-0~raw", "many-1~raw", "many-2~raw"}
