"""Before a run is done again, it is said what is not as it was."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from tlstudio.api.config import parse_config
from tlstudio.data.curation import Curation
from tlstudio.engine.about import plugin_versions, versions
from tlstudio.engine.reproduce import changes_since
from tlstudio.runs.store import create_run, read_run


@pytest.fixture
def photos(tmp_path):
    for name in ("ants", "bees"):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def workspace(tlstudio_home):
    return tlstudio_home / "workspace"


@pytest.fixture
def run(photos, workspace, catalog):
    """The folder of a run as the engine leaves it, without the training."""
    config = parse_config({"data": {"path": str(photos)}, "freezing": {"strategy": "freezing/head-only"}})
    _, folder = create_run(workspace, config, {"versions": versions(), "plugins": plugin_versions(catalog)})
    curation = Curation(catalog.open_images(config.data), config.data, workspace)
    curation.fix_splits()
    table = curation.table
    parts = {part: [key for key, split in zip(table.images.keys, table.splits, strict=True) if split == number]
             for number, part in enumerate(("train", "val", "test"))}  # fmt: skip
    (folder / "split.json").write_text(json.dumps({"classes": list(table.images.classes), **parts, "excluded": {}}))
    return folder


def told(run, catalog, workspace):
    return "\n".join(changes_since(read_run(run), catalog, workspace))


def test_nothing_is_said_where_all_is_as_it_was(run, catalog, workspace):
    assert told(run, catalog, workspace) == ""


def test_other_versions_are_named(run, catalog, workspace):
    about = json.loads((run / "run.json").read_bytes())
    about["versions"]["torch"], about["versions"]["commit"] = "1.0", "abc123"
    about["plugins"]["freezing"], about["plugins"]["torchvision"] = "0.0.1", "0.0.1"  # the second has no part in it
    about["machine"] = "elsewhere"
    (run / "run.json").write_text(json.dumps(about))
    text = told(run, catalog, workspace)
    assert "torch: 1.0 then" in text
    assert f"commit: abc123 then, {versions().get('commit', 'none')} now." in text
    assert "Plugin freezing: 0.0.1 then" in text
    assert "torchvision" not in text
    assert "Another machine: elsewhere then" in text


def test_other_images_are_counted(run, catalog, workspace, photos):
    (photos / "ants" / "3.png").unlink()
    Image.new("RGB", (16, 16)).save(photos / "bees" / "new.png")
    text = told(run, catalog, workspace)
    assert "1 images took part then and do not now: ants/3.png." in text
    assert "1 images are new: bees/new.png." in text


def test_another_split_and_other_classes_are_told(run, catalog, workspace, photos):
    kept = json.loads((run / "split.json").read_bytes())
    kept["val"].append(kept["train"].pop())
    kept["classes"] = ["bees", "ants"]
    (run / "split.json").write_text(json.dumps(kept))
    text = told(run, catalog, workspace)
    assert "1 images are in another split now" in text
    assert "Classes: bees, ants then, ants, bees now." in text
