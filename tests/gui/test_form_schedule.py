"""The form draws the learning rates as the engine will have them."""

from __future__ import annotations

import numpy as np
import pytest

from tlstudio.api.config import OptimConfig
from tlstudio.api.events import StageState
from tlstudio.engine.schedule import schedule_factor


def drawn(form):
    form.show()
    form._more.click()
    form.form.unfold("optim.schedule")
    return form.schedule


def test_the_schedule_is_drawn_as_the_engine_will_follow_it(form):
    form.set_training_images(320)
    form.form.rows["run.epochs"].editor.set_value(10)
    form.form.rows["optim.learning_rate"].editor.set_value(0.02)
    form.form.rows["optim.warmup_steps"].editor.set_value(15)
    plot = drawn(form)
    [(epochs, rates)] = plot.curves
    optim = OptimConfig(learning_rate=0.02, warmup_steps=15)
    for epoch, rate in zip(epochs, rates, strict=True):
        assert rate == pytest.approx(0.02 * schedule_factor(optim, round(epoch * 10), 100, 10))
    assert epochs[int(rates.argmax())] == pytest.approx(1.5)
    assert "0.02 at its highest" in plot.caption.text()
    assert "rises for 1.5 epochs" in plot.caption.text()
    form.form.rows["optim.schedule"].editor.set_value("step")
    [(epochs, rates)] = plot.curves
    assert sorted({round(rate, 6) for epoch, rate in zip(epochs, rates, strict=True) if epoch >= 2}) == [0.0002, 0.002, 0.02]


def test_a_learning_rate_that_is_left_to_the_strategy_is_drawn_as_well(form):
    form.form.rows["freezing.strategy"].editor.set_value("freezing/head-only")
    plot = drawn(form)
    assert plot.curves[0][1].max() == pytest.approx(0.01)
    form.form.rows["freezing.strategy"].editor.set_value("freezing/full")
    assert plot.curves[0][1].max() == pytest.approx(0.001)


def test_stages_at_other_rates_have_lines_of_their_own(form):
    def plan(*factors):
        return [StageState(name=f"s{i}", params=1, factor=factor) for i, factor in enumerate(factors)]

    form.form.rows["freezing.strategy"].editor.set_value("freezing/head-only")
    form.form.rows["optim.schedule"].editor.set_value("constant")
    form.form.rows["run.epochs"].editor.set_value(4)
    form.set_plans([plan(0.0, 0.0, 1.0), plan(0.0, 0.0, 1.0), plan(0.0, 0.1, 1.0)])
    plot = drawn(form)
    head, late = plot.curves
    assert set(head[1]) == {0.01}
    assert np.nanmax(late[1]) == pytest.approx(0.001)
    assert late[0][np.isfinite(late[1])].min() == pytest.approx(2.0, abs=0.05), "it is frozen until then"
    assert "s1" in plot.caption.text()
    assert "s0" not in plot.caption.text()


def test_no_schedule_is_drawn_of_a_number_that_is_none(form):
    plot = drawn(form)
    form.form.rows["run.epochs"].editor.lineEdit().setText("x")
    assert plot.curves == []
    form.form.rows["run.epochs"].editor.set_value(5)
    assert len(plot.curves) == 1
