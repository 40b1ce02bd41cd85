"""A run, from a configuration to a folder with its result, as a script sees it."""

from __future__ import annotations

import itertools
import json
import os
import threading

import numpy as np
import pytest
import torch
from conftest import make_photos
from robust_runs import folder_of, newest
from safetensors.torch import load_file
from training import run

from tlstudio.api import TRAIN
from tlstudio.api.config import DataConfig
from tlstudio.api.errors import ExitCode
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude, MoveToSplit, RenameClass
from tlstudio.engine import loop
from tlstudio.engine.control import Control
from tlstudio.engine.diverged import Watch
from tlstudio.engine.predict import load_model
from tlstudio.evaluation.report import evaluate_run
from tlstudio.runs.checkpoints import list_checkpoints, verify_checkpoint
from tlstudio.runs.replay import read_events
from tlstudio.runs.store import delete_run, find_run, list_runs


def kinds(events):
    return [event.event for event in events if event.event not in {"Note", "Progress", "StepDone", "CheckpointSaved"}]


def test_a_run_tells_its_story_in_order_and_leaves_a_model(tiny_catalog, photos, tmp_path):
    events = run(
        tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=3", "freezing.strategy=full", "optim.learning_rate=0.01"
    )
    assert kinds(events) == ["RunStarted", "Prepared", *["EpochStarted", "EpochDone"] * 3, "RunFinished"]
    finished = events[-1]
    assert finished.outcome == "completed"
    assert finished.metrics["val_accuracy"] >= 0.8
    folder = folder_of(events)
    assert {path.name for path in folder.iterdir()} >= {
        "run.json", "config.json", "split.json", "events.jsonl", "ckpt", "model.safetensors", "model.json",
    }  # fmt: skip
    recorded = [event for event in events if event.event != "Progress"]
    assert list(read_events(folder)) == recorded


def test_a_run_trains_on_what_the_user_made_of_the_images(tiny_catalog, photos, tmp_path):
    data = DataConfig(path=str(photos))
    curation = Curation(tiny_catalog.open_images(data), data, tmp_path)
    keys = [key for key, split in zip(curation.original.keys, curation.table.splits, strict=True) if split == TRAIN]
    first, second = curation.original.classes[:2]
    curation.add(Exclude(keys=(keys[0],)))
    curation.add(MoveToSplit(keys=(keys[1],), split="val"))
    curation.add(RenameClass(old=first, new="renamed"))
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1")
    kept = json.loads((folder_of(events) / "split.json").read_text())
    assert keys[0] not in kept["train"] + kept["val"]
    assert keys[1] in kept["val"]
    assert kept["classes"][:2] == ["renamed", second]
    assert (folder_of(events) / "edits.jsonl").read_text().count("\n") == 3
    assert any("left out, as you decided" in event.text for event in events if event.event == "Note")
    report = evaluate_run(folder_of(events), tiny_catalog, tmp_path)
    assert report.classes[0] == "renamed"
    assert len(report.indices) == len(kept["val"])


def test_another_seed_of_the_run_does_not_change_who_measures(tiny_catalog, photos, tmp_path):
    kept = []
    for seed in (0, 1):
        events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", f"run.seed={seed}", "data.split=stratified")
        kept.append(json.loads((folder_of(events) / "split.json").read_text())["val"])
    assert kept[0] == kept[1]


def test_the_numbers_of_the_last_event_are_those_of_the_saved_model(tiny_catalog, photos, tmp_path):
    events = run(
        tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=4", "freezing.strategy=full", "optim.learning_rate=0.01"
    )
    report = evaluate_run(folder_of(events), tiny_catalog, tmp_path)
    assert report.split == "val"
    assert report.accuracy == pytest.approx(events[-1].metrics["val_accuracy"])
    assert report.loss == pytest.approx(events[-1].metrics["val_loss"], rel=1e-3)
    assert report.confusion.sum() == len(report.labels) == 10
    assert len(report.errors) == round((1 - report.accuracy) * 10)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_catalog, photos, tmp_path):
    def weights(seed):
        events = run(
            tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=full", f"run.seed={seed}"
        )
        return load_file(folder_of(events) / "model.safetensors")

    first, second, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_foreign_draw_from_torch_does_not_change_the_run(tiny_catalog, photos, tmp_path):
    def weights(on_event):
        settings = (f"data.path={photos}", "run.epochs=2", "freezing.strategy=full")
        return load_file(folder_of(run(tiny_catalog, tmp_path, *settings, on_event=on_event)) / "model.safetensors")

    calm, disturbed = weights(None), weights(lambda _: torch.rand(3))
    assert all(torch.equal(calm[name], disturbed[name]) for name in calm)


