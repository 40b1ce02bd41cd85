"""A drawing of any strategy means the same as the strategy, and changes of it change what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from training import run

from tlstudio.api import StageInfo, parse_event
from tlstudio.engine.custom import Drawing, next_level, options_like, rows_of, without_strangers
from tlstudio.engine.freeze import HEAD, plan_epochs
from tlstudio.registry import load_catalog

SPECS = {spec.name: spec for name, spec in load_catalog().strategies.items() if name.startswith("freezing/")}
CUSTOM = SPECS["custom"]
networks = st.lists(st.sampled_from([0, 10, 5000]), min_size=1, max_size=8).map(
    lambda counts: (
        *(
            StageInfo(name=f"s{at}", params=count, norm_params=count // 5, bias_params=count // 10, adapter_params=count // 2)
            for at, count in enumerate(counts)
        ),
        StageInfo(name=HEAD, params=9),
    )
)


def plans_of(spec, options, stages, budget, pretrained=True):
    return plan_epochs(spec, options, stages, epochs=range(budget), budget=budget, pretrained=pretrained)


@pytest.mark.parametrize("name", SPECS)
@given(stages=networks, budget=st.integers(1, 40), pretrained=st.booleans())
def test_a_drawing_of_a_strategy_means_the_strategy(name, stages, budget, pretrained):
    spec = SPECS[name]
    plans = plans_of(spec, spec.options(), stages, budget, pretrained)
    drawing = Drawing.of(plans, range(budget), budget)
    options = {**options_like(plans, spec.options().model_dump()), **drawing.options()}
    assert plans_of(CUSTOM, CUSTOM.options(**options), stages, budget, pretrained) == plans


@given(stages=networks, budget=st.integers(1, 30), data=st.data())
def test_changes_reach_what_they_name_and_nothing_else(stages, budget, data):
    body = [stage.name for stage in stages[:-1]]
    spec = SPECS["gradual"]
    drawing = Drawing.of(plans_of(spec, spec.options(), stages, budget), range(budget), budget)
    name, row = data.draw(st.sampled_from(body)), data.draw(st.integers(0, budget - 1))
    for changed, expected in (
        (drawing.with_factor([name], 0.5, row), lambda at, old: 0.5 if at >= row else old),
        (drawing.learning_from([name], row, 0.1), lambda at, _old: drawing.usual_factor(name, row, 0.1) if at >= row else 0.0),
    ):
        for at in range(budget):
            for stage in body:
                old = drawing.factor(stage, at)
                assert changed.factor(stage, at) == (expected(at, old) if stage == name else old)


def test_another_pace_leaves_the_epochs_in_which_a_stage_is_frozen():
    drawing = Drawing(stages=("a", "b"), epochs=(0, 1, 2), budget=3, factors=((0.0, 0.1), (0.1, 0.1), (0.1, 0.1)))
    assert drawing.with_pace(["a"], 0.5, 2).factors == ((0.0, 0.1), (0.5, 0.1), (0.5, 0.1))
    assert drawing.with_pace(["a"], 0.5, 0).factors == ((0.5, 0.1), (0.5, 0.1), (0.5, 0.1))


@pytest.mark.parametrize(
    ("factor", "steps", "after"),
    [(0.1, 1, 0.2), (0.1, -1, 0.05), (0.07, 1, 0.1), (0.0, 1, 0.1), (0.0, 2, 0.2), (10.0, 3, 10.0), (0.001, -2, 0.001)],
)
def test_factors_go_by_levels(factor, steps, after):
    assert next_level(factor, steps, 0.1) == after


@given(budget=st.integers(1, 10_000))
def test_of_a_long_run_the_first_and_the_last_epoch_are_looked_at(budget):
    rows = rows_of(budget, 200)
    assert rows[0] == 0
    assert rows[-1] == budget - 1
    assert len(rows) == min(budget, 200)
    assert list(rows) == sorted(set(rows))


def test_stages_of_another_network_are_left_out():
    options = {"stages": {"a": 1.0, "x": 0.1}, "phases": [{"from_epoch": 2, "stages": {"x": 1.0, "b": 0.5}}], "rank": 4}
    assert without_strangers(options, ["a", "b"]) == {
        "stages": {"a": 1.0}, "phases": [{"from_epoch": 2, "stages": {"b": 0.5}}], "rank": 4,
    }  # fmt: skip


def test_the_terminal_trains_a_drawn_strategy_and_events_tell_it(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=custom",
                 "freezing.options.stages.last=0.2", 'freezing.options.phases=[{"from_epoch": 2, "stages": {"middle": 0.1}}]',
                 "freezing.options.norm_stats=fixed", "run.plan=reference")  # fmt: skip
    assert events[-1].event == "RunFinished", events[-1]
    started = [event for event in events if event.event == "EpochStarted"]
    learning = [{stage.name: stage.factor for stage in event.stages[:-1] if stage.factor} for event in started]
    assert learning == [{"last": 0.2}, {"last": 0.2, "middle": 0.1}]
    assert {stage.norm_stats for event in started for stage in event.stages[:-1]} == {"fixed"}


def test_a_stage_that_is_not_there_is_told_at_its_field(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", "freezing.strategy=custom",
                 "freezing.options.stages.lost=0.2")  # fmt: skip
    assert events[-1].event == "RunFailed"
    assert events[-1].detail.startswith("freezing.options.stages: the network has no stage 'lost'; did you mean last?")


def test_adapters_can_be_drawn_and_leave_a_plain_network(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", "freezing.strategy=custom",
                 "freezing.options.stages.last=1", "freezing.options.within=adapter", "freezing.options.rank=2",
                 "run.plan=reference")  # fmt: skip
    assert events[-1].event == "RunFinished", events[-1]
    (started,) = (event for event in events if event.event == "EpochStarted")
    last = next(stage for stage in started.stages if stage.name == "last")
    assert last.within == "adapter"
    assert 0 < last.trainable_params < last.params
    state = load_file(Path(events[0].folder) / "model.safetensors")
    tiny_catalog.backbones["test/tiny"].build(2).module.load_state_dict(state, strict=True)


def test_states_of_older_runs_are_read():
    line = b'{"event":"EpochStarted","run":"r","time":1.0,"epoch":0,"stages":[{"name":"a","params":3,"factor":0.1}]}'
    (state,) = parse_event(line).stages
    assert (state.within, state.norm_stats) == ("all", "update")
