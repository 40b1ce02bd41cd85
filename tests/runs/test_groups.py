"""One configuration over seeds or folds: who belongs together, and what the runs say as a whole."""

from __future__ import annotations

import statistics

import pytest

from tlstudio.api import DataConfig, RunConfig, TrainConfig, UserError
from tlstudio.api.events import RunFinished
from tlstudio.runs.groups import done, list_groups, missing, plan_folds, plan_more, plan_seeds, repeats, require_group
from tlstudio.runs.lock import hold
from tlstudio.runs.queue import enqueue
from tlstudio.runs.recorder import record
from tlstudio.runs.spread import spread_of, t_quantile
from tlstudio.runs.store import create_run, list_runs

CONFIG = TrainConfig(data=DataConfig(path="/data/photos"), run=RunConfig(seed=3, name="mine"))


def keep(workspace, member, accuracy, outcome="completed", config=None):
    """A finished run of the group, as the engine leaves it."""
    run_id, folder = create_run(workspace, config or member.config, {"group": member.record})
    end = RunFinished(
        run=run_id, outcome=outcome, metrics={"val_accuracy": accuracy}, best_epoch=0, epochs=1, seconds=1.0, model=""
    )
    assert list(record([end], folder)) == [end]
    return run_id


def test_seeds_count_up_and_all_else_stays():
    members = plan_seeds(CONFIG, 3)
    assert [member.config.run.seed for member in members] == [3, 4, 5]
    assert all(member.config.model_copy(update={"run": CONFIG.run}) == CONFIG for member in members)
    assert len({member.group for member in members}) == 1


def test_folds_measure_in_turn():
    members = plan_folds(CONFIG, 4)
    assert [(member.config.data.split, member.config.data.folds, member.config.data.fold) for member in members] == [
        ("kfold", 4, fold) for fold in range(4)
    ]
    assert all(member.config.run == CONFIG.run for member in members)


def test_the_same_wish_is_the_same_group_and_another_is_not():
    group = plan_seeds(CONFIG, 3)[0].group
    renamed = CONFIG.model_copy(update={"run": RunConfig(seed=0, name="other")})
    assert plan_seeds(renamed, 5)[0].group == group
    longer = CONFIG.model_copy(update={"run": RunConfig(epochs=7)})
    assert plan_seeds(longer, 3)[0].group != group
    assert plan_folds(CONFIG, 3)[0].group != plan_folds(CONFIG, 4)[0].group != group


def test_only_the_newest_completed_run_of_each_number_counts(tmp_path):
    first, second, third = plan_seeds(CONFIG, 3)
    keep(tmp_path, first, 0.5)
    again = keep(tmp_path, first, 0.9)
    keep(tmp_path, second, 0.1, outcome="stopped")
    last = keep(tmp_path, third, 0.8)
    create_run(tmp_path, CONFIG, {})
    assert {number: run.id for number, run in done(list_runs(tmp_path), first.group).items()} == {3: again, 5: last}
    group = require_group(tmp_path, first.group[:8])
    assert [run.id for run in group.runs] == [again, last]
    assert len(group.others) == 2
    assert group.accuracy.mean == pytest.approx(0.85)
    assert group.differing == ()


def test_runs_that_do_not_repeat_one_configuration_are_told(tmp_path):
    first, second = plan_seeds(CONFIG, 2)
    keep(tmp_path, first, 0.9)
    keep(tmp_path, second, 0.8, config=second.config.model_copy(update={"run": RunConfig(seed=4, epochs=7)}))
    assert list_groups(tmp_path)[0].differing == ("run.epochs",)


def test_only_what_is_not_done_does_not_wait_and_is_not_going_is_missing(tmp_path):
    members = plan_seeds(CONFIG, 5)
    keep(tmp_path, members[0], 0.9)
    keep(tmp_path, members[1], 0.9, outcome="stopped")
    enqueue(tmp_path, members[2].config, {"group": members[2].record})
    _, going = create_run(tmp_path, members[3].config, {"group": members[3].record})
    keep(tmp_path, plan_folds(CONFIG, 5)[4], 0.9)
    with hold(going):
        assert missing(members, list_runs(tmp_path)) == [members[1], members[4]]


def test_a_configuration_taken_from_a_run_of_the_group_means_that_group(tmp_path):
    members = plan_seeds(CONFIG, 3)
    for member in members:
        keep(tmp_path, member, 0.9)
    runs = list_runs(tmp_path)
    assert plan_more(members[2].config, "seeds", 4, runs) == plan_seeds(CONFIG, 4)
    other = CONFIG.model_copy(update={"run": RunConfig(seed=40)})
    assert [member.number for member in plan_more(other, "seeds", 2, runs)] == [40, 41], "as the user wants it"
    assert all(repeats(run, other) for run in runs)
    assert not any(repeats(run, CONFIG.model_copy(update={"run": RunConfig(epochs=7)})) for run in runs)
    keep(tmp_path, plan_folds(CONFIG, 4)[2], 0.9)
    assert repeats(list_runs(tmp_path)[0], CONFIG)


def test_the_result_in_sentences(tmp_path):
    first, second, third = plan_seeds(CONFIG, 3)
    keep(tmp_path, first, 0.9)
    assert list_groups(tmp_path)[0].result == ("Accuracy 90.0 % in the one run that is done; two are needed for a spread.",)
    keep(tmp_path, second, 0.92)
    keep(tmp_path, third, 0.1, outcome="stopped")
    [group] = list_groups(tmp_path)
    assert group.result[:2] == (
        "Accuracy 91.0 % on average of 2 runs, standard deviation 1.4 points.",
        "95 % interval of the mean: 78.3 % to 100.0 % (Student's t, 1 degree of freedom).",
    )
    assert group.reservations() == ("Not counted: 1 run that is not complete, or done again later.",)


def test_a_group_that_is_not_there_or_not_one(tmp_path):
    keep(tmp_path, plan_seeds(CONFIG, 2)[0], 0.9)
    keep(tmp_path, plan_folds(CONFIG, 2)[0], 0.9)
    with pytest.raises(UserError, match="no group 'x'"):
        require_group(tmp_path, "x")
    with pytest.raises(UserError, match="beginning of 2 groups"):
        require_group(tmp_path, "")


@pytest.mark.parametrize(
    ("freedom", "published"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (99, 1.984)]
)
def test_quantiles_of_student_s_t_are_those_of_the_tables(freedom, published):
    assert t_quantile(freedom) == pytest.approx(published, abs=6e-4)


def test_the_interval_of_a_mean():
    values = [0.90, 0.92, 0.94, 0.91, 0.93]
    spread = spread_of(values)
    assert (spread.n, spread.mean, spread.deviation) == (5, pytest.approx(0.92), statistics.stdev(values))
    assert spread.high - spread.mean == pytest.approx(2.776 * spread.deviation / 5**0.5, rel=1e-3)
    assert spread.mean - spread.low == pytest.approx(spread.high - spread.mean)
    assert spread_of([0.99, 1.0]).high == 1.0
    assert spread_of([0.9]).deviation is None