def test_head_only_with_the_cache_equals_head_only_without(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "run.epochs=3", "freezing.strategy=head-only")
    cached = run(tiny_catalog, tmp_path, *settings)
    plain = run(tiny_catalog, tmp_path, *settings, "run.cache=off")
    assert [event.cached for event in cached if event.event == "EpochStarted"] == [True] * 3
    assert [event.cached for event in plain if event.event == "EpochStarted"] == [False] * 3
    losses = [[event.val["loss"] for event in events if event.event == "EpochDone"] for events in (cached, plain)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_augmented_views_are_cached_and_come_round_again(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "run.epochs=5", "freezing.strategy=last-stages", "augment.views=2")
    events = run(tiny_catalog, tmp_path, *settings)
    filled = [event for event in events if event.event == "Progress" and event.task == "Running the frozen layers"]
    starts = [i for i, event in enumerate(events) if event.event == "EpochStarted"]
    after_second_epoch = [event for event in events[starts[2] :] if event in filled]
    assert events[-1].outcome == "completed"
    assert filled
    assert not after_second_epoch


def test_stop_keeps_the_best_model(tiny_catalog, photos, tmp_path):
    control = Control()
    events = run(
        tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=50", control=control,
        on_event=lambda event: control.stop() if event.event == "EpochDone" and event.epoch == 1 else None,
    )  # fmt: skip
    assert events[-1].outcome == "stopped"
    assert events[-1].epochs <= 3
    assert load_model(folder_of(events), tiny_catalog).classes == ("circles", "stripes")


def test_cancel_keeps_no_model(tiny_catalog, photos, tmp_path):
    control = Control()
    events = run(
        tiny_catalog, tmp_path, f"data.path={photos}", control=control,
        on_event=lambda event: control.cancel() if event.event == "EpochStarted" else None,
    )  # fmt: skip
    assert events[-1].outcome == "cancelled"
    assert not (folder_of(events) / "model.safetensors").exists()
    assert list_runs(tmp_path)[0].status == "cancelled"


def test_stop_before_the_first_epoch_says_that_there_is_nothing_to_keep(tiny_catalog, photos, tmp_path):
    control = Control()
    events = run(
        tiny_catalog, tmp_path, f"data.path={photos}", control=control,
        on_event=lambda event: control.stop() if event.event == "Progress" and event.task.startswith("Running") else None,
    )  # fmt: skip
    assert events[-1].outcome == "cancelled"
    assert any("no model to keep" in event.text for event in events if event.event == "Note")


def test_steps_are_reported_at_most_twenty_times_a_second(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=150", "run.batch_size=2")
    times = [event.time for event in events if event.event == "StepDone"]
    assert len(times) > 1
    assert all(later - earlier > 0.045 for earlier, later in itertools.pairwise(times))


def test_pause_holds_the_run_until_it_is_resumed(tiny_catalog, photos, tmp_path):
    """Another thread presses resume; in between, not one step is taken."""
    control = Control()
    seen = []

    def pause(event):
        if event.event == "EpochDone" and event.epoch == 0:
            control.pause()
            threading.Timer(0.3, lambda: (seen.append("resumed"), control.resume())).start()
        elif event.event == "EpochDone" and event.epoch == 1:
            seen.append("second epoch")

    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", control=control, on_event=pause)
    assert seen == ["resumed", "second epoch"]
    assert events[-1].outcome == "completed"


def test_cancel_while_reading_images(tiny_catalog, photos, tmp_path):
    control = Control()
    control.cancel()
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", control=control)
    assert events[-1].event == "RunFinished"
    assert events[-1].outcome == "cancelled"


def test_patience_ends_a_run_that_no_longer_improves(tiny_catalog, photos, tmp_path):
    settings = (
        f"data.path={photos}",
        "run.epochs=200",
        "run.patience=2",
        "optim.learning_rate=1e-9",
        "optim.schedule=constant",
    )
    events = run(tiny_catalog, tmp_path, *settings)
    assert events[-1].outcome == "completed"
    assert events[-1].epochs < 200
    assert any("Stopped early" in event.text for event in events if event.event == "Note")


def test_divergence_ends_with_exit_code_5_and_the_last_finite_numbers(tiny_catalog, photos, tmp_path):
    settings = (f"data.path={photos}", "freezing.strategy=full", "optim.optimizer=sgd", "optim.learning_rate=10")
    settings += ("optim.schedule=constant", "freezing.options.stage_factor=10", "optim.weight_decay=1", "run.batch_size=1")
    events = run(tiny_catalog, tmp_path, *settings, "run.epochs=60")
    assert events[-1].event == "RunFailed"
    assert events[-1].exit_code == ExitCode.DIVERGED
    assert "learning rate" in events[-1].hint


def test_the_best_epoch_before_a_divergence_is_kept_and_finite(tiny_catalog, photos, tmp_path):
    from dataclasses import replace

    from tlstudio.api import FreezePlan, FreezingSpec

    def plan(context):
        factor = 0.1 if context.epoch == 0 else 1e30
        return FreezePlan(lr={stage.name: factor for stage in context.stages})

    spec = FreezingSpec(name="wild", title="", about="", plan=plan)
    catalog = replace(tiny_catalog, strategies={**tiny_catalog.strategies, "bad/wild": spec})
    events = run(catalog, tmp_path, f"data.path={photos}", "freezing.strategy=bad/wild", "optim.optimizer=sgd")
    assert events[-1].event == "RunFailed"
    assert events[-1].exit_code == ExitCode.DIVERGED
    assert [event.epoch for event in events if event.event == "EpochDone" and event.best] == [0]
    kept = load_file(folder_of(events) / "model.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_a_divergence_names_the_step_that_began_it_and_its_images(tiny_catalog, photos, tmp_path, monkeypatch):
    real, named = Watch.add, []

    def add(self, loss):
        if self._run.step + 1 == 7:
            named.extend(self._run.images.keys[row] for row in self._batches[self._run.batch])
        real(self, loss * float("nan") if self._run.step + 1 == 7 else loss)

    monkeypatch.setattr(Watch, "add", add)
    monkeypatch.setattr(loop, "_REPORT_SECONDS", 60.0)  # it is noticed at the end of the epoch, three steps later
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=3", "run.batch_size=8", "freezing.strategy=full",
                 "optim.learning_rate=0.02", "optim.schedule=constant")  # fmt: skip
    end = events[-1]
    assert "diverged at step 7" in end.error
    assert "Epoch 2, learning rate 0.02, length of the gradient in step 10: " in end.detail
    assert len(named) == 8
    assert f"The images of that step: {', '.join(named)}." in end.detail
    assert "The best epoch (1) is kept." in end.detail
    assert "optim.learning_rate=0.002" in end.hint


def test_a_fault_in_a_plugin_ends_the_run_with_its_traceback_and_keeps_the_best_epoch(tiny_catalog, photos, tmp_path):
    from dataclasses import replace

    from tlstudio.api import FreezePlan, FreezingSpec

    def plan(context):
        if context.epoch == 2:
            raise RuntimeError("my plugin is broken")
        return FreezePlan()

    catalog = replace(
        tiny_catalog, strategies={**tiny_catalog.strategies, "bad/odd": FreezingSpec(name="odd", title="", about="", plan=plan)}
    )
    events = run(catalog, tmp_path, f"data.path={photos}", "freezing.strategy=bad/odd")
    assert events[-1].event == "RunFailed"
    assert "my plugin is broken" in events[-1].error
    assert "Traceback" in events[-1].detail
    assert load_model(folder_of(events), catalog).classes == ("circles", "stripes")


def test_unreadable_images_are_listed_and_left_out(tiny_catalog, photos, tmp_path):
    (photos / "circles" / "empty.jpg").write_bytes(b"")
    (photos / "circles" / "text.png").write_text("no image")
    whole = (photos / "stripes" / "000.png").read_bytes()
    (photos / "stripes" / "cut.png").write_bytes(whole[: len(whole) // 2])
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1")
    prepared = next(event for event in events if event.event == "Prepared")
    assert set(prepared.excluded) == {"circles/empty.jpg", "circles/text.png", "stripes/cut.png"}
    assert sum(prepared.images.values()) == 48
    assert events[-1].outcome == "completed"
    split = json.loads((folder_of(events) / "split.json").read_bytes())
    assert "circles/empty.jpg" not in split["train"] + split["val"]


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="only Linux allows such names")
def test_names_of_any_bytes_train_and_are_shown_escaped(tiny_catalog, photos, tmp_path):
    whole = (photos / "circles" / "000.png").read_bytes()
    for name, data in ((b"\xff\xfe good.png", whole), (b"\xff bad.png", b"no image"), ("ünï 图.png".encode(), whole)):
        with open(os.path.join(os.fsencode(photos / "circles"), name), "wb") as file:
            file.write(data)
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1")
    prepared = next(event for event in events if event.event == "Prepared")
    assert sum(prepared.images.values()) == 50
    assert list(prepared.excluded) == ["circles/\\xff bad.png"]
    assert events[-1].outcome == "completed"
    assert evaluate_run(folder_of(events), tiny_catalog, tmp_path, split="train").labels.size == prepared.images["train"]


def test_no_readable_image_at_all(tiny_catalog, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "x.jpg").write_bytes(b"nothing")
    events = run(tiny_catalog, tmp_path, f"data.path={tmp_path / 'bad'}")
    assert events[-1].event == "RunFailed"
    assert events[-1].exit_code == ExitCode.DATA


@pytest.mark.parametrize("kept", [True, False])
def test_images_that_vanish_during_the_run_are_kept_or_else_many_of_them_end_it(tiny_catalog, tmp_path, monkeypatch, kept):
    folder = make_photos(tmp_path / "data", {"a": 40, "b": 40})

    def lose(event):
        if event.event == "EpochDone" and event.epoch == 0:
            for path in sorted(folder.rglob("*.png"))[:60]:
                path.unlink()

    monkeypatch.setattr("tlstudio.engine.loader._MEMORY_BUDGET", 0)
    settings = (f"data.path={folder}", "freezing.strategy=full", "run.epochs=3", f"run.cache_gigabytes={1 if kept else 0}")
    events = run(tiny_catalog, tmp_path, *settings, on_event=lose)
    if kept:
        assert events[-1].outcome == "completed"
    else:
        assert events[-1].event == "RunFailed"
        assert "no longer be read" in events[-1].error


def test_a_class_missing_from_validation_keeps_its_index(tiny_catalog, tmp_path):
    for split, counts in {"train": {"a": 6, "b": 6, "c": 6}, "val": {"a": 3, "c": 3}}.items():
        make_photos(tmp_path / "data" / split, counts)
    events = run(tiny_catalog, tmp_path, f"data.path={tmp_path / 'data'}", "run.epochs=1")
    prepared = next(event for event in events if event.event == "Prepared")
    assert prepared.classes == ("a", "b", "c")
    assert any("No validation images of: b" in event.text for event in events if event.event == "Note")
    report = evaluate_run(folder_of(events), tiny_catalog, tmp_path)
    assert [item.support for item in report.per_class] == [3, 0, 3]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX")
def test_a_workspace_that_is_a_file_fails_with_words(tiny_catalog, photos, tmp_path):
    (tmp_path / "file").write_text("")
    events = run(tiny_catalog, tmp_path / "file", f"data.path={photos}")
    assert [event.event for event in events] == ["RunFailed"]


def test_every_checkpoint_verifies_and_loads_without_pickle_and_a_flipped_bit_is_seen(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=full")
    folder = folder_of(events)
    saved = list_checkpoints(folder)
    assert saved
    assert all(verify_checkpoint(path) for path in saved)
    state, meta = newest(folder)
    assert state["step"] == meta["step"]
    data = bytearray((saved[-1] / "state.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (saved[-1] / "state.pt").write_bytes(data)
    assert not verify_checkpoint(saved[-1])


def test_runs_are_found_by_the_beginning_of_their_id_and_deleted_to_the_trash(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=1", "run.name=mine")
    info = find_run(tmp_path, events[-1].run[:6])
    assert info is not None
    assert (info.status, info.name, info.metrics["val_accuracy"]) == ("completed", "mine", events[-1].metrics["val_accuracy"])
    where = delete_run(tmp_path, info)
    assert (where / "model.safetensors").is_file()
    assert list_runs(tmp_path) == []


def test_a_run_without_an_end_is_interrupted_and_a_torn_line_is_passed_over(tiny_catalog, photos, tmp_path):
    events = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2")
    folder = folder_of(events)
    lines = (folder / "events.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "events.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    os.utime(folder / "run.json", (1, 1))
    assert list_runs(tmp_path)[0].status == "interrupted"


def test_a_run_gives_the_weights_of_the_next(tiny_catalog, photos, tmp_path):
    first = run(tiny_catalog, tmp_path, f"data.path={photos}", "run.epochs=2", "freezing.strategy=full")
    more = make_photos(tmp_path / "three", {"a": 8, "b": 8, "c": 8})
    second = run(tiny_catalog, tmp_path, f"data.path={more}", "run.epochs=1", f"model.weights={first[-1].run}")
    prepared = next(event for event in second if event.event == "Prepared")
    assert prepared.weights == f"run {first[-1].run}"
    before = load_file(folder_of(first) / "model.safetensors")
    after = load_file(folder_of(second) / "model.safetensors")
    assert torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert after["fc.weight"].shape[0] == 3
