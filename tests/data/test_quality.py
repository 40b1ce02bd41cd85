"""What a user is told about a data set: each kind of trouble is found, nothing sound is accused, the numbers are right."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED_DATA
from data.test_duplicates import scene
from PIL import Image, ImageFilter

from tlstudio.api import TEST, TRAIN, VAL, ImageSet
from tlstudio.data.measure import measure
from tlstudio.data.quality import KINDS, find_issues


def write(folder, files, *, labels=None, splits=None, classes=None):
    """Name -> picture or bytes, as files and as a data set with its issues."""
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            content.save(folder / name)
    images = ImageSet(
        classes=classes or (("ant", "bee") if labels else ("x",)), keys=tuple(files), root=folder,
        labels=np.array(labels if labels is not None else [0] * len(files), np.int32),
    )  # fmt: skip
    return images, find_issues(images, np.array(splits or [-1] * len(files), np.int8), measure(images))


def many(count, start=0):
    return {f"{i:03}.png": scene(i) for i in range(start, start + count)}


def rows(issues, kind):
    issue = issues.of_kind(kind)
    return issue.rows.tolist() if issue else []


def test_nothing_is_said_against_a_sound_set(tmp_path):
    _, issues = write(tmp_path, many(20), labels=[0, 1] * 10, splits=[TRAIN, TRAIN, VAL, VAL] * 5)
    assert len(issues) == 0
    assert issues.summary() == "Nothing was found in 20 images."
    assert issues.to_dict()["issues"] == []


def test_a_picture_in_two_splits_is_a_leak_whether_copied_or_changed(tmp_path):
    files = many(8)
    files |= {"copy.png": scene(0), "small.png": scene(1).resize((80, 60)), "again.png": scene(2)}
    splits = [TRAIN] * 8 + [VAL, TEST, TRAIN]
    _, issues = write(tmp_path, files, splits=splits)
    leak = issues.of_kind("leak")
    assert leak.rows.tolist() == [0, 1, 8, 9]
    assert leak.partners.tolist() == [8, 9, 0, 1]
    assert leak.severity == "error"
    assert leak.sentence == "1 validation image is also in training; 1 test image is also in training."
    assert issues.found[0] is leak
    assert issues.summary().startswith(leak.sentence)
    assert rows(issues, "exact-duplicate") == [0, 2, 8, 10]
    assert rows(issues, "near-duplicate") == [1, 9]
    assert [issue.kind for issue in issues.issue_of(8)] == ["leak", "exact-duplicate"]
    assert issues.issue_of(5) == ()


def test_every_copy_of_a_leaking_picture_is_named(tmp_path):
    files = many(6) | {name: scene(0) for name in ("a.png", "b.png", "c.png")}
    _, issues = write(tmp_path, files, splits=[TRAIN] * 7 + [VAL, VAL])
    assert rows(issues, "leak") == [0, 6, 7, 8]


def test_one_picture_with_two_labels_is_a_conflict(tmp_path):
    _, issues = write(tmp_path, many(6) | {"copy.png": scene(3)}, labels=[0, 0, 0, 0, 1, 1, 1])
    conflict = issues.of_kind("label-conflict")
    assert conflict.rows.tolist() == [3, 6]
    assert "ant and bee" in conflict.sentence
    _, issues = write(tmp_path, many(6) | {"copy.png": scene(3)}, labels=[0, 0, 0, 0, 1, 1, -1])
    assert issues.of_kind("label-conflict") is None


def test_damaged_files_are_told_apart(tmp_path):
    whole = tmp_path / "whole.jpg"
    scene(90).save(whole)
    files = many(5) | {"cut.jpg": whole.read_bytes()[:-500], "none.png": b"", "text.png": b"text"}
    _, issues = write(tmp_path, files)
    assert [rows(issues, kind) for kind in ("truncated", "empty", "unreadable")] == [[5], [6], [7]]
    assert issues.of_kind("unreadable").sentence == "1 image cannot be read: not an image (1)."
    assert issues.of_kind("truncated").sentence == "1 image ends too early."


def test_looks_are_judged_against_the_set(tmp_path):
    dark = scene(50).point(lambda value: value // 5)
    bright = scene(51).point(lambda value: 225 + value // 9)
    blurred = scene(52).filter(ImageFilter.GaussianBlur(6))
    odd = {"dark.png": dark, "bright.png": bright, "blurred.png": blurred, "flat.png": Image.new("RGB", (160, 120), "grey")}
    _, issues = write(tmp_path, many(20) | odd)
    assert [rows(issues, kind) for kind in ("dark", "bright", "blurred", "low-information")] == [[20], [21], [22], [23]]
    night = {f"{i}.png": scene(i).point(lambda value: value // 6) for i in range(12)}
    _, issues = write(tmp_path, night)
    assert rows(issues, "dark") == []
    soft = {f"{i}.png": scene(i).filter(ImageFilter.GaussianBlur(4)) for i in range(12)}
    _, issues = write(tmp_path, soft)
    assert rows(issues, "blurred") == []


def test_odd_shapes_and_sizes(tmp_path):
    _, issues = write(tmp_path, many(12) | {"long.png": scene(40, (480, 40)), "large.png": scene(41, (1600, 1200))})
    assert rows(issues, "odd-aspect") == [12]
    assert rows(issues, "odd-size") == [13]
    assert "139 pixels" in issues.of_kind("odd-size").sentence


def test_a_stand_in_for_a_missing_picture_is_found_by_how_it_looks_and_is_called(tmp_path):
    drawn = Image.new("RGB", (160, 120), (240, 240, 240))
    drawn.paste((120, 120, 120), (60, 55, 100, 58))
    _, issues = write(tmp_path, many(60) | {"imageNotFound.gif": drawn, "missing_wing_7.png": scene(99)})
    assert rows(issues, "placeholder") == [60]
    clips = {f"clip{i}.png": drawn for i in range(10)}
    _, issues = write(tmp_path, clips)
    assert rows(issues, "placeholder") == []  # where all are drawings, a drawing is nothing odd


def test_uneven_classes(tmp_path):
    _, issues = write(tmp_path, many(22), labels=[0] * 20 + [1] * 2, classes=("ant", "bee", "wasp"))
    issue = issues.of_kind("class-imbalance")
    assert issue.rows.tolist() == [20, 21]
    assert "bee (2)" in issue.sentence
    assert "wasp (0)" in issue.sentence
    _, issues = write(tmp_path, many(20), labels=[0, 1] * 10, classes=("ant", "bee", "wasp"))
    assert issues.summary().startswith("1 class of 3 has at most a tenth of the 10 images of ant: wasp (0).")


def test_it_goes_to_json_with_names(tmp_path):
    _, issues = write(tmp_path, many(5) | {"copy.png": scene(0), "a.jpg": b""}, splits=[TRAIN] * 5 + [VAL, VAL])
    told = json.loads(json.dumps(issues.to_dict()))
    assert [issue["kind"] for issue in told["issues"]] == ["leak", "empty", "exact-duplicate"]
    assert told["issues"][0]["images"] == [
        {"key": "000.png", "score": 1.0, "group": "000.png", "partner": "copy.png"},
        {"key": "copy.png", "score": 1.0, "group": "000.png", "partner": "000.png"},
    ]
    assert told["issues"][1]["images"][0]["detail"] == "empty file"
    assert told["issues"][2]["images"][1]["group"] == "000.png"


def test_a_set_that_is_not_measured_yet_or_empty_is_no_error(tmp_path):
    images, _ = write(tmp_path, many(3))
    from tlstudio.data.measure import Measures

    issues = find_issues(images, np.full(3, -1, np.int8), Measures.empty(3))
    assert issues.summary() == "Nothing was found in 0 images. 3 images not measured yet."
    nothing = ImageSet(classes=(), keys=(), labels=np.zeros(0, np.int32), root=tmp_path)
    assert len(find_issues(nothing, np.zeros(0, np.int8), measure(nothing))) == 0


def test_ending_it_early_keeps_the_other_findings(tmp_path):
    images, _ = write(tmp_path, many(6) | {"copy.png": scene(0), "a.jpg": b""})
    issues = find_issues(images, np.full(8, -1, np.int8), measure(images), progress=lambda done, total: False)
    assert not issues.complete
    assert {issue.kind for issue in issues} == {"empty", "exact-duplicate"}


def test_kinds_come_in_the_order_of_urgency():
    assert KINDS[:2] == ("leak", "label-conflict")
    assert len(set(KINDS)) == len(KINDS)


def test_ants_and_bees(hymenoptera):
    keys = tuple(sorted(str(path.relative_to(hymenoptera)) for path in hymenoptera.rglob("*") if path.is_file()))
    splits = np.array([TRAIN if key.startswith("train") else VAL for key in keys], np.int8)
    images = ImageSet(
        classes=("ants", "bees"),
        keys=keys,
        root=hymenoptera,
        labels=np.array(["bees/" in key for key in keys]).astype(np.int32),
    )
    start = time.monotonic()
    issues = find_issues(images, splits, measure(images))
    assert time.monotonic() - start < 30  # 2 s on a free machine; see tests/benchmarks/quality.py
    told = {issue.kind: [keys[row].rpartition("/")[2] for row in issue.rows.tolist()] for issue in issues}
    assert told.keys() == {"placeholder", "low-information", "odd-aspect", "odd-size"}
    assert told["placeholder"] == told["low-information"] == ["imageNotFound.gif"]
    assert told["odd-aspect"] == ["662541407_ff8db781e7.jpg"]
    assert len(told["odd-size"]) == 2


def test_blood_cells_show_two_pictures_twice():
    folder = SHARED_DATA / "bccd" / "JPEGImages"
    if not folder.is_dir():
        pytest.skip("the blood cells are not on this machine")
    keys = tuple(sorted(path.name for path in folder.iterdir()))
    images = ImageSet(classes=("x",), keys=keys, labels=np.zeros(len(keys), np.int32), root=folder)
    issues = find_issues(images, np.full(len(keys), -1, np.int8), measure(images))
    near = issues.of_kind("near-duplicate")
    assert {keys[row][11:16] for row in near.rows.tolist()} == {"00037", "00038", "00386", "00391"}
    assert [issue.kind for issue in issues] == ["near-duplicate"]


class Pixels:
    """Grey arrays as pictures."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __call__(self, index):
        return Image.fromarray(self.arrays[index]).convert("RGB")


def arrays_as_set(arrays):
    keys = tuple(map(str, range(len(arrays))))
    return ImageSet(classes=("x",), keys=keys, labels=np.zeros(len(keys), np.int32), read=Pixels(arrays))


def test_the_digits_of_eight_by_eight_pixels_are_not_called_blurred_dark_or_odd():
    datasets = pytest.importorskip("sklearn.datasets")
    images = arrays_as_set((datasets.load_digits().images * 15).astype(np.uint8))
    issues = find_issues(images, np.full(len(images), -1, np.int8), measure(images))
    assert {issue.kind for issue in issues} <= {"near-duplicate"}
    assert sum(len(issue) for issue in issues) < 10


def test_clothes_that_look_alike_are_no_duplicates():
    path = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
    if not path.is_file():
        pytest.skip("Fashion-MNIST is not on this machine")
    pixels = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:4000]
    images = arrays_as_set(pixels)
    issues = find_issues(images, np.full(len(images), -1, np.int8), measure(images))
    assert {issue.kind for issue in issues} <= {"near-duplicate", "dark"}
    assert sum(len(issue) for issue in issues) < 40
