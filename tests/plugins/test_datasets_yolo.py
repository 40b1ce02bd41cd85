"""YOLO: objects from rows of numbers, data.yaml and its paths, wrong rows, and what is left out and said."""

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
SPEC = SPECS["yolo"]
opened, refused = ways(SPEC)
YAML = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
ROW = "0 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def make(make_files):
    """A folder with pictures, and texts by path."""

    def write(texts, images=("images/train/a.jpg", "images/val/b.jpg")):
        root = make_files(*images)
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return write


@pytest.fixture
def plain(make):
    """A data set of two splits; more rows for the first picture, another data.yaml."""

    def write(rows="", yaml=YAML, **more):
        texts = {"data.yaml": yaml, "labels/train/a.txt": ROW + rows, "labels/val/b.txt": "1 0.25 0.25 0.5 0.5\n"}
        return make({**texts, **more})

    return write


class TestRows:
    def test_each_row_is_an_image(self, plain):
        root = plain("\n1 0.25 0.25 0.5 0.5\n")
        images = opened(root)
        assert rows(images) == {"images/train/a.jpg#1": "cat", "images/train/a.jpg#3": "dog", "images/val/b.jpg#1": "dog"}
        assert images.boxes.tolist() == [[6, 4, 18, 12], [0, 0, 12, 8], [0, 0, 12, 8]]
        assert images.splits.tolist() == [TRAIN, TRAIN, VAL]
        whole = np.asarray(Image.open(root / "images/train/a.jpg"))
        assert np.array_equal(np.asarray(images.load(0)), whole[4:12, 6:18])
        names = ["data.yaml", "labels/train/a.txt", "labels/val/b.txt"]
        assert images.sources == tuple(str(root / name) for name in names)
        check_dataset(SPEC, {"path": root})
        check_dataset(SPEC, {"path": root / "data.yaml"})

    def test_outlines_become_the_boxes_around_them(self, plain):
        images = opened(plain("1 0.125 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n"))
        assert images.boxes[1].tolist() == [3, 4, 18, 12]

    def test_key_points_behind_the_box(self, plain):
        images = opened(plain("1 0.25 0.25 0.5 0.5 0.1 0.1 2\n", yaml=YAML + "kpt_shape: [1, 3]\n"))
        assert images.boxes[1].tolist() == [0, 0, 12, 8]

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("0 nan 0.5 0.5 0.5", "not finite"),
            ("0 0.5 0.5 inf 0.5", "not finite"),
            ("0 0.5 0.5 -0.5 0.5", "no size"),
            ("0 0.5 0.5 0 0.5", "no size"),
            ("0 -0.5 0.5 0.5 0.5", "not within 0 and 1"),
            ("0 12 8 3 3", "not within 0 and 1"),
            ("0 0.5 0.5 0.5 0.5 0.9", "6 columns"),
            ("0 0.5 0.5", "3 columns"),
            ("999 0.5 0.5 0.5 0.5", "no class 999"),
            ("-1 0.5 0.5 0.5 0.5", "no class -1"),
            ("0.5 0.5 0.5 0.5 0.5", "no class 0.5"),
            ("cat 0.5 0.5 0.5 0.5", "numbers"),
        ],
    )
    def test_a_file_with_a_wrong_row_is_listed_and_not_half_used(self, make, row, words):
        texts = {"data.yaml": YAML, "labels/train/a.txt": f"{ROW}\n{row}\n", "labels/train/c.txt": ROW}
        texts["labels/val/b.txt"] = "1 0.25 0.25 0.5 0.5\n"
        images = opened(make(texts, images=["images/train/a.jpg", "images/train/c.jpg", "images/val/b.jpg"]))
        assert images.files == ("images/train/c.jpg", "images/val/b.jpg")
        assert said(images, "1 label file has a row", "labels/train/a.txt row 3: ", words)

    def test_upright_pictures(self, make, tmp_path):
        root = make({"classes.txt": "cat\ndog\n", "labels/a.txt": ROW + "1 0.25 0.25 0.5 0.5\n"}, images=["images/a.jpg"])
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (40, 20)).save(root / "images/a.jpg", exif=exif)
        images = opened(root)
        assert images.boxes[0].tolist() == [5, 10, 15, 30]
        assert images.load(0).size == (10, 20)

    def test_pictures_without_objects_and_labels_without_pictures(self, make):
        texts = {"data.yaml": YAML, "labels/train/a.txt": ROW, "labels/val/b.txt": "1 0.25 0.25 0.5 0.5\n"}
        texts |= {"labels/train/empty.txt": "", "labels/train/gone.txt": ROW}
        images = ["images/train/a.jpg", "images/train/empty.jpg", "images/train/none.jpg", "images/val/b.jpg"]
        images = opened(make(texts, images=images))
        assert len(images) == 2
        assert said(images, "2 pictures have no object")
        assert said(images, "1 picture is not there", "labels/train/gone.txt")

    def test_a_picture_in_two_splits_counts_once(self, plain):
        images = opened(plain(yaml=YAML.replace("images/val", "[images/val, images/train]")))
        assert images.splits.tolist() == [TRAIN, VAL]
        assert said(images, "1 picture is in two splits", "images/train/a.jpg")

    def test_a_picture_that_is_none(self, plain):
        root = plain()
        (root / "images/train/c.jpg").write_bytes(b"text")
        (root / "labels/train/c.txt").write_text(ROW)
        assert said(opened(root), "1 picture that cannot be read", "images/train/c.jpg")


