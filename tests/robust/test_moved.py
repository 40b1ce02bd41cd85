"""A workspace that was moved, and images that were moved: runs resume, extend, and are judged in their new place."""

from __future__ import annotations

import shutil

import pytest
from engine.conftest import _one_thread, tiny, tiny_catalog  # noqa: F401 - fixtures
from robust_runs import assert_same_weights, folder_of, resume
from training import run

from tlstudio.api.config import DataConfig
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude
from tlstudio.data.moved import relocated, remember, widest
from tlstudio.engine.control import Control
from tlstudio.evaluation.report import evaluate_run
from tlstudio.runs.store import list_runs

SETTINGS = ("run.epochs=2", "run.batch_size=8", "freezing.strategy=freezing/full")


def left_early(catalog, workspace, photos):
    control = Control()
    return run(catalog, workspace, f"data.path={photos}", *SETTINGS, control=control,
               on_event=lambda event: control.leave() if event.event == "EpochDone" else None)  # fmt: skip


def test_a_moved_workspace_goes_on_where_it_is_now(tiny_catalog, photos, tmp_path):  # noqa: F811
    whole = folder_of(run(tiny_catalog, tmp_path / "whole", f"data.path={photos}", *SETTINGS))
    left_early(tiny_catalog, tmp_path / "old", photos)
    shutil.move(tmp_path / "old", tmp_path / "new")
    (info,) = list_runs(tmp_path / "new")
    end = resume(tiny_catalog, tmp_path / "new", info.folder)[-1]
    assert (end.event, end.model) == ("RunFinished", str(info.model_file))
    assert_same_weights(whole, info.folder)
    again = run(tiny_catalog, tmp_path / "new", f"data.path={photos}", *SETTINGS, f"model.weights={info.id}")
    assert again[-1].outcome == "completed"
    assert not (tmp_path / "old").exists()


def test_a_run_whose_images_were_moved_goes_on_and_is_judged(tiny_catalog, photos, tmp_path):  # noqa: F811
    workspace = tmp_path / "workspace"
    whole = folder_of(run(tiny_catalog, tmp_path / "whole", f"data.path={photos}", *SETTINGS))
    left_early(tiny_catalog, workspace, photos)
    (info,) = list_runs(workspace)
    place = tmp_path / "drive" / "photos"
    place.parent.mkdir()
    shutil.move(photos, place)
    assert resume(tiny_catalog, workspace, info.folder)[-1].event == "RunFailed"
    remember(workspace, widest(str(photos), str(place)))
    assert resume(tiny_catalog, workspace, info.folder)[-1].event == "RunFinished"
    assert_same_weights(whole, info.folder)
    assert 0 <= evaluate_run(info.folder, tiny_catalog, workspace).accuracy <= 1
    again = run(tiny_catalog, workspace, f"data.path={photos}", *SETTINGS)
    assert again[-1].outcome == "completed"


@pytest.mark.parametrize("workspace", [".", "work"], ids=["the images lie in it", "the images lie beside it"])
def test_a_project_with_its_images_is_moved_as_a_whole(tiny_catalog, photos, tmp_path, workspace):  # noqa: F811
    old, new = tmp_path / "project", tmp_path / "elsewhere" / "renamed"
    old.mkdir()
    shutil.move(photos, old / "photos")
    left_early(tiny_catalog, old / workspace, old / "photos")
    new.parent.mkdir()
    shutil.move(old, new)
    (info,) = list_runs(new / workspace)
    assert resume(tiny_catalog, new / workspace, info.folder)[-1].event == "RunFinished"
    assert 0 <= evaluate_run(info.folder, tiny_catalog, new / workspace).accuracy <= 1


@pytest.mark.parametrize("workspace", [".", "work"], ids=["the images lie in it", "the images lie beside it"])
def test_the_edits_of_a_project_that_is_moved_as_a_whole(tiny_catalog, photos, tmp_path, workspace):  # noqa: F811
    old, new = tmp_path / "project", tmp_path / "elsewhere" / "renamed"
    old.mkdir()
    shutil.move(photos, old / "photos")
    config = DataConfig(path=str(old / "photos"))
    curation = Curation(tiny_catalog.open_images(config), config, old / workspace)
    curation.add(Exclude(keys=(curation.original.keys[3],)))
    new.parent.mkdir()
    shutil.move(old, new)
    for path in (old / "photos", new / "photos"):
        now = relocated(DataConfig(path=str(path)), new / workspace)
        assert now.path == str(new / "photos")
        again = Curation(tiny_catalog.open_images(now), now, new / workspace)
        assert again.table.excluded.nonzero()[0].tolist() == [3]
