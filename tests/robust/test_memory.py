"""Memory that does not suffice: fewer images at a time, and where that does not help, a run that can go on later."""

from __future__ import annotations

import pytest
import torch
from robust_runs import assert_same_run, folder_of, resume
from training import run

from tlstudio import faults
from tlstudio.engine import gradients
from tlstudio.engine.split import SplitModel
from tlstudio.runs.checkpoints import list_checkpoints, step_of

FULL = ("freezing.strategy=freezing/full", "optim.learning_rate=0.01", "run.batch_size=8", "run.plan=reference")


def notes(events):
    return [event.text for event in events if event.event == "Note" and "not enough memory" in event.text]


def test_a_gpu_without_memory_says_so_as_torch_does(tiny_catalog, photos, tmp_path):
    with faults.injected("step:CUDAOOM@5"):
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", *FULL)
    assert events[-1].outcome == "completed"
    assert "from step 5 on, a batch is learned from in 2 parts" in notes(events)[0]


@pytest.mark.parametrize(
    ("batch_size", "tries"), [(32, "run.batch_size=2 or data.image_size=32"), (3, "with data.image_size=32")]
)
def test_where_nothing_fits_the_run_is_saved_and_says_what_to_try(
    tiny_catalog, photos, tmp_path, monkeypatch, batch_size, tries
):
    settings = (f"data.path={photos}", "run.epochs=2", *FULL, f"run.batch_size={batch_size}", "data.image_size=64")
    whole = run(tiny_catalog, tmp_path, *settings)
    real, calls = gradients.seed_all, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(gradients, "seed_all", full)
        end = run(tiny_catalog, tmp_path, *settings)
    folder = folder_of(end)
    assert end[-1].event == "RunFailed"
    assert end[-1].exit_code == 2
    assert "not enough memory" in end[-1].error
    assert tries in end[-1].hint
    assert "go on with this run" in end[-1].hint
    assert end[-1].detail.startswith("CUDA out of memory")
    assert [step_of(saved) for saved in list_checkpoints(folder)] == [2]
    again = resume(tiny_catalog, tmp_path, folder)
    assert again[-1].outcome == "completed"
    if batch_size == 3:  # too few to be divided: nothing of it is left
        assert_same_run(folder_of(whole), folder)


@pytest.mark.parametrize("strategy", ["freezing/full", "freezing/head-only"])
@pytest.mark.parametrize("part", ["prefix", "suffix"])
def test_what_is_only_looked_at_is_looked_at_in_parts(tiny_catalog, photos, tmp_path, monkeypatch, strategy, part):
    """The validation images, and those that the frozen layers are run on once; with the same result."""
    settings = (f"data.path={photos}", "run.epochs=2", *FULL, f"freezing.strategy={strategy}", "augment.preset=none",
                "run.cache_gigabytes=0")  # fmt: skip
    whole = run(tiny_catalog, tmp_path, *settings)
    real = getattr(SplitModel, part)

    def tight(self, x):
        if len(x) > 8 and not (part == "prefix" and self.frozen == 0):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, x)

    monkeypatch.setattr(SplitModel, part, tight)
    events = run(tiny_catalog, tmp_path, *settings)
    assert events[-1].event == "RunFinished", events[-1]
    told = notes(events)
    assert len(told) == (0 if part == "prefix" and strategy == "freezing/full" else 1)
    assert all("in parts" in text for text in told)
    first, second = ([e.val["loss"] for e in kind if e.event == "EpochDone"] for kind in (whole, events))
    assert first == pytest.approx(second, rel=1e-4)
