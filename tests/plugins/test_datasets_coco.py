"""COCO annotations: boxes as images, splits from names, ids that are not dense, and what is left out and said."""

import json

import numpy as np
import pytest
from dataset_kinds import rows, said, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tlstudio_datasets
from tlstudio.api import TEST, TRAIN, VAL, DataError, ImageSet
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["coco"]
opened, refused = ways(SPEC)


def coco(**changes):
    """Two pictures of 24 x 16 pixels, three objects, categories 1, 7 and 90."""
    document = {
        "info": {},
        "images": [{"id": 10, "file_name": "a.jpg", "width": 24, "height": 16}, {"id": 20, "file_name": "b.jpg"}],
        "categories": [{"id": 7, "name": "dog"}, {"id": 1, "name": "cat"}, {"id": 90, "name": "brush"}],
        "annotations": [
            note(1, 10, 7, [2, 3, 10, 5]),
            note(2, 10, 1, [0, 0, 24, 16], segmentation=[[1, 2, 3]]),
            note(5, 20, 90, [4.5, 4.5, 8, 8]),
        ],
    }
    document.update(changes)
    return document


def note(number, image, category, box, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


@pytest.fixture
def make(make_files):
    """A folder with two pictures and annotations: an object to write as JSON, or bytes."""

    def write(content=None, name="annotations.json", images=("a.jpg", "b.jpg")):
        root = make_files(*images)
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        content = coco() if content is None else content
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return file

    return write


class TestObjects:
    def test_each_annotation_is_an_image(self, make):
        file = make()
        images = opened(file)
        assert rows(images) == {"a.jpg#1": "dog", "a.jpg#2": "cat", "b.jpg#5": "brush"}
        assert images.files == images.groups == ("a.jpg", "a.jpg", "b.jpg")
        assert images.boxes.tolist() == [[2, 3, 12, 8], [0, 0, 24, 16], [4.5, 4.5, 12.5, 12.5]]
        assert images.splits is None
        assert images.sources == (str(file),)
        whole = np.asarray(Image.open(file.parent / "a.jpg"))
        assert np.array_equal(np.asarray(images.load(0)), whole[3:8, 2:12])
        check_dataset(SPEC, {"path": file})
        check_dataset(SPEC, {"path": file.parent})

    def test_what_refers_to_nothing_is_listed(self, make):
        orphans = [note(8, 99, 7, [0, 0, 5, 5]), note(9, 10, 2, [0, 0, 5, 5])]
        images = opened(make(coco(annotations=coco()["annotations"] + orphans)))
        assert len(images) == 3
        assert said(images, "1 object", "their picture is not listed", "annotations.json annotation 8")
        assert said(images, "1 object", "their category is not listed", "annotation 9")

    def test_crowds_are_left_out(self, make):
        images = opened(make(coco(annotations=[*coco()["annotations"], note(6, 10, 7, [0, 0, 9, 9], iscrowd=1)])))
        assert "a.jpg#6" not in images.keys
        assert said(images, "1 object", "crowd", "annotation 6")

    @pytest.mark.parametrize(
        ("box", "words"),
        [
            ([0, 0, float("nan"), 5], "not four numbers"),
            ([0, 0, float("inf"), 5], "not four numbers"),
            ([0, 0, -4, 5], "no size"),
            ([0, 0, 0, 5], "no size"),
            ([0, 0, 5], "not four numbers"),
            ("0 0 5 5", "not four numbers"),
            (None, "not four numbers"),
            ([30, 0, 5, 5], "outside"),
            ([0, -9, 5, 5], "outside"),
            ([0, 0, 1e300, 5], "no size"),
        ],
    )
    def test_boxes_that_are_none_are_left_out(self, make, box, words):
        images = opened(make(coco(annotations=[*coco()["annotations"], note(6, 10, 7, box)])))
        assert len(images) == 3
        assert said(images, "1 object", words, "6")

    def test_small_objects_can_be_left_out(self, make):
        images = opened(make(), smallest=8)
        assert images.keys == ("a.jpg#2", "b.jpg#5")
        assert said(images, "smaller than 8 pixels: a.jpg#1")
        assert said(images, "Classes without an object", "dog")

    def test_one_box_with_two_labels_is_left_out_and_a_repetition_counts_once(self, make):
        first = coco()["annotations"]
        twice = [note(6, 10, 1, [2, 3, 10, 5]), note(7, 20, 90, [4.5, 4.5, 8, 8]), note(2, 20, 7, [1, 1, 3, 3])]
        images = opened(make(coco(annotations=first + twice)))
        assert rows(images) == {"a.jpg#2": "cat", "b.jpg#5": "brush", "b.jpg#2": "dog"}
        assert said(images, "2 objects", "two different labels", "a.jpg#1, a.jpg#6")
        assert said(images, "1 object", "said twice", "b.jpg#7")

    def test_missing_pictures_are_counted_and_empty_ones_named(self, make):
        pictures = [*coco()["images"], {"id": 3, "file_name": "gone.jpg"}, {"id": 4, "file_name": "c.jpg"}]
        notes = [*coco()["annotations"], note(6, 3, 7, [0, 0, 5, 5])]
        images = opened(make(coco(images=pictures, annotations=notes), images=["a.jpg", "b.jpg", "c.jpg"]))
        assert len(images) == 3
        assert said(images, "1 picture is not there", "gone.jpg")
        assert said(images, "1 picture has no object")


class TestFiles:
    def test_several_files_give_splits(self, make_files):
        root = make_files("train2017/a.jpg", "val2017/b.jpg")
        (root / "annotations").mkdir()
        one = coco(images=coco()["images"][:1], annotations=coco()["annotations"][:2])
        two = coco(images=coco()["images"][1:], annotations=[note(1, 20, 90, [0, 0, 5, 5])])
        (root / "annotations/instances_train2017.json").write_text(json.dumps(one))
        (root / "annotations/instances_val2017.json").write_text(json.dumps(two))
        (root / "annotations/captions_val2017.json").write_text('{"images": [], "annotations": []}')
        images = opened(root)
        assert images.keys == ("train2017/a.jpg#1", "train2017/a.jpg#2", "val2017/b.jpg#1")
        assert images.splits.tolist() == [TRAIN, TRAIN, VAL]
        assert [name.rpartition("/")[2] for name in images.sources] == ["instances_train2017.json", "instances_val2017.json"]
        check_dataset(SPEC, {"path": root})
        assert opened(root / "annotations/instances_train2017.json").splits is None

    def test_the_folders_of_roboflow(self, make_files):
        root = make_files("train/a.jpg", "train/b.jpg", "valid/a.jpg", "valid/b.jpg", "test/a.jpg", "test/b.jpg")
        for split in ("train", "valid", "test"):
            (root / split / "_annotations.coco.json").write_text(json.dumps(coco()))
        images = opened(root)
        assert len(images) == 9
        assert dict(zip(images.keys, images.splits.tolist(), strict=True))["valid/a.jpg#1"] == VAL
        assert set(images.splits.tolist()) == {TRAIN, VAL, TEST}
        sure = {name: spec.recognise(root) for name, spec in SPECS.items() if spec.recognise}
        assert max(sure, key=sure.get) == "coco"

    def test_another_image_folder(self, make, make_files, tmp_path):
        file = make(images=[])
        assert "no labelled objects" in refused(file).title
        make_files("a.jpg", "b.jpg", root=tmp_path / "elsewhere")
        assert opened(file, images=tmp_path / "elsewhere").load(0).size == (10, 5)
        assert opened(file.parent, images="../elsewhere").load(0).size == (10, 5)
        assert "does not exist" in refused(file, images="nowhere").title

    @pytest.mark.parametrize(
        "path", ["../../a.jpg", "/etc/passwd", "\\\\server\\a.jpg", "C:\\a.jpg", "x\\..\\..\\a.jpg", "", 7]
    )
    def test_paths_that_lead_out_are_refused(self, make, path):
        error = refused(make(coco(images=[*coco()["images"], {"id": 3, "file_name": path}])))
        assert "1 picture that cannot be inside" in error.title
        assert error.detail.startswith("image 3: ")

    def test_an_id_with_two_pictures_is_refused(self, make):
        error = refused(make(coco(images=[*coco()["images"], {"id": 10, "file_name": "c.jpg"}])))
        assert "two pictures with the id 10" in error.title

    def test_a_cut_file_says_where(self, make):
        text = json.dumps(coco(), indent=1).encode()
        error = refused(make(text[: len(text) // 2]))
        lines = text[: len(text) // 2].count(b"\n") + 1
        assert "no proper JSON" in error.title
        assert f"in line {lines}, column" in error.title or f"in line {lines - 1}, column" in error.title
        assert "Nothing was read" in error.hint

    def test_deep_nesting_and_size_are_refused(self, make, monkeypatch):
        assert "nested too deep" in refused(make(b'{"images": ' + b"[" * 100_000)).title
        monkeypatch.setattr("tlstudio_datasets.json_text.MAX_BYTES", 100)
        assert "too large" in refused(make()).title

    def test_a_byte_order_mark_does_not_matter(self, make):
        file = make(b"\xef\xbb\xbf" + json.dumps(coco()).encode())
        assert len(opened(file)) == 3
        assert SPEC.recognise(file) > 0.9

    @pytest.mark.parametrize("content", [b"[]", b"{}", b'{"images": [1]}', b"null", b"", b"\xff\xff"])
    def test_what_is_no_coco(self, make, content):
        file = make(content)
        assert refused(file).hint
        assert SPEC.recognise(file) <= 0.96


ids = st.none() | st.booleans() | st.integers(0, 3) | st.floats() | st.sampled_from(["1", "x"]) | st.just([1])
values = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.floats(), max_size=5)
records = st.dictionaries(st.sampled_from(["name", "iscrowd", "width", "height", "bbox"]), values)


def lists(**fields):
    near = st.builds(lambda fixed, more: {**more, **fixed}, st.fixed_dictionaries(fields), records)
    return st.lists(near, max_size=5) | values


documents = st.fixed_dictionaries(
    {
        "images": lists(id=ids, file_name=st.sampled_from(["a.jpg", "b.jpg", "a/../b.jpg", "gone.jpg"])),
        "categories": lists(id=ids),
        "annotations": lists(
            id=ids, image_id=ids, category_id=ids, bbox=st.lists(st.floats(-2, 20), min_size=4, max_size=4) | values
        ),
    }
).map(lambda document: json.dumps(document).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000, max_examples=200)
@given(content=st.binary(max_size=200) | documents | documents.map(lambda data: data[: len(data) // 2]))
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, content):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(photo)
    file = tmp_path / "x.json"
    file.write_bytes(content)
    assert 0 <= SPEC.recognise(file) <= 1
    try:
        images = opened(file)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
    else:
        assert isinstance(images, ImageSet)
        assert np.isfinite(images.boxes).all()
