"""What is exported is what the user made of the images, opens again as the same, and overwrites nothing."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from tlstudio.api import TRAIN, VAL, ImageSet, decode
from tlstudio.api.config import DataConfig
from tlstudio.api.errors import DataError, UserError
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Exclude, MoveToSplit, Relabel, RenameClass
from tlstudio.data.export import export

KEYS = ("ant/1.png", "ant/2.png", "bee/1.png", "bee/3.PNG", "bee/nobody.png")


@pytest.fixture
def root(tmp_path):
    for shade, key in enumerate(KEYS):
        path = tmp_path / "images" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 40 * shade).save(path, "PNG")
    return tmp_path / "images"


@pytest.fixture
def table(root, tmp_path):
    images = ImageSet(
        classes=("ant", "bee"), keys=KEYS, labels=np.array([0, 0, 1, 1, -1], np.int32),
        splits=np.array([TRAIN, VAL, TRAIN, VAL, TRAIN], np.int8), root=root,
    )  # fmt: skip
    curation = Curation(images, DataConfig(path=str(root)), tmp_path / "workspace")
    curation.add(Relabel(keys=("ant/1.png",), label="bee"))
    curation.add(Exclude(keys=("ant/2.png",)))
    curation.add(MoveToSplit(keys=("bee/3.PNG",), split="test"))
    return curation.add(RenameClass(old="bee", new="bee/wasp?"))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_copies_open_again_as_what_was_exported(table, root, tmp_path, catalog):
    before = {path: path.read_bytes() for path in root.rglob("*.png")}
    assert export(table, tmp_path / "out") == 3
    assert files(tmp_path / "out") == ["test/bee_wasp_/3.png", "train/bee_wasp_/1-2.png", "train/bee_wasp_/1.png"]
    assert (tmp_path / "out" / "train" / "bee_wasp_" / "1.png").read_bytes() == before[root / "ant" / "1.png"]
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == before


def test_links_lead_to_the_files(table, root, tmp_path):
    export(table, tmp_path / "out", "link")
    link = tmp_path / "out" / "test" / "bee_wasp_" / "3.png"
    assert link.is_symlink()
    assert link.resolve() == (root / "bee" / "3.PNG").resolve()


def test_a_table_names_paths_labels_and_splits(table, root, tmp_path, catalog):
    assert export(table, tmp_path / "out.csv", "csv") == 3
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["split"]) for row in rows] == [
        ("bee/wasp?", "train"),
        ("bee/wasp?", "train"),
        ("bee/wasp?", "test"),
    ]
    assert rows[2]["path"] == str(root / "bee" / "3.PNG")


def test_nothing_is_overwritten_and_giving_up_leaves_nothing(table, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        export(table, tmp_path / "out")
    assert export(table, tmp_path / "other", progress=lambda _done, _total: False) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "out", "workspace"]


def test_parts_of_pictures_are_cut_out_and_cannot_be_linked(root, tmp_path):
    images = ImageSet(
        classes=("a", "b"), keys=("1#0", "1#1"), files=("ant/1.png",) * 2, labels=np.array([0, 1], np.int32), root=root,
        boxes=np.array([[0, 0, 4, 4], [2, 2, 8, 5]], np.float32),
    )  # fmt: skip
    table = Curation(images, DataConfig(path=str(root)), tmp_path / "workspace").table
    export(table, tmp_path / "out")
    assert {decode(path).size for path in (tmp_path / "out").rglob("*.png")} == {(4, 4), (6, 3)}
    with pytest.raises(DataError, match="not files"):
        export(table, tmp_path / "links", "link")


def test_nothing_to_export_is_said(root, tmp_path):
    images = ImageSet(classes=("a",), keys=KEYS, labels=np.full(5, -1, np.int32), root=root)
    with pytest.raises(DataError, match="no labelled images"):
        export(Curation(images, DataConfig(path=str(root)), tmp_path / "w").table, tmp_path / "out")
