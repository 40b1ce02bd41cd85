"""TensorBoard reads the curves of a run as they were."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest

from tlstudio.api import EpochDone, Note, RunFinished, RunResumed, RunStarted, StepDone

_HERE = importlib.util.find_spec("tensorboard") is not None
needs_tensorboard = pytest.mark.skipif(not _HERE, reason="tensorboard is not installed")


def events():
    """Those of a short run, the third epoch of which diverges."""
    yield RunStarted(time=1.0, folder="x", config={"run": {"epochs": 3}}, epochs=3)
    yield Note(time=2.0, text="Chosen: the head.")
    for epoch in range(3):
        for step in (2 * epoch + 1, 2 * epoch + 2):
            yield StepDone(time=10.0 + step, epoch=epoch, step=step, steps=6, loss=1 / step, lr=0.1 * step,
                           images_per_s=100.0 + step)  # fmt: skip
        val = {"loss": float("nan") if epoch == 2 else 0.5 / (epoch + 1), "accuracy": 0.8 + 0.05 * epoch}
        yield EpochDone(time=20.0 + epoch, epoch=epoch, step=2 * epoch + 2, train={"loss": 0.3, "accuracy": 0.9}, val=val,
                        seconds=1.5, best=epoch == 1)  # fmt: skip
    yield RunFinished(time=40.0, outcome="completed", metrics={}, best_epoch=1, epochs=3, seconds=9.0, model="m")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


@needs_tensorboard
@pytest.mark.filterwarnings("default")  # the reader's own
def test_what_the_reader_of_tensorboard_finds_is_the_run(tmp_path):
    from tlstudio_tensorboard.files import EventFiles

    observer = EventFiles(tmp_path)
    told = list(events())
    for event in told:
        observer.on_event(event)
    observer.close()
    found = read(tmp_path / "tensorboard")
    steps = [event for event in told if isinstance(event, StepDone)]
    epochs = [event for event in told if isinstance(event, EpochDone)]
    wanted = {
        "step/loss": [(e.step, e.time, e.loss) for e in steps],
        "step/learning_rate": [(e.step, e.time, e.lr) for e in steps],
        "step/images_per_s": [(e.step, e.time, e.images_per_s) for e in steps],
        "epoch/number": [(e.step, e.time, e.epoch + 1) for e in epochs],
        "epoch/seconds": [(e.step, e.time, e.seconds) for e in epochs],
    }
    for split in ("train", "val"):
        for name in ("loss", "accuracy"):
            wanted[f"{split}/{name}"] = [(e.step, e.time, getattr(e, split)[name]) for e in epochs]
    assert set(found.Tags()["scalars"]) == set(wanted)
    for tag, points in wanted.items():
        np.testing.assert_allclose([(p.step, p.wall_time, p.value) for p in found.Scalars(tag)], points, rtol=1e-6)
    texts = {tag: found.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in found.Tags()["tensors"]}
    assert texts["notes"] == "Chosen: the head."
    assert texts["outcome"] == "completed"
    assert json.loads(texts["settings"]) == {"run": {"epochs": 3}}


@needs_tensorboard
@pytest.mark.filterwarnings("default")
def test_a_run_that_goes_on_has_no_step_twice(tmp_path):
    from tlstudio_tensorboard.files import EventFiles

    told = [event for event in events() if isinstance(event, StepDone)]
    for parts in (told[:4], [RunResumed(folder="x", epochs=3, epoch=1, step=2, exact=True), *told[2:]]):
        observer = EventFiles(tmp_path)
        for event in parts:
            observer.on_event(event)
        observer.close()
    assert [point.step for point in read(tmp_path / "tensorboard").Scalars("step/loss")] == [event.step for event in told]


@needs_tensorboard
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_program_writes_the_curves_of_a_run(photos, catalog, tmp_path):
    from training import run

    small = ("model.backbone=timm/tf_efficientnet_lite0", "data.image_size=32", "run.epochs=1", f"data.path={photos}")
    fresh = replace(catalog, observer_faults={})  # what has failed in another test's run hears nothing more in this process
    told = run(fresh, tmp_path, *small)
    assert not [event for event in told if isinstance(event, Note) and event.text.startswith("The observer")]
    [folder] = (tmp_path / "runs").iterdir()
    [done] = [event for event in told if isinstance(event, EpochDone)]
    [point] = read(folder / "tensorboard").Scalars("val/loss")
    assert point.value == pytest.approx(done.val["loss"])


def test_where_tensorboard_is_missing_it_says_what_to_install(monkeypatch):
    import tlstudio_tensorboard as plugin

    monkeypatch.setattr(plugin, "find_spec", lambda name: None)
    [spec] = plugin.register_observers()
    assert "pip install tensorboard" in spec.missing
    monkeypatch.setattr(plugin, "find_spec", lambda name: object())
    assert not plugin.register_observers()[0].missing


def test_listing_it_imports_nothing_of_tensorboard(list_plugin):
    assert not [name for name in list_plugin("tlstudio_tensorboard")["modules"] if name.startswith(("tensorboard", "google"))]
