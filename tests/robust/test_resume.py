"""A run that was broken off at any step goes on and ends as it would have ended, to the last bit."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine.conftest import build_tiny
from robust_runs import assert_same_run, folder_of, resume, steps
from torch import nn
from training import OPTIMIZERS, run

from tlstudio import faults
from tlstudio.engine import loop
from tlstudio.engine.control import Control

KINDS = {
    "head-only, cached features": ("freezing.strategy=freezing/head-only",),
    "head-only, cached views": ("freezing.strategy=freezing/head-only", "augment.preset=light", "augment.views=2"),
    "full": ("freezing.strategy=freezing/full", "optim.learning_rate=0.01"),
    "gradual": ("freezing.strategy=freezing/gradual", "optim.learning_rate=0.01"),
    "thawed and frozen again": ("freezing.strategy=freezing/thaw", "optim.learning_rate=0.01", "optim.ema_decay=0.9"),
    "averaged and accumulated": ("freezing.strategy=freezing/full", "optim.ema_decay=0.9", "optim.accumulate=3"),
    "lora": ("freezing.strategy=freezing/lora", "freezing.options.rank=1", "optim.learning_rate=0.01"),
    "mixup": ("freezing.strategy=freezing/full", "augment.mixup=0.4", "augment.cutmix=1"),
    "l2-sp": ("freezing.strategy=freezing/l2-sp", "optim.schedule=plateau", "optim.plateau_patience=1", "run.patience=6"),
    "balanced": ("freezing.strategy=freezing/full", "optim.balance=sampling", "optim.schedule=one_cycle"),
}
USUAL = ("run.epochs=4", "run.batch_size=8")  # 38 training images: five batches an epoch


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_SECONDS", 0.0)


def stopped_at(step, catalog, workspace, *settings, monkeypatch):
    """The events of a run that the user stops during this optimiser step."""
    control, taken = Control(), []
    real = loop.take_step

    def counted(*arguments, **named):
        real(*arguments, **named)
        taken.append(step)
        if len(taken) == step:
            control.stop()

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", counted)
        events = run(catalog, workspace, *settings, control=control)
    assert len(taken) == step
    return events


@pytest.mark.parametrize("kind", KINDS)
def test_from_any_step_it_ends_as_if_nothing_had_been(gradual_catalog, photos, tmp_path, monkeypatch, kind):
    settings = (f"data.path={photos}", *USUAL, *KINDS[kind])
    whole = run(gradual_catalog, tmp_path, *settings)
    assert whole[-1].event == "RunFinished", whole[-1]
    each = whole[-1].epochs and max(steps(folder_of(whole))) // whole[-1].epochs
    for step in (1, each, each + 1, 2 * each - 1, 3 * each):
        broken = stopped_at(step, gradual_catalog, tmp_path, *settings, monkeypatch=monkeypatch)
        folder = folder_of(broken)
        again = resume(gradual_catalog, tmp_path, folder, on_event=lambda _: torch.rand(3))
        assert again[-1].event == "RunFinished", again[-1]
        resumed = next(event for event in again if event.event == "RunResumed")
        assert (resumed.step, resumed.exact, resumed.why) == (step, True, "")
        assert_same_run(folder_of(whole), folder)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimiser_goes_on(tiny_catalog, photos, tmp_path, monkeypatch, optimizer):
    settings = (f"data.path={photos}", "run.epochs=2", "run.batch_size=8", "freezing.strategy=freezing/full")
    settings += (f"optim.optimizer={optimizer}",)
    whole = run(tiny_catalog, tmp_path, *settings)
    broken = stopped_at(7, tiny_catalog, tmp_path, *settings, monkeypatch=monkeypatch)
    resume(tiny_catalog, tmp_path, folder_of(broken))
    assert_same_run(folder_of(whole), folder_of(broken))


@pytest.mark.parametrize("threads", [(1, 5), (5, 1)])
def test_how_many_threads_read_images_changes_nothing(tiny_catalog, photos, tmp_path, monkeypatch, threads):
    settings = (f"data.path={photos}", *USUAL, *KINDS["full"], "augment.preset=strong")
    whole = run(tiny_catalog, tmp_path, *settings)
    before, after = threads
    monkeypatch.setattr("tlstudio.engine.loader.os.cpu_count", lambda: before)
    broken = stopped_at(7, tiny_catalog, tmp_path, *settings, monkeypatch=monkeypatch)
    monkeypatch.setattr("tlstudio.engine.loader.os.cpu_count", lambda: after)
    resume(tiny_catalog, tmp_path, folder_of(broken))
    assert_same_run(folder_of(whole), folder_of(broken))


class Shaken(nn.Module):
    """A plugin's layer that draws from generators that everybody shares."""

    def forward(self, x):
        return x * (1.0 + 0.2 * random.random() + 0.2 * np.random.random()) if self.training else x


