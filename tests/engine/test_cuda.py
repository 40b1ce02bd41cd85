"""The same runs on a GPU: these tests are for machines that have one of NVIDIA's, and are skipped elsewhere."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from robust_runs import assert_same_weights
from training import OPTIMIZERS, run

from tlstudio import paths
from tlstudio.engine.control import Control
from tlstudio.engine.run import resume_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU of NVIDIA's here")


def losses(events):
    assert events[-1].event == "RunFinished", events[-1]
    return np.array([(event.train["loss"], event.val["loss"]) for event in events if event.event == "EpochDone"])


def prepared(events):
    return next(event for event in events if event.event == "Prepared")


def spoken(events):
    return " ".join(event.text for event in events if event.event == "Note")


@pytest.fixture
def settings(photos):
    return (f"data.path={photos}", "run.epochs=3", "optim.learning_rate=0.01", "augment.preset=light")


@pytest.mark.parametrize("strategy", ["head-only", "last-stages", "gradual", "full"])
def test_float32_on_the_gpu_learns_what_the_cpu_learns(gradual_catalog, settings, tmp_path, strategy):
    common = (*settings, f"freezing.strategy={strategy}", "run.precision=float32", "run.tf32=false")
    on_cpu, on_gpu = (losses(run(gradual_catalog, tmp_path, *common, f"run.device={device}")) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu[0], on_cpu[0], rtol=0.05)  # dropout is drawn by another generator
    assert on_gpu[-1, 1] < on_gpu[0, 1]


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float16", "float32"])
@pytest.mark.parametrize("strategy", ["head-only", "last-stages", "full"])
def test_every_precision_learns(tiny_catalog, settings, tmp_path, precision, strategy):
    events = run(tiny_catalog, tmp_path, *settings, f"run.precision={precision}", f"freezing.strategy={strategy}")
    found = losses(events)
    assert np.isfinite(found).all()
    assert found[-1, 1] < found[0, 1]
    assert torch.cuda.get_device_name(0) in prepared(events).device


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_all_that_optimises_works_together(tiny_catalog, settings, tmp_path, precision, optimizer):
    events = run(tiny_catalog, tmp_path, *settings, f"run.precision={precision}", "freezing.strategy=full", "run.batch_size=8",
                 f"optim.optimizer={optimizer}", "optim.accumulate=2", "optim.clip_norm=1", "optim.ema_decay=0.9",
                 "optim.balance=weights", "augment.mixup=0.2", "augment.cutmix=1", "augment.policy=trivial")  # fmt: skip
    assert np.isfinite(losses(events)).all()


@pytest.mark.parametrize("strategy", ["head-only", "last-stages", "gradual"])
def test_kept_features_give_the_same_losses(gradual_catalog, settings, tmp_path, strategy):
    common = (*settings, f"freezing.strategy={strategy}", "run.precision=float32", "run.tf32=false", "augment.views=4")
    plain, memory, disk, again = (
        losses(run(gradual_catalog, tmp_path, *common, f"run.cache={cache}")) for cache in ("off", "memory", "disk", "disk")
    )
    for kept in (memory, disk, again):
        np.testing.assert_allclose(kept, plain, rtol=1e-3, atol=1e-5)


def test_the_plan_is_measured_kept_and_told(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "run.epochs=600", "freezing.strategy=full", "augment.preset=none")

    def first_epoch():
        from tlstudio.engine.control import Control

        control = Control()
        return run(tiny_catalog, tmp_path, *settings, control=control,
                   on_event=lambda event: control.stop() if event.event == "StepDone" else None)  # fmt: skip

    first, second = first_epoch(), first_epoch()
    assert "images/s" in spoken(first)
    assert spoken(first) == spoken(second)
    assert len(list((paths.cache() / "plans").iterdir())) == 1


def test_a_batch_too_large_is_told_and_the_next_run_has_the_memory_again(tiny_catalog, settings, tmp_path):
    def trained(size):
        return run(tiny_catalog, tmp_path, *settings, "freezing.strategy=full", f"data.image_size={size}",
                   "run.batch_size=32", "run.precision=float32", "run.plan=reference")[-1]  # fmt: skip

    assert trained(64).event == "RunFinished"
    with _memory_of(300 * 2**20):
        failed = trained(1024)
        assert failed.event == "RunFailed"
        assert "memory" in failed.error
        assert "smaller batch" in failed.hint
        assert trained(64).event == "RunFinished"


def test_the_settings_of_torch_are_as_before(tiny_catalog, settings, tmp_path):
    def now():
        return (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision())

    before = now()
    run(tiny_catalog, tmp_path, *settings)
    assert now() == before


@contextlib.contextmanager
def _memory_of(size):
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.get_device_properties(0).total_memory)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_deterministic_run_goes_on_to_the_last_bit(tiny_catalog, settings, tmp_path):
    control = Control()
    common = (
        *settings,
        "freezing.strategy=full",
        "run.device=cuda",
        "run.deterministic=true",
        "run.checkpoint_minutes=0.000001",
    )
    whole = Path(run(tiny_catalog, tmp_path, *common)[0].folder)

    def stop(event):
        if event.event == "CheckpointSaved" and event.step == 3:
            control.stop()

    folder = Path(run(tiny_catalog, tmp_path, *common, control=control, on_event=stop)[0].folder)
    events = list(resume_run(folder, tiny_catalog, tmp_path, Control()))
    resumed = next(event for event in events if event.event == "RunResumed")
    assert (resumed.step, resumed.exact, resumed.why) == (3, True, "")
    assert_same_weights(folder, whole)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_goes_on_on_the_gpu(gradual_catalog, settings, tmp_path):
    """From a checkpoint within an epoch; it says that a GPU gives no promise to the last bit."""
    control = Control()
    common = (*settings, "freezing.strategy=full", "run.device=cuda", "optim.ema_decay=0.9", "run.checkpoint_minutes=0.000001")
    whole = losses(run(gradual_catalog, tmp_path, *common))

    def stop(event):
        if event.event == "CheckpointSaved" and event.step == 3:
            control.stop()

    broken = run(gradual_catalog, tmp_path, *common, control=control, on_event=stop)
    folder = Path(broken[0].folder)
    events = list(resume_run(folder, gradual_catalog, tmp_path, Control()))
    resumed = next(event for event in events if event.event == "RunResumed")
    assert (resumed.step, resumed.exact) == (3, False)
    assert "GPU" in resumed.why
    np.testing.assert_allclose(losses(events), whole[-len(losses(events)) :], rtol=0.05)
