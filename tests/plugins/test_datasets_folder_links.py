"""Links in class folders: never out of the root, never in circles, never twice."""

from __future__ import annotations

import sys

import pytest
from dataset_kinds import rows, said, ways

import tlstudio_datasets

SPEC = next(spec for spec in tlstudio_datasets.register_datasets() if spec.name == "folder")
opened, _ = ways(SPEC)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


def test_a_circle_is_cut(make_files):
    root = make_files("a/1.jpg", "b/1.jpg")
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "other").symlink_to("../a")
    (root / "b" / "knot").symlink_to("knot")
    images = opened(root)
    assert images.keys == ("a/1.jpg", "b/1.jpg")
    assert said(images, "read already", "a/self", "a/up", "b/other")
    assert said(images, "lead nowhere", "b/knot")


def test_links_out_of_the_root_are_not_followed(make_files, tmp_path):
    outside = make_files("secret/1.jpg", root=tmp_path / "outside")
    root = make_files("a/1.jpg", "b/1.jpg")
    (root / "c").symlink_to(outside / "secret")
    (root / "a" / "2.jpg").symlink_to(outside / "secret" / "1.jpg")
    (root / "b" / "deep").symlink_to(outside)
    images = opened(root)
    assert images.keys == ("a/1.jpg", "b/1.jpg")
    assert said(images, "lead out", "a/2.jpg", "b/deep", "c")


def test_a_sibling_whose_name_begins_alike_is_outside(make_files, tmp_path):
    outside = make_files("1.jpg", root=tmp_path / "data-more")
    root = make_files("a/1.jpg", "b/1.jpg")
    (root / "a" / "2.jpg").symlink_to(outside / "1.jpg")
    assert len(opened(root)) == 2


def test_links_inside_the_root_are_followed_once(make_files):
    root = make_files("all/cat/1.jpg", "all/dog/1.jpg")
    for split, name in (("train", "cat"), ("train", "dog"), ("val", "cat")):
        (root / split / name).mkdir(parents=True)
    (root / "train" / "cat" / "1.jpg").symlink_to("../../all/cat/1.jpg")
    (root / "train" / "dog" / "1.jpg").symlink_to("../../all/dog/1.jpg")
    (root / "val" / "cat" / "2.jpg").symlink_to("../../all/cat/1.jpg")
    images = opened(root)
    assert images.keys == ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/2.jpg")


def test_a_class_that_is_a_link_to_a_folder_inside(make_files):
    root = make_files("train/a/1.jpg", "train/b/1.jpg", "val/b/1.jpg", "pool/1.jpg")
    (root / "val" / "a").symlink_to("../pool")
    assert rows(opened(root))["val/a/1.jpg"] == "a"


def test_doubling_links_end_quickly(make_files):
    root = make_files("a/1.jpg", "b/1.jpg", *(f"b/{level}/x.jpg" for level in range(25)))
    for level in range(24):
        for name in ("left", "right"):
            (root / "b" / str(level) / name).symlink_to(f"../{level + 1}")
    assert len(opened(root)) == 27


def test_a_root_that_is_a_link_is_fine(make_files, tmp_path):
    make_files("a/1.jpg", "b/1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    images = opened(tmp_path / "link")
    assert images.root == tmp_path / "link"
    assert images.load(0).size == (24, 16)
