"""A run that goes on in the window looks as one that was never broken off; finished ones are extended, others continued."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
from engine.conftest import _one_thread, gradual_catalog, tiny, tiny_catalog  # noqa: F401 - fixtures
from PySide6.QtWidgets import QFileDialog
from robust_runs import assert_same_run, folder_of
from training import run

from tlstudio.api.config import DataConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import RunFailed, RunFinished, RunPaused, RunResumed, RunStarted
from tlstudio.engine import loop
from tlstudio.engine.control import Control
from tlstudio.engine.keep import keep_model
from tlstudio.gui.context import AppContext, GoOn
from tlstudio.gui.pages.extend_dialog import ExtendDialog
from tlstudio.gui.pages.runs import RunsPage
from tlstudio.gui.pages.train import TrainPage
from tlstudio.gui.pages.train_progress import RunProgress
from tlstudio.gui.pages.train_told import told_anew
from tlstudio.gui.widgets.curve_data import CurveData
from tlstudio.runs.checkpoints import list_checkpoints
from tlstudio.runs.replay import read_events
from tlstudio.runs.standing import broken_off, standing_of
from tlstudio.runs.store import list_runs, read_run

SETTINGS = ("run.epochs=4", "run.batch_size=8", "freezing.strategy=freezing/gradual", "optim.learning_rate=0.01")


@pytest.fixture(autouse=True)
def _every_step_is_told(monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_SECONDS", 0.0)


@pytest.fixture
def context(home, gradual_catalog):  # noqa: F811
    context = AppContext(home / "workspace")
    context.set_catalog(gradual_catalog)
    return context


@pytest.fixture
def page(qtbot, context, photos):
    page = TrainPage(context)
    qtbot.addWidget(page, before_close_func=lambda page: page.shut_down())
    page.set_data(DataConfig(path=str(photos)))
    return page


def whole_run(context, photos, tmp_path, *more):
    """The folder of a run that nothing disturbs."""
    return folder_of(run(context.catalog, tmp_path / "whole", f"data.path={photos}", *SETTINGS, *more))


def left_after(step, context, photos, *more):
    """A run in the workspace that was left after this step."""
    control = Control()
    events = run(
        context.catalog, context.workspace, f"data.path={photos}", *SETTINGS, *more, control=control,
        on_event=lambda event: control.leave() if event.event == "StepDone" and event.step == step else None,
    )  # fmt: skip
    return read_run(folder_of(events))


def broken_off_after(step, context, photos):
    """The same, but killed: nobody has kept its model or told its end."""
    broken = left_after(step, context, photos)
    events = broken.folder / "events.jsonl"
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:-1]))
    os.utime(broken.folder / "run.json", (broken.created, broken.created - 3600))
    for name in ("model.safetensors", "model.json"):
        (broken.folder / name).unlink()
    return read_run(broken.folder)


def curves_of(folder):
    return CurveData().feed_all(read_events(folder))


def assert_same_curves(one, other):
    for mine, its in zip(one.steps, other.steps, strict=True):
        np.testing.assert_array_equal(mine, its)
    np.testing.assert_array_equal(one.epoch_positions, other.epoch_positions)
    for split in ("train", "val"):
        for name in ("loss", "accuracy"):
            np.testing.assert_array_equal(one.metric(split, name), other.metric(split, name))
    assert (one.best_epoch, one.best(), one.epochs) == (other.best_epoch, other.best(), other.epochs)
    assert one.frozen_until == other.frozen_until


def go_on(qtbot, page, info, epochs=None):
    with qtbot.waitSignal(page.run_ended, timeout=60_000) as ended:
        assert page.go_on(GoOn(run=info, epochs=epochs))
    return ended.args[0]


@pytest.mark.parametrize("step", [2, 5, 13])
def test_the_curves_of_a_resumed_run_have_no_seam(qtbot, page, context, photos, tmp_path, step):
    whole = whole_run(context, photos, tmp_path)
    info = left_after(step, context, photos)
    at_start = []

    def look(event):
        if isinstance(event, RunStarted | RunResumed):
            at_start.append((len(page.curves.data.steps[0]), page.monitor.progress.epochs_done))

    context.run_event.connect(look)
    end = go_on(qtbot, page, info)
    assert (end.outcome, end.epochs) == ("completed", 4)
    assert at_start == [(step, (step - 1) // 5)] * 2, "what was before is there before the run goes on"
    assert_same_curves(page.curves.data, curves_of(whole))
    assert_same_run(whole, info.folder)
    assert_same_curves(curves_of(info.folder), curves_of(whole))
    notes = [page.monitor.notes.item(row).text() for row in range(page.monitor.notes.count())]
    assert any(f"after step {step}." in note for note in notes)
    assert sum("start from random values" in note or "random values" in note for note in notes) == 1


def test_bars_stages_and_time_follow_from_before_the_break(qtbot, page, context, photos):
    info = left_after(13, context, photos)
    seen = {}

    def look(event):
        if isinstance(event, RunResumed):
            seen["epoch"] = page.monitor._epoch_label.text()
            seen["bars"] = (page.monitor.epoch_bar.value(), page.monitor.total_bar.value())
            seen["stages"] = [stage.factor for stage in page.network.strip.stages]
            seen["best"] = page.monitor.progress.best
            seen["left"] = page.monitor.progress.left(event.time)

    context.run_event.connect(look)
    go_on(qtbot, page, info)
    assert seen["epoch"] == "Epoch 3 of 4"
    assert seen["bars"] == (600, 650)
    assert seen["stages"] == [0.0, 0.1, 0.1, 1.0]
    assert seen["best"].epoch in (0, 1)
    assert 0 < seen["left"] < 60


def test_a_damaged_checkpoint_is_passed_over_and_the_curves_go_back_to_the_one_before(qtbot, page, context, photos, tmp_path):
    whole = whole_run(context, photos, tmp_path)
    info = left_after(7, context, photos, "run.checkpoint_minutes=0.0001")
    newest = list_checkpoints(info.folder)[-1]
    state = newest / "state.pt"
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    go_on(qtbot, page, info)
    assert_same_curves(page.curves.data, curves_of(whole))


def test_a_run_whose_images_were_gone_for_a_while_goes_back_without_double_points(qtbot, page, context, photos, tmp_path):
    info = left_after(7, context, photos)
    told = [event for event in read_events(info.folder) if not isinstance(event, RunFinished)]
    steps = [event for event in told if event.event == "StepDone"]

    def runner(config, catalog, workspace, control):
        lost = [event.model_copy(update={"step": event.step + 7}) for event in steps[:2]]
        back = RunResumed(run=info.id, epochs=4, epoch=1, step=7, exact=True)
        end = RunFinished(run=info.id, outcome="completed", metrics={}, best_epoch=0, epochs=4, seconds=1, model="m")
        held = RunPaused(run=info.id, reason="3 images can no longer be read.")
        return told_anew([*told, *lost, held, back, steps[0].model_copy(update={"step": 8}), end])

    with qtbot.waitSignal(page.run_ended, timeout=10_000):
        page.follow(runner, page.form.config())
    np.testing.assert_array_equal(page.curves.data.steps[0], np.arange(1, 9) / 5)
    assert page.monitor.progress.end is not None


def test_a_run_without_a_checkpoint_begins_anew_in_its_own_folder(qtbot, page, context, photos, tmp_path):
    whole = whole_run(context, photos, tmp_path)
    info = left_after(7, context, photos)
    for folder in list_checkpoints(info.folder):
        (folder / "MANIFEST.json").unlink()
    assert standing_of(info).step == 0
    go_on(qtbot, page, info)
    assert_same_curves(page.curves.data, curves_of(whole))
    assert page.monitor.progress.folder == str(info.folder)


def test_a_finished_run_is_extended_with_its_curves_kept(qtbot, page, context, photos):
    info = read_run(folder_of(run(context.catalog, context.workspace, f"data.path={photos}", *SETTINGS)))
    before = curves_of(info.folder)
    end = go_on(qtbot, page, info, epochs=2)
    assert (end.outcome, end.epochs) == ("completed", 6)
    assert page.form.value("run.epochs") == 6
    data = page.curves.data
    assert list(data.epoch_positions) == [1, 2, 3, 4, 5, 6]
    for mine, its in zip(data.steps[:2], before.steps[:2], strict=True):
        np.testing.assert_array_equal(mine[: len(its)], its)
    assert (np.diff(data.steps[0]) > 0).all()
    assert (data.epochs, page.curves._wanted_span()) == (6, 6.0)


def test_changed_images_are_told_in_place_and_nothing_is_lost(qtbot, page, context, photos):
    info = left_after(7, context, photos)
    next(iter(photos.rglob("*.png"))).unlink()
    before = (info.folder / "events.jsonl").read_bytes()
    assert isinstance(go_on(qtbot, page, info), RunFailed)
    assert "have changed" in page.monitor.failure.title.text()
    assert (info.folder / "events.jsonl").read_bytes() == before


# The Runs page


@pytest.fixture
def runs(qtbot, context):
    page = RunsPage(context)
    qtbot.addWidget(page)
    return page


def shown(qtbot, runs):
    with qtbot.waitExposed(runs):
        runs.show()
    qtbot.waitUntil(lambda: runs.going_on.text.text() != "", timeout=10_000)
    return runs.going_on


def asked(context):
    wishes = []
    context.going_on_requested.connect(wishes.append)
    return wishes


def test_the_runs_page_resumes_what_was_stopped(qtbot, runs, context, photos):
    left_after(7, context, photos)
    bar, wishes = shown(qtbot, runs), asked(context)
    assert bar.text.text() == "Stopped. It can go on in epoch 2 of 4, after step 7."
    assert not bar.resume.isHidden()
    assert bar.extend.isHidden()
    context.set_run_active(True)
    assert not bar.resume.isEnabled()
    context.set_run_active(False)
    bar.resume.click()
    assert [(wish.run.id, wish.epochs) for wish in wishes] == [(list_runs(context.workspace)[0].id, None)]


def test_the_runs_page_extends_what_is_finished(qtbot, runs, context, photos):
    run(context.catalog, context.workspace, f"data.path={photos}", *SETTINGS, "run.patience=3")
    bar, wishes = shown(qtbot, runs), asked(context)
    assert bar.text.text() == "Finished after 4 epochs. It can have more."
    assert bar.resume.isHidden()
    bar.extend.click()
    dialog = bar.findChild(ExtendDialog)
    dialog._more.setValue(4)
    text = dialog.meaning.text()
    assert "epoch 5 of 8" in text
    assert "had come to 6.2e-05 and goes on at 0.005" in text  # half of a cosine is half of the rate
    assert "Patience (3 epochs)" in text
    dialog.accept()
    assert [wish.epochs for wish in wishes] == [4]


def test_other_settings_begin_a_new_run_from_this_run_s_model(qtbot, runs, page, context, photos):
    run(context.catalog, context.workspace, f"data.path={photos}", *SETTINGS, "run.name=first")
    bar = shown(qtbot, runs)
    bar.other.click()
    (old,) = list_runs(context.workspace)
    config = page.form.config()
    assert (config.model.weights, config.run.name, config.run.epochs) == (old.id, "", 4)
    with qtbot.waitSignal(page.run_ended, timeout=60_000) as ended:
        assert page.start()
    assert isinstance(ended.args[0], RunFinished)
    new = list_runs(context.workspace)[0]
    assert new.parent == old.id
    assert json.loads((old.folder / "config.json").read_text())["run"]["name"] == "first"


def test_what_a_killed_run_has_learned_becomes_its_model_and_the_beginning_of_another(qtbot, runs, page, context, photos):
    broken_off_after(7, context, photos)
    bar = shown(qtbot, runs)
    assert "It can go on in epoch" in bar.text.text()
    assert not runs.can("predict")
    bar.keep.click()
    qtbot.waitUntil(lambda: bar.keep.isHidden() and runs.can("predict"), timeout=20_000)
    assert not bar.resume.isHidden()
    (old,) = list_runs(context.workspace)
    old.model_file.unlink()
    bar.other.click()  # without a model, one is made first
    qtbot.waitUntil(lambda: page.form.config().model.weights == old.id, timeout=20_000)
    with qtbot.waitSignal(page.run_ended, timeout=60_000) as ended:
        assert page.start()
    assert isinstance(ended.args[0], RunFinished)
    assert list_runs(context.workspace)[0].parent == old.id


def test_a_model_that_cannot_be_made_is_told_and_may_be_tried_again(qtbot, runs, context, photos, monkeypatch):
    broken_off_after(7, context, photos)
    bar, told = shown(qtbot, runs), []
    context.problem.connect(told.append)

    def full(*_arguments):
        raise UserError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("tlstudio.engine.keep.keep_model", full)
        bar.keep.click()
        assert not bar.keep.isEnabled()
        assert not bar.other.isEnabled(), "it would make the model a second time"
        qtbot.waitUntil(lambda: bool(told), timeout=20_000)
    assert [error.title for error in told] == ["The disk is full."]
    assert bar.keep.isEnabled()
    assert bar.other.isEnabled()
    bar.keep.click()
    qtbot.waitUntil(lambda: bar.keep.isHidden() and runs.can("predict"), timeout=20_000)
    assert len(told) == 1


def test_two_clicks_make_one_model_and_the_runs_page_hears_of_it(qtbot, runs, context, photos, monkeypatch):
    broken_off_after(7, context, photos)
    bar, made, news, filled = shown(qtbot, runs), [], [], []
    context.runs_changed.connect(lambda: news.append(1))
    context.config_requested.connect(filled.append)

    def slowly(*arguments):
        made.append(arguments)
        time.sleep(0.3)
        return keep_model(*arguments)

    monkeypatch.setattr("tlstudio.engine.keep.keep_model", slowly)
    run = bar._run
    bar.other.click()
    bar.other.click()
    bar.keep.click()
    bar._actions.continue_with(run)  # as who has not heard yet that it is under way
    qtbot.waitUntil(lambda: bool(filled) and runs.can("predict"), timeout=20_000)
    qtbot.waitUntil(lambda: bar.keep.isHidden(), timeout=20_000)
    assert len(made) == len(filled) == 1
    assert news


def test_runs_that_broke_off_are_found_and_those_that_were_left(context, photos):
    broken = left_after(7, context, photos)
    events = broken.folder / "events.jsonl"
    assert broken_off(context.workspace) == []
    assert [info.id for info in broken_off(context.workspace, {broken.id})] == [broken.id]
    lines = events.read_bytes().splitlines(keepends=True)
    events.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])  # as a crash leaves it
    os.utime(broken.folder / "run.json", (broken.created, broken.created - 3600))
    assert [info.id for info in broken_off(context.workspace)] == [broken.id]
    run(context.catalog, context.workspace, f"data.path={photos}", *SETTINGS)
    assert [info.id for info in broken_off(context.workspace)] == [broken.id]


def test_a_break_is_no_time_that_a_run_takes():
    progress = RunProgress()
    progress.feed(RunStarted(run="a", time=100.0, folder="x", config={}, epochs=10))
    progress.feed(RunResumed(run="a", time=1000.0, epochs=10, epoch=0, step=0, exact=True))
    assert progress.elapsed(1010.0) == pytest.approx(10.0)
    progress.stood_still(5.0)
    assert progress.elapsed(1015.0) == pytest.approx(10.0)


# Images that were moved


@pytest.fixture
def chosen_place(monkeypatch):
    """What the user chooses when asked for a folder."""
    places = []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(places[-1]))
    return places


def agree(qtbot, moved):
    """Read what the question says, and use the place."""
    qtbot.waitUntil(lambda: moved.question is not None and moved.question.isVisible(), timeout=10_000)
    text = moved.question.informativeText()
    moved.question.defaultButton().click()
    return text


def test_a_run_whose_images_were_moved_finds_them_and_goes_on(qtbot, runs, page, context, photos, tmp_path, chosen_place):
    info = left_after(7, context, photos)
    chosen_place.append(photos.rename(tmp_path / "drive"))
    bar, wishes = shown(qtbot, runs), asked(context)
    assert bar.text.text() == f"Its images are not in {photos} any more."
    assert not bar.can("resume")
    bar.find.click()
    text = agree(qtbot, bar.moved)
    assert "48 of 48 images of this run are there." in text
    assert "1 of 1 folders" in text
    qtbot.waitUntil(lambda: bar.can("resume"), timeout=10_000)
    assert bar.find.isHidden()
    with qtbot.waitSignal(page.run_ended, timeout=60_000) as ended:
        bar.resume.click()
    assert wishes
    assert ended.args[0].outcome == "completed"
    assert page.form.value("data.path") == str(tmp_path / "drive")
    assert read_run(info.folder).status == "completed"


def test_opened_data_that_were_moved_are_found_from_the_data_page(qtbot, opened, folder, tmp_path, chosen_place):
    page = opened.data_page
    chosen_place.append(folder.rename(tmp_path / "elsewhere"))
    opened.open_config(DataConfig(path=str(folder)))
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.error, timeout=10_000)
    assert not page._find.isHidden()
    page._find.click()
    with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
        agree(qtbot, page.moved)
    assert opened.context.data.config.path == str(tmp_path / "elsewhere")
    with qtbot.waitSignal(opened.context.data_changed, timeout=20_000):
        opened.open_config(DataConfig(path=str(folder)))
