"""Which kind of data set opens for a path: each layout goes to the plugin that reads it best."""

import json
import time
from pathlib import Path

import pytest

import tlstudio_datasets
from tlstudio.api import DataError
from tlstudio.registry import load_catalog

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
COCO = json.dumps({"images": [], "annotations": [], "categories": []}).encode()
LINE = b'{"file_name": "1.jpg", "label": "a"}\n'
LAYOUTS = {
    "folder": [
        {"cat/1.jpg": b"", "dog/1.jpg": b""},
        {"train/cat/1.jpg": b"", "train/dog/1.jpg": b"", "val/cat/1.jpg": b"", "notes.json": b"{}", "x.yaml": b"a: 1\n"},
        {"images/1.jpg": b"", "labels/1.jpg": b""},
        {"cat/1.jpg": b"", "dog/1.jpg": b"", "metadata.jsonl": b'{"file_name": "cat/1.jpg", "text": "a cat"}\n'},
    ],
    "imagefolder": [
        {"1.jpg": b"", "metadata.jsonl": LINE},
        {"train/1.jpg": b"", "train/metadata.jsonl": LINE, "test/1.jpg": b"", "test/metadata.jsonl": LINE},
        {"cat/1.jpg": b"", "dog/1.jpg": b"", "metadata.csv": b"file_name,label\ncat/1.jpg,cat\n"},
    ],
    "coco": [
        {"train/1.jpg": b"", "train/_annotations.coco.json": COCO, "valid/1.jpg": b"", "valid/_annotations.coco.json": COCO},
        {"annotations/instances_train2017.json": COCO, "train2017/1.jpg": b"", "val2017/1.jpg": b""},
        {"images/1.jpg": b"", "annotations.json": COCO},
    ],
    "voc": [
        {"Annotations/1.xml": b"", "JPEGImages/1.jpg": b"", "ImageSets/Main/train.txt": b"1\n"},
        {"VOC2007/Annotations/1.xml": b"", "VOC2007/JPEGImages/1.jpg": b""},
        {"train/1.xml": b"", "train/1.jpg": b"", "valid/1.xml": b"", "valid/1.jpg": b""},
    ],
    "yolo": [
        {"data.yaml": b"names: [a, b]\ntrain: images\n", "images/1.jpg": b"", "labels/1.txt": b""},
        {"train/images/1.jpg": b"", "train/labels/1.txt": b"0 .5 .5 .5 .5\n", "valid/images/1.jpg": b""},
        {"classes.txt": b"a\nb\n", "images/1.jpg": b"", "labels/1.txt": b"0 .5 .5 .5 .5\n"},
    ],
    "mnist": [{"train-images-idx3-ubyte": b"", "train-labels-idx1-ubyte": b""}],
    "imagenet": [
        {"train/n01440764/1.JPEG": b"", "val/n01440764/1.JPEG": b""},
        {"ILSVRC/Data/CLS-LOC/train/n01440764/1.JPEG": b"", "LOC_synset_mapping.txt": b""},
    ],
    "torchvision": [{"dtd/dtd/labels/train1.txt": b"", "dtd/dtd/images/a/1.jpg": b""}],
}


def write(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def best(path):
    sure = {name: spec.recognise(path) for name, spec in SPECS.items() if spec.recognise}
    return max(sure, key=sure.get)


@pytest.mark.parametrize(("name", "files"), [(name, files) for name, layouts in LAYOUTS.items() for files in layouts])
def test_the_plugin_that_reads_it_best_is_surest(tmp_path, name, files):
    assert best(write(tmp_path / "data", files)) == name


@pytest.mark.parametrize(("name", "files"), [(name, layouts[0]) for name, layouts in LAYOUTS.items() if name != "mnist"])
def test_a_folder_that_only_wraps_it_makes_no_difference(tmp_path, name, files):
    write(tmp_path / "data/unpacked/again", files)
    (tmp_path / "data/.DS_Store").touch()
    assert best(tmp_path / "data") == name


@pytest.mark.parametrize(
    ("file", "data", "name"),
    [
        ("x.csv", b"path,label\n", "csv"),
        ("x.tsv", b"file_name\tlabel\n", "csv"),
        ("x.jsonl", LINE, "imagefolder"),
        ("x.json", COCO, "coco"),
        ("data.yaml", b"names: [a]\ntrain: images\n", "yolo"),
    ],
)
def test_files(tmp_path, file, data, name):
    assert best(write(tmp_path, {file: data}) / file) == name


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"[" * 100_000, b"names:\ntrain:\n" * 1000])
def test_no_file_makes_it_raise(tmp_path, content):
    names = (
        "x.json",
        "x.jsonl",
        "data.yaml",
        "metadata.csv",
        "labels/1.txt",
        "Annotations/1.xml",
        "train-images-idx3-ubyte.gz",
    )
    root = write(tmp_path, dict.fromkeys(names, content))
    for spec in SPECS.values():
        for path in (root, *(root / name for name in names), root / "missing"):
            assert spec.recognise is None or 0.0 <= spec.recognise(path) <= 1.0


def test_a_large_folder_takes_no_time(tmp_path):
    for number in range(3000):
        (tmp_path / f"{number}.json").touch()
        (tmp_path / f"{number}.yaml").touch()
    start = time.process_time()
    best(tmp_path)
    assert time.process_time() - start < 2  # 0.1 where the machine is not busy


def test_the_catalog_names_them_all():
    names = {name.partition("/")[2] for name in load_catalog().datasets if name.startswith("datasets/")}
    assert set(LAYOUTS) <= names
    assert all(Path(spec.about).name and spec.about.endswith(".") for spec in SPECS.values())


def test_folders_that_cannot_be_read_are_explained_and_never_crash(tmp_path, monkeypatch):
    root = write(tmp_path / "data", {"images/1.jpg": b"", "labels/1.txt": b"", "train/1.xml": b"", "annotations/x.json": COCO})

    def unreadable(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", unreadable)
    for name in LAYOUTS:
        assert SPECS[name].recognise(root) < 0.5
        with pytest.raises(DataError):
            SPECS[name].open(SPECS[name].options(path=root))