class TestDescription:
    @pytest.mark.parametrize(
        "yaml",
        [
            YAML,
            "\ufeff" + YAML.replace("\n", "\r\n"),
            "train: images/train\nval: images/val\nnames: [cat, dog]\n",
            "train: ./images/train\nval: [images/val]\nnc: 2\nnames: ['cat', 'dog']\n",
            "train: ../images/train\nval: ../images/val\nnames: [cat, dog]\n",
            "path: ../datasets/pets\ntrain: images/train # 1 image\nval: images/val\nnames:\n- cat\n- dog\n",
            "train: images\\train\nval: images/val\nnames: [cat, dog]\n",
        ],
    )
    def test_every_style_gives_the_same_data(self, plain, yaml):
        images = opened(plain(yaml=yaml))
        assert rows(images) == {"images/train/a.jpg#1": "cat", "images/val/b.jpg#1": "dog"}
        assert images.splits.tolist() == [TRAIN, VAL]

    def test_names_stay_text(self, plain):
        assert opened(plain(yaml=YAML.replace("cat", "no").replace("dog", "1.0"))).classes == ("no", "1.0")

    def test_the_folders_of_roboflow(self, make):
        yaml = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [cat, dog]\n"
        texts = {"data.yaml": yaml}
        texts |= {f"{split}/labels/a.txt": ROW + "1 0.2 0.2 0.2 0.2\n" for split in ("train", "valid", "test")}
        images = opened(make(texts, images=["train/images/a.jpg", "valid/images/a.jpg", "test/images/a.jpg"]))
        assert images.splits.tolist() == [TRAIN, TRAIN, VAL, VAL, TEST, TEST]

    def test_paths_that_lead_out_are_not_followed(self, make, make_files, tmp_path):
        make_files("images/x.jpg", root=tmp_path / "other")
        yaml = f"train: {tmp_path}/other/images\nval: ../other/images\nnames: [cat, dog]\n"
        root = make({"data.yaml": yaml, "labels/train/a.txt": ROW + "1 0.2 0.2 0.2 0.2\n"})
        images = opened(root)
        assert set(images.files) == {"images/train/a.jpg"}
        assert said(images, "not there", "other/images")

    def test_a_list_of_pictures(self, make):
        lists = {"train.txt": "./images/train/a.jpg\nimages/train/gone.jpg\n", "val.txt": "images/val/b.jpg\n"}
        yaml = "train: train.txt\nval: val.txt\nnames: [cat, dog]\n"
        texts = {"data.yaml": yaml, "labels/train/a.txt": ROW, "labels/val/b.txt": "1 0.25 0.25 0.5 0.5\n", **lists}
        root = make(texts)
        images = opened(root)
        assert images.splits.tolist() == [TRAIN, VAL]
        assert said(images, "train.txt: 1 picture is not there", "gone.jpg")
        (root / "val.txt").write_text("../../x.jpg\n/etc/passwd\nC:\\x.jpg\n\\\\server\\x.jpg\n")
        error = refused(root)
        assert "4 files outside" in error.title
        assert "/etc/passwd" in error.detail

    def test_names_from_a_text_file(self, make):
        texts = {"labels/classes.txt": "cat\ndog\n", "labels/a.txt": ROW + "1 0.25 0.25 0.5 0.5\n"}
        images = opened(make(texts, images=["images/a.jpg"]))
        assert images.classes == ("cat", "dog")
        assert images.splits is None

    def test_no_names_at_all(self, make):
        images = opened(make({"labels/a.txt": "7 0.5 0.5 0.5 0.5\n10 0.25 0.25 0.5 0.5\n"}, images=["images/a.jpg"]))
        assert images.classes == ("7", "10")
        assert said(images, "no class names")

    @pytest.mark.parametrize(
        ("yaml", "words"),
        [
            ("train: [\nnames: x", "no proper YAML in line"),
            ("[" * 100_000, "nested too deep"),
            ("train: x\nnames: 7\n", "no list of class names"),
            ("- a\n", "describes no YOLO"),
            ("", "describes no YOLO"),
            ("a: !!python/object/apply:os.system [ls]\n", "no list of class names"),
            ("#" * 2**20, "too large"),
        ],
    )
    def test_a_description_that_is_none(self, plain, yaml, words):
        assert words in refused(plain(yaml=yaml) / "data.yaml").title

    def test_nothing_there(self, tmp_path):
        assert "no labelled objects" in refused(tmp_path).title
        assert "does not exist" in refused(tmp_path / "missing").title


