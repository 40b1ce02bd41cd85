"""``runs compare``: figures, and one sentence that says what they mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tlstudio.api import DataConfig, TrainConfig
from tlstudio.cli.runs_compare import verdict
from tlstudio.evaluation import compare
from tlstudio.evaluation.compare import Comparison, Disagreement, LeftOut
from tlstudio.runs.store import create_run

FOUND = Comparison(
    split="val", both=140, only_first=3, only_second=7, neither=3, p=0.34375, low=-0.01, high=0.0001,
    left_out=LeftOut(trained_on=12, elsewhere=1, unusable=2), unknown_parents=("0ld",),
    disagreements=(Disagreement(key="ants/1.jpg", true="ants", first="bees", second="ants"),),
)  # fmt: skip


@pytest.fixture
def two(tmp_path, monkeypatch):
    """The ids of two runs, and the splits that a comparison of them was asked for."""
    config = TrainConfig(data=DataConfig(path="/data/insects"))
    asked = []

    def fake(first, second, catalog, workspace, *, split, progress):
        asked.append(split)
        return FOUND

    monkeypatch.setattr(compare, "compare_runs", fake)
    return [create_run(tmp_path / "workspace", config, {})[0] for _ in range(2)], asked


def test_people_read_the_table_and_the_sentence(cli, two):
    (a, b), asked = two
    done = cli("runs", "compare", a, b)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[1].split()[:4] == ["A", a, "93.5", "%"]
    assert [line.split() for line in lines if "right" in line[:8] or "wrong" in line[:8]] == [
        ["A", "right", "140", "3"], ["A", "wrong", "7", "3"],
    ]  # fmt: skip
    assert "B − A: +2.6 points, 95 % interval −1.0 to 0.0 " in done.out
    assert "p = 0.344" in done.out
    assert "12 images that one of the runs has learned from" in done.out
    assert "1 image that only one of the runs has among its validation images" in done.out
    assert "2 images that are gone" in done.out
    assert "0ld" in done.out
    assert lines[-1].startswith("B is ahead on these 153 validation images by 2.6 points;")
    assert lines[-1].endswith("by chance in 34 of 100 cases, so they may be equally good.")
    assert asked == [None]


def test_scripts_read_json(cli, two):
    (a, b), asked = two
    found = cli("runs", "compare", a, b, "--on", "test", "--json").json
    assert asked == ["test"]
    assert (found["a"], found["b"], found["images"], found["p"]) == (a, b, 153, 0.34375)
    assert found["table"] == {"both": 140, "only_a": 3, "only_b": 7, "neither": 3}
    assert found["difference"] == pytest.approx(4 / 153)
    assert found["interval"]["low"] == -0.01
    assert found["left_out"] == {"trained_on": 12, "elsewhere": 1, "unusable": 2}
    assert found["disagreements"] == [{"key": "ants/1.jpg", "true": "ants", "a": "bees", "b": "ants"}]
    assert found["verdict"] == verdict(FOUND)


def test_what_cannot_be_compared(cli, two):
    (a, b), _ = two
    assert "the same run" in cli("runs", "compare", a, a).err
    assert "There is no split 'train'" in cli("runs", "compare", a, b, "--on", "train").err
    assert cli("runs", "compare", a, "none").code == 2


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"only_first": 7, "only_second": 3}, "A is ahead on these 153 validation images by 2.6 points"),
        ({"only_first": 5, "only_second": 5}, "A and B are equally often right on these 153 validation images."),
        ({"only_first": 0, "only_second": 0}, "nothing tells them apart"),
        ({"p": 0.0001}, "by chance in fewer than 1 of 100 cases"),
        (
            {"both": 0, "only_first": 0, "only_second": 1, "neither": 0},
            "the one validation image that is left",
        ),
    ],
)
def test_the_sentence(changed, sentence):
    assert sentence in verdict(replace(FOUND, **changed))
