"""Pascal VOC: objects from XML files, splits from lists, XML that is refused, and what is left out and said."""

from pathlib import Path

import numpy as np
import pytest
from dataset_kinds import rows, said, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tlstudio_datasets
from tlstudio.api import NO_SPLIT, TEST, TRAIN, VAL, DataError, ImageSet
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["voc"]
opened, refused = ways(SPEC)
BCCD = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "bccd"
BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


def xml(*objects, filename="a.jpg", before="", size=(24, 16)):
    sizes = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{before}<annotation><filename>{filename}</filename>{sizes}{''.join(objects)}</annotation>"


def thing(name="cat", box=(3, 4, 12, 8), more=""):
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


@pytest.fixture
def devkit(make_files):
    """A folder with Annotations and JPEGImages from texts by name, and lists by name."""

    def make(texts=None, below="", **lists):
        texts = texts or {"a": xml(thing(), thing("dog", (1, 1, 24, 16))), "b": xml(thing("dog"), filename="b.jpg")}
        root = make_files(*(f"{below}JPEGImages/{name}.jpg" for name in texts))
        folder = root / below / "Annotations"
        folder.mkdir(parents=True)
        for name, text in texts.items():
            (folder / f"{name}.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, words in lists.items():
            file = root / below / "ImageSets/Main" / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(words) + "\n")
        return root

    return make


class TestObjects:
    def test_each_object_is_an_image(self, devkit):
        root = devkit()
        images = opened(root)
        assert rows(images) == {"JPEGImages/a.jpg#1": "cat", "JPEGImages/a.jpg#2": "dog", "JPEGImages/b.jpg#1": "dog"}
        assert images.boxes[0].tolist() == [2, 3, 12, 8]
        whole = np.asarray(Image.open(root / "JPEGImages/a.jpg"))
        assert np.array_equal(np.asarray(images.load(0)), whole[3:8, 2:12])
        assert images.load(1).size == (24, 16)
        assert images.sources == (str(root / "Annotations/a.xml"), str(root / "Annotations/b.xml"))
        check_dataset(SPEC, {"path": root})

    def test_the_parts_of_an_object_are_not_the_object(self, devkit):
        part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
        images = opened(devkit({"a": xml(thing(more=part), thing("dog", (1, 1, 5, 5)))}))
        assert "head" not in images.classes

    def test_difficult_objects_can_be_left_out(self, devkit):
        hard = thing("dog", (1, 1, 9, 9), more="<difficult>1</difficult>")
        root = devkit({"a": xml(thing(), hard, thing("dog", (2, 2, 9, 9)))})
        assert len(opened(root)) == 3
        images = opened(root, difficult=False)
        assert len(images) == 2
        assert said(images, "1 object", "difficult", "a.xml object 2")

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (thing(box=("x", 1, 5, 5)), "not four numbers"),
            (thing(box=("nan", 1, 5, 5)), "not four numbers"),
            (thing(box=(9, 1, 5, 5)), "no size"),
            (thing(box=(30, 1, 35, 5)), "outside"),
            (thing(name=" "), "no name"),
            ("<object/>", "no name"),
        ],
    )
    def test_objects_that_cannot_be_used_are_listed(self, devkit, wrong, words):
        images = opened(devkit({"a": xml(thing(), thing("dog", (1, 1, 9, 9)), wrong)}))
        assert len(images) == 2
        assert said(images, "1 object", words)

    def test_a_single_class_is_refused(self, devkit):
        assert "one class, 'cat'" in refused(devkit({"a": xml(thing())})).title


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (xml(thing(), before=BOMB).replace("cat", "&y;"), "document type"),
            (xml(thing(), before=OUTSIDE).replace("cat", "&x;"), "document type"),
            (xml(thing(), before="<!DOCTYPE annotation>"), "document type"),
            (xml(thing()).replace("cat", "&x;"), "undefined entity in line 1, column"),
            (xml(thing())[:-20], "no proper XML"),
            ("", "no proper XML"),
            ("<html/>", "no annotation of Pascal VOC"),
            ("<a>" * 100_000, "nested too deep"),
            ('<?xml version="1.0" encoding="no-such"?>' + xml(thing()), ""),
            (b"\xff\xfe\x00", "no proper XML"),
        ],
    )
    def test_files_that_cannot_be_used_are_listed_and_left_out(self, devkit, text, words):
        images = opened(devkit({"a": xml(thing(), thing("dog", (1, 1, 9, 9))), "b": text}))
        assert set(images.files) == {"JPEGImages/a.jpg"}
        assert said(images, "1 annotation file left out", "b.xml (it", words)
        assert "root:" not in "".join(images.notes)

    def test_missing_pictures_are_counted(self, devkit):
        root = devkit({"a": xml(thing(), thing("dog")), "b": xml(thing(), filename="../../b.jpg"), "c": xml()})
        (root / "JPEGImages/b.jpg").rename(root / "b.jpg")
        assert said(opened_two(root), "1 picture is not there", "b.xml")
        assert said(opened_two(root), "1 picture has no object")

    def test_the_picture_may_have_another_name(self, devkit):
        root = devkit({"1": xml(thing(), thing("dog", (1, 1, 4, 4)), filename="a.jpg")})
        (root / "JPEGImages/1.jpg").rename(root / "JPEGImages/a.jpg")
        assert opened(root).files == ("JPEGImages/a.jpg",) * 2

    def test_xml_beside_the_images_in_split_folders(self, make_files):
        root = make_files("train/a.jpg", "valid/b.jpg")
        (root / "train/a.xml").write_text(xml(thing(), thing("dog", (1, 1, 4, 4))))
        (root / "valid/b.xml").write_text(xml(thing()))
        images = opened(root)
        assert images.splits.tolist() == [TRAIN, TRAIN, VAL]
        assert SPEC.recognise(root) > SPECS["folder"].recognise(root)

    def test_the_years_of_a_devkit(self, devkit):
        root = devkit(below="VOC2007/", train=["a"], test=["b"])
        devkit({"c": xml(thing(), thing("dog", (1, 1, 4, 4)))}, below="VOC2012/", val=["c"])
        images = opened(root)
        assert dict(zip(images.files, images.splits.tolist(), strict=True)) == {
            "VOC2007/JPEGImages/a.jpg": TRAIN,
            "VOC2007/JPEGImages/b.jpg": TEST,
            "VOC2012/JPEGImages/c.jpg": VAL,
        }

    def test_nothing_there(self, tmp_path):
        assert "no annotations of Pascal VOC" in refused(tmp_path).title
        assert refused(tmp_path / "missing").hint


