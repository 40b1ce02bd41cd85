"""The freezing strategies: what learns, how fast, and that plans are pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import tlstudio_freezing
from tlstudio.api import PlanContext, StageInfo
from tlstudio.testing import check_strategy

SPECS = {spec.name: spec for spec in tlstudio_freezing.register_freezing_strategies()}


def networks():
    """Stages with unique names; some have no parameters."""
    counts = st.lists(st.sampled_from([0, 0, 10, 5000]), max_size=12)
    return counts.map(lambda params: tuple(StageInfo(name=f"s{at}", params=count) for at, count in enumerate(params)))


def plan(name, stages, *, pretrained=True, epoch=0, epochs=3, **options):
    spec = SPECS[name]
    return spec.plan(
        PlanContext(stages=stages, epoch=epoch, epochs=epochs, options=spec.options(**options), pretrained=pretrained)
    )


def stages_of(*params):
    return tuple(StageInfo(name=f"s{at}", params=count) for at, count in enumerate(params))


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_freezing")
    assert listing["names"] == ["head-only", "last-stages", "full"]
    assert listing["seconds"] < 0.1  # half of it where the machine is not busy


@pytest.mark.parametrize(
    ("name", "options"),
    [("head-only", {}), ("full", {}), ("last-stages", {}), ("last-stages", {"k": 3, "norm_stats": "fixed"})],
)
def test_strategy_keeps_its_promises(name, options):
    check_strategy(SPECS[name], options)


def test_learning_rates_suit_the_strategy():
    assert SPECS["head-only"].learning_rate == 1e-2
    assert SPECS["full"].learning_rate == SPECS["last-stages"].learning_rate == 1e-3


def test_every_strategy_names_its_papers():
    assert all(spec.source for spec in SPECS.values())


@given(networks())
def test_head_only_freezes_every_stage(stages):
    names = tuple(stage.name for stage in stages)
    assert plan("head-only", stages).frozen_prefix(names) == len(stages)


@given(networks(), st.floats(0.001, 10.0), st.booleans())
def test_full_lets_every_stage_learn(stages, factor, pretrained):
    made = plan("full", stages, pretrained=pretrained, stage_factor=factor)
    assert all(made.factor(stage.name) == (factor if pretrained else 1.0) for stage in stages)


@given(networks(), st.integers(1, 20), st.booleans())
def test_last_stages_are_a_suffix_with_k_stages_that_have_parameters(stages, k, pretrained):
    made = plan("last-stages", stages, k=k, pretrained=pretrained)
    factors = [made.factor(stage.name) for stage in stages]
    first = made.frozen_prefix(tuple(stage.name for stage in stages))
    assert all(factor == 0.0 for factor in factors[:first])
    assert all(factor == (0.1 if pretrained else 1.0) for factor in factors[first:])
    with_parameters = sum(stage.params > 0 for stage in stages)
    assert sum(stage.params > 0 for stage in stages[first:]) == min(k, with_parameters)
    assert first == len(stages) or stages[first].params > 0  # no more of the network leaves the cache than has to


def test_a_pooling_stage_at_the_end_is_not_counted():
    made = plan("last-stages", stages_of(100, 100, 0), k=1)
    assert [made.factor(f"s{at}") for at in range(3)] == [0.0, 0.1, 0.1]


def test_more_stages_than_there_are_means_all():
    assert plan("last-stages", stages_of(1, 1), k=99).lr == {"s0": 0.1, "s1": 0.1}


def test_statistics_follow_the_option():
    assert plan("full", stages_of(1)).norm_stats == "update"
    assert plan("last-stages", stages_of(1), norm_stats="fixed").norm_stats == "fixed"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("last-stages", {"k": 0}),
        ("last-stages", {"stage_factor": 0}),
        ("full", {"stage_factor": float("nan")}),
        ("full", {"norm_stats": "sometimes"}),
        ("head-only", {"k": 1}),
    ],
)
def test_wrong_options_are_refused(name, options):
    with pytest.raises(ValidationError):
        SPECS[name].options(**options)
