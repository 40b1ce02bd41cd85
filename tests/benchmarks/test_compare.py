"""The comparison keeps up with the program: its commands are valid, and its page says what the figures say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlstudio.api.config import SAMPLE_DATASET, TrainConfig, with_overrides


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def settings(tmp_path):
    from jobs import Settings

    return Settings(data=tmp_path / "photos", weights=tmp_path / "lite0.pth", epochs=5, cifar=tmp_path / "cifar-60000")


def test_every_command_is_one_that_its_program_takes(settings, tlstudio_home):
    from jobs import HERE, JOBS

    from tlstudio.registry import load_catalog

    catalog, sample = load_catalog(), f"data.dataset={SAMPLE_DATASET}"
    for job in JOBS.values():
        for contestant in job.contestants(settings):
            words = [word.replace("{seed}", "0") for word in contestant.command]
            if words[0] == "-m":
                overrides = [word for word in words[4:] if not word.startswith("-")]
                catalog.resolve(with_overrides(TrainConfig(), [sample, *overrides]), workspace=tlstudio_home)
            else:
                assert (HERE / words[0]).is_file()


def test_a_page_has_the_medians_and_scales_what_was_run_in_part(settings, tmp_path):
    from jobs import JOBS
    from measure import Measured
    from report import page
    from results import Results

    results = Results(tmp_path / "results.json")
    for contestant in JOBS["cifar"].contestants(settings):
        for number, wall in enumerate((110.0, 130.0, 120.0)):
            measured = Measured(wall=wall, first=wall, seconds=[100.0], accuracies=[0.9], peak_mib=1000.0)
            results.add(JOBS["cifar"], contestant, number, measured)
    text = page(Results(tmp_path / "results.json"), picture=False)
    assert "| tutorial loop, scaled | 5,020 s | 1.0 |" in text  # 20 s of start and 5 epochs of ten times 100 s
    assert "| tlstudio | 120 s | 41.8 |" in text
    assert "tlstudio train cifar-60000 freezing.strategy=freezing/head-only" in text


def test_a_round_that_was_measured_with_another_command_is_measured_again(settings, tmp_path):
    from dataclasses import replace

    from jobs import JOBS
    from measure import Measured
    from results import Results

    results = Results(tmp_path / "results.json")
    job = JOBS["last-stage"]
    contestant = job.contestants(settings)[0]
    results.add(job, contestant, 0, Measured(wall=1.0, seconds=[1.0]))
    assert results.find(job, contestant, 0)
    assert not results.find(job, contestant, 1)
    shorter = job.contestants(replace(settings, epochs=1))[0]
    assert not results.find(job, shorter, 0)
    results.add(job, shorter, 1, Measured(wall=1.0, seconds=[1.0]))
    assert [record["round"] for record in results.of(job.name, shorter.name)] == [1]