def opened_two(root):
    """Opened after a second class is made sure of."""
    (root / "Annotations/a.xml").write_text(xml(thing(), thing("dog", (1, 1, 9, 9))))
    return opened(root)


class TestSplits:
    def test_lists_say_the_splits(self, devkit):
        names = "abcde"
        root = devkit({name: xml(thing(), thing("dog", (1, 1, 4, 4))) for name in names}, train=["a"], val=["b"], test=["c"],
                      trainval=["a", "b", "d"])  # fmt: skip
        images = opened(root)
        splits = {Path(file).stem: split for file, split in zip(images.files, images.splits.tolist(), strict=True)}
        assert splits == {"a": TRAIN, "b": VAL, "c": TEST, "d": TRAIN, "e": NO_SPLIT}
        assert said(images, "1 picture is in none of the lists")
        assert len(images.sources) == 5 + 4

    def test_a_picture_in_two_lists_is_tested_on_and_not_learnt(self, devkit):
        images = opened(devkit(train=["a", "b"], test=["b"]))
        assert images.splits.tolist() == [TRAIN, TRAIN, TEST]
        assert said(images, "1 picture is in several lists", "b")


@pytest.mark.skipif(not BCCD.is_dir(), reason="the blood cells are not here")
def test_blood_cells():
    images = opened(BCCD)
    counts = dict(zip(images.classes, np.bincount(images.labels).tolist(), strict=True))
    assert counts == {"Platelets": 361, "RBC": 4155, "WBC": 372}
    assert len(set(images.files)) == 364
    assert len(set(np.array(images.files)[images.splits == TEST])) == 72
    sure = {name: spec.recognise(BCCD) for name, spec in SPECS.items() if spec.recognise}
    assert max(sure, key=sure.get) == "voc"
    check_dataset(SPEC, {"path": BCCD})


numbers = st.integers(-5, 30).map(str) | st.floats().map(str) | st.text(max_size=3)
things = st.builds(
    lambda name, box, more: thing(name, box, more),
    st.sampled_from(["cat", "dog"]) | st.text(max_size=5),
    st.tuples(*[numbers] * 4),
    st.sampled_from(["", "<difficult>1</difficult>", "<x>", "&amp;", "&y;", "<object/>"]),
)
texts = st.builds(
    lambda objects, before: xml(*objects, before=before), st.lists(things, max_size=4), st.sampled_from(["", BOMB])
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(content=st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "replace")), keep=st.floats(0.5, 1.5))
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, content, keep):
    for name in ("Annotations", "JPEGImages"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "JPEGImages/a.jpg").write_bytes(photo)
    (tmp_path / "Annotations/a.xml").write_bytes(content[: int(len(content) * keep)])
    try:
        images = opened(tmp_path)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
    else:
        assert isinstance(images, ImageSet)
        assert [images.load(index).mode for index in range(len(images))] == ["RGB"] * len(images)
