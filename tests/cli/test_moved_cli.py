"""``tlstudio data moved``: the terminal says where images went."""

from __future__ import annotations

import shutil

from tlstudio.data.moved import current
from tlstudio.runs.store import create_run


def test_where_images_went_is_remembered_and_what_is_found_there_is_counted(cli, photos, tmp_path):
    from tlstudio.api.config import parse_config

    workspace = tmp_path / "workspace"
    for path in (photos, tmp_path / "gone"):
        create_run(workspace, parse_config({"data": {"path": str(path)}, "model": {"backbone": "test/net"}}), {})
    (tmp_path / "drive").mkdir()
    new = tmp_path / "drive" / "photos"
    shutil.move(photos, new)
    told = cli("data", "moved", photos, new)
    assert told.code == 0
    assert f"What was in {tmp_path} is looked for in {tmp_path / 'drive'} from now on." in told.out
    assert "1 of 2 folders and files of images that runs miss are found there." in told.out
    assert current(str(photos), workspace) == str(new)
    found = cli("data", "moved", "D:\\photos", new, "--json").json
    assert found == {"old": "D:", "new": str(new.parent), "found": 0, "gone": 2}


def test_a_place_where_nothing_is_is_refused(cli, photos, tmp_path):
    told = cli("data", "moved", photos, tmp_path / "nowhere")
    assert told.code == 2
    assert "There is nothing at" in told.err
    assert not (tmp_path / "workspace").exists()