class TestRecognise:
    def test_how_sure(self, plain, make_files, tmp_path):
        root = plain()
        sure = {name: spec.recognise(root) for name, spec in SPECS.items() if spec.recognise}
        assert max(sure, key=sure.get) == "yolo"
        assert SPEC.recognise(root / "data.yaml") > 0.9
        (root / "data.yaml").unlink()
        assert SPEC.recognise(root) > SPECS["folder"].recognise(root)

    def test_class_folders_are_not_meant(self, make_files):
        root = make_files("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", **{"x.yaml": b"a: 1\n"})
        assert SPEC.recognise(root) == 0.0
        assert SPEC.recognise(root / "x.yaml") == 0.0


values = st.floats(-0.1, 1.1).map(str) | st.floats().map(str) | st.sampled_from(["0", "1", "x", "1e400"])
label_files = st.lists(st.lists(values, max_size=9).map(" ".join), max_size=5).map("\n".join).map(str.encode)
yamls = st.sampled_from(
    [YAML, "names: [a, b]\ntrain: images", "names: {0: a, x: b}\ntrain: ..", "names: &a [*a]\nval: images\n"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(
    rows=st.binary(max_size=100) | label_files, yaml=yamls.map(str.encode) | st.binary(max_size=100) | st.text().map(str.encode)
)
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, rows, yaml):
    for name in ("labels", "images"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "images/a.jpg").write_bytes(photo)
    (tmp_path / "labels/a.txt").write_bytes(rows)
    (tmp_path / "data.yaml").write_bytes(yaml)
    for path in (tmp_path, tmp_path / "data.yaml"):
        assert 0 <= SPEC.recognise(path) <= 1
        try:
            images = opened(path)
        except DataError as error:
            str(error).encode()  # it can be shown and stored
        else:
            assert isinstance(images, ImageSet)
            assert [images.load(index).mode for index in range(len(images))] == ["RGB"] * len(images)
