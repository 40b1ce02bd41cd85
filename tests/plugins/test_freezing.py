"""The freezing strategies: what learns, how fast, and that plans are pure."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import tlstudio_freezing
from tlstudio.api import ConfigError, PlanContext, StageInfo
from tlstudio.testing import check_strategy

SPECS = {spec.name: spec for spec in tlstudio_freezing.register_freezing_strategies()}


def networks():
    """Stages with unique names; some have no parameters."""
    counts = st.lists(st.sampled_from([0, 0, 10, 5000]), max_size=12)
    return counts.map(lambda params: tuple(StageInfo(name=f"s{at}", params=count) for at, count in enumerate(params)))


def plan(name, stages, /, *, pretrained=True, epoch=0, epochs=3, **options):
    spec = SPECS[name]
    return spec.plan(
        PlanContext(stages=stages, epoch=epoch, epochs=epochs, options=spec.options(**options), pretrained=pretrained)
    )


def stages_of(*params):
    return tuple(StageInfo(name=f"s{at}", params=count) for at, count in enumerate(params))


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_freezing")
    assert listing["names"] == [
        "head-only", "last-stages", "full", "fraction", "surgical", "gradual", "chain-thaw", "lp-ft", "discriminative", "l2-sp",
        "norm-only", "bias-only", "lora", "custom",
    ]  # fmt: skip
    assert listing["seconds"] < 0.1  # half of it where the machine is not busy


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in SPECS),
        ("last-stages", {"k": 3, "norm_stats": "fixed"}),
        ("fraction", {"fraction": 1.0, "norm_stats": "recalibrated"}),
        ("surgical", {"stage": 5}),
        ("gradual", {"epochs_per_stage": 3}),
        ("lp-ft", {"probe_share": 0.99}),
        ("discriminative", {"decay": 1.0}),
        ("lora", {"rank": 1, "norm_stats": "update"}),
        ("custom", {"stages": {"stage0": 0.3}, "phases": [{"from_share": 0.5, "stages": {"stage0": 0.0}}], "within": "norm"}),
        ("custom", {"phases": [{"from_epoch": 2, "stages": {"stage0": 1.0}}]}),
    ],
)
def test_strategy_keeps_its_promises(name, options):
    check_strategy(SPECS[name], options)


def test_learning_rates_suit_the_strategy():
    assert SPECS["head-only"].learning_rate == 1e-2
    assert SPECS["full"].learning_rate == SPECS["last-stages"].learning_rate == 1e-3


def test_every_strategy_names_its_papers():
    assert all(re.search(r" (19|20)\d\d, ", spec.source) for spec in SPECS.values() if spec.name != "custom")


@pytest.mark.parametrize("name", SPECS)
def test_every_option_explains_itself_and_its_default_is_valid(name):
    """The form in the window and the help show nothing else."""
    options = SPECS[name].options
    assert all(info.title and info.description for info in options.model_fields.values())
    assert options.model_validate(options().model_dump()) == options()
    if name != "head-only":
        for stats in ("fixed", "update", "recalibrated"):
            assert plan(name, stages_of(10, 10), norm_stats=stats, epochs=1).norm_stats == stats


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
    assert plan("full", stages_of(1)).norm_stats == "fixed"  # what came from a million images is better than eight batches
    assert plan("full", stages_of(1), pretrained=False).norm_stats == "update"  # those of random weights say nothing
    assert plan("last-stages", stages_of(1), norm_stats="fixed").norm_stats == "fixed"


@given(networks(), st.floats(0.01, 1.0))
def test_a_fraction_is_held_by_the_fewest_last_stages(stages, fraction):
    made = plan("fraction", stages, fraction=fraction)
    learning = [stage.params for stage in stages if made.factor(stage.name)]
    total = sum(stage.params for stage in stages)
    assert sum(learning) >= fraction * total
    heavy = [params for params in learning if params]
    assert not heavy or sum(heavy[1:]) < fraction * total


@pytest.mark.parametrize(("stage", "chosen"), [(1, "s0"), (2, "s2"), (3, "s3"), (9, "s3")])
def test_surgery_counts_the_stages_that_have_parameters(stage, chosen):
    assert plan("surgical", stages_of(5, 0, 5, 5), stage=stage).lr == {chosen: 0.1}


def learning_by_epoch(name, stages, epochs, /, **options):
    """For each epoch the stages that learn, as a text of their numbers."""
    plans = [plan(name, stages, epoch=epoch, epochs=epochs, **options) for epoch in range(epochs)]
    return ["".join(stage.name[1:] for stage in stages if made.factor(stage.name)) for made in plans]


def test_gradual_unfreezing_adds_a_stage_at_a_time_from_the_last():
    stages = stages_of(5, 5, 0, 5)
    assert learning_by_epoch("gradual", stages, 6) == ["", "3", "123", "0123", "0123", "0123"]
    assert learning_by_epoch("gradual", stages, 5, epochs_per_stage=2) == ["", "", "3", "3", "123"]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (5, ["", "0", "2", "3", "0123"]),
        (10, ["", "", "0", "0", "2", "2", "3", "3", "0123", "0123"]),
        (3, ["", "2", "0123"]),
        (2, ["", "0123"]),
        (1, ["0123"]),
    ],
)
def test_chain_thaw_goes_from_stage_to_stage_and_ends_with_all(epochs, expected):
    assert learning_by_epoch("chain-thaw", stages_of(5, 0, 5, 5), epochs) == expected


@pytest.mark.parametrize(
    ("epochs", "share", "probing"), [(10, 0.5, 5), (10, 0.01, 1), (10, 0.99, 9), (2, 0.5, 1), (1, 0.5, 0), (30, 0.2, 6)]
)
def test_the_head_is_fitted_first_for_its_share_of_the_epochs(epochs, share, probing):
    learning = learning_by_epoch("lp-ft", stages_of(5, 5), epochs, probe_share=share)
    assert learning == [""] * probing + ["01"] * (epochs - probing)


@given(networks(), st.floats(0.1, 1.0))
def test_discriminative_rates_fall_towards_the_image(stages, decay):
    made = plan("discriminative", stages, decay=decay, stage_factor=0.5)
    weighty = [made.factor(stage.name) for stage in stages if stage.params]
    assert weighty == pytest.approx([0.5 * decay**behind for behind in reversed(range(len(weighty)))])
    assert all(made.factor(stage.name) > 0.0 for stage in stages)
    scratch = plan("discriminative", stages, decay=decay, pretrained=False)
    assert {scratch.factor(stage.name) for stage in stages} <= {1.0}


@pytest.mark.parametrize(("name", "learning"), [("norm-only", "b"), ("bias-only", "bc"), ("lora", "cd")])
def test_a_stage_without_what_learns_stays_in_the_cache(name, learning):
    stages = (
        StageInfo(name="a", params=9),
        StageInfo(name="b", params=9, norm_params=2, bias_params=1),
        StageInfo(name="c", params=9, bias_params=1, adapter_params=3),
        StageInfo(name="d", params=9, adapter_params=3),
    )
    assert list(plan(name, stages).lr) == list(learning)


def test_custom_does_what_it_is_told_stage_by_stage():
    stages = stages_of(5, 5, 5)
    made = plan("custom", stages, stages={"s2": 0.1, "s0": 0.0})
    assert made.lr == {"s2": 0.1}
    phases = [{"from_epoch": 4, "stages": {"s0": 1.0, "s2": 0.0}}, {"from_share": 0.25, "stages": {"s1": 0.5}}]
    learning = learning_by_epoch("custom", stages, 4, stages={"s2": 0.1}, phases=phases)
    assert learning == ["2", "12", "12", "01"]
    assert learning_by_epoch("custom", stages, 8, stages={"s2": 0.1}, phases=phases) == ["2", "2", "12"] + ["01"] * 5


def test_custom_names_the_stages_that_are_not_there():
    with pytest.raises(ConfigError) as error:
        plan("custom", stages_of(5, 5), stages={"s11": 0.1}, phases=[{"from_epoch": 1, "stages": {"x": 1.0}}])
    assert [problem.field for problem in error.value.problems] == [
        "freezing.options.stages", "freezing.options.phases.0.stages",
    ]  # fmt: skip
    assert "did you mean s1?" in error.value.problems[0].message
    assert "it has s0, s1" in error.value.problems[1].message


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fraction", {"fraction": 0.0}),
        ("surgical", {"stage": 0}),
        ("gradual", {"epochs_per_stage": 0}),
        ("lp-ft", {"probe_share": 1.0}),
        ("discriminative", {"decay": 1.1}),
        ("l2-sp", {"alpha": -1.0}),
        ("lora", {"rank": 0}),
        ("lora", {"alpha": float("inf")}),
        ("last-stages", {"k": 0}),
        ("last-stages", {"stage_factor": 0}),
        ("full", {"stage_factor": float("nan")}),
        ("full", {"norm_stats": "sometimes"}),
        ("head-only", {"k": 1}),
        ("custom", {"stages": {"a": -0.1}}),
        ("custom", {"stages": {"a": float("inf")}}),
        ("custom", {"phases": [{"stages": {"a": 0.1}}]}),
        ("custom", {"phases": [{"from_epoch": 1, "from_share": 0.1}]}),
    ],
)
def test_wrong_options_are_refused(name, options):
    with pytest.raises(ValidationError):
        SPECS[name].options(**options)