def build_shaken(num_classes):
    backbone = build_tiny(num_classes)
    backbone.module.dropout = backbone.head[2] = Shaken()
    return backbone


def test_a_plugin_may_draw_from_the_generators_that_all_share(tiny_catalog, photos, tmp_path, monkeypatch):
    spec = replace(tiny_catalog.backbones["test/tiny"], build=build_shaken)
    catalog = replace(tiny_catalog, backbones={**tiny_catalog.backbones, "test/tiny": spec})
    settings = (f"data.path={photos}", *USUAL, *KINDS["full"])
    whole = run(catalog, tmp_path, *settings)
    broken = stopped_at(7, catalog, tmp_path, *settings, monkeypatch=monkeypatch)
    again = resume(catalog, tmp_path, folder_of(broken), on_event=lambda _: (random.random(), np.random.random()))
    assert again[-1].event == "RunFinished", again[-1]
    assert_same_run(folder_of(whole), folder_of(broken))


def test_broken_off_twice(tiny_catalog, photos, tmp_path, monkeypatch):
    settings = (f"data.path={photos}", *USUAL, *KINDS["full"])
    whole = run(tiny_catalog, tmp_path, *settings)
    folder = folder_of(stopped_at(3, tiny_catalog, tmp_path, *settings, monkeypatch=monkeypatch))
    control = Control()
    resume(tiny_catalog, tmp_path, folder, control=control,
           on_event=lambda event: control.stop() if event.event == "StepDone" and event.step == 12 else None)  # fmt: skip
    again = resume(tiny_catalog, tmp_path, folder)
    assert next(event.step for event in again if event.event == "RunResumed") == 12
    assert_same_run(folder_of(whole), folder)


@pytest.mark.parametrize("kind", ["full", "mixup", "l2-sp"])
def test_a_step_that_finds_no_memory_is_taken_in_parts(tiny_catalog, photos, tmp_path, kind):
    settings = (f"data.path={photos}", *USUAL, *KINDS[kind], "run.epochs=2", "optim.schedule=constant")
    whole = run(tiny_catalog, tmp_path, *settings)
    with faults.injected("step:MemoryError@3"):
        parts = run(tiny_catalog, tmp_path, *settings)
    assert parts[-1].event == "RunFinished", parts[-1]
    notes = [event.text for event in parts if event.event == "Note" and "not enough memory" in event.text]
    assert len(notes) == 1
    assert "from step 3 on" in notes[0]
    assert "A batch size of 4 fits" in notes[0]
    first, second = steps(folder_of(whole)), steps(folder_of(parts))
    assert first[2] == second[2]
    assert second[3]["loss"] == pytest.approx(first[3]["loss"], rel=0.2)


def test_no_memory_for_even_the_smallest_part_ends_with_words(tiny_catalog, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("tlstudio.engine.gradients.seed_all", _no_memory)
    end = run(tiny_catalog, tmp_path, f"data.path={photos}", *USUAL)[-1]
    assert "not enough memory" in end.error


def _no_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory")
