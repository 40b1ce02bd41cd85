"""Image folders with metadata.jsonl or metadata.csv, as Hugging Face writes them, and files of JSON lines."""

import json
import os

import pytest
from dataset_kinds import rows, said, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlstudio_datasets
from tlstudio.api import NO_SPLIT, TEST, TRAIN, VAL, DataError, ImageSet
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["imagefolder"]
opened, refused = ways(SPEC)
PLAIN = [("a.jpg", "cat"), ("b.jpg", "dog"), ("c.jpg", "cat")]


def lines(rows, field="label"):
    return "".join(json.dumps({"file_name": name, field: label}) + "\n" for name, label in rows).encode()


@pytest.fixture
def folder(make_files):
    def make(content=None, name="metadata.jsonl", images=("a.jpg", "b.jpg", "c.jpg")):
        return make_files(*images, **{name: lines(PLAIN) if content is None else content})

    return make


class TestLayouts:
    def test_a_folder_with_metadata(self, folder):
        root = folder()
        images = opened(root)
        assert rows(images) == dict(PLAIN)
        assert images.splits is None
        assert images.sources == (str(root / "metadata.jsonl"),)
        check_dataset(SPEC, {"path": root})

    @pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + lines(PLAIN), lines(PLAIN).replace(b"\n", b"\r\n\r\n")])
    def test_byte_order_mark_and_line_ends_do_not_matter(self, folder, content):
        assert rows(opened(folder(content))) == dict(PLAIN)

    def test_metadata_as_csv(self, folder):
        root = folder(b"file_name,label\na.jpg,cat\nb.jpg,dog\n", name="metadata.csv")
        assert rows(opened(root)) == {"a.jpg": "cat", "b.jpg": "dog"}

    def test_split_folders_with_metadata_of_their_own(self, make_files):
        root = make_files("train/1.jpg", "train/2.jpg", "validation/1.jpg", "test/sub/1.jpg")
        (root / "train/metadata.jsonl").write_bytes(lines([("1.jpg", "cat"), ("2.jpg", "dog")]))
        (root / "validation/metadata.jsonl").write_bytes(lines([("1.jpg", "dog"), ("gone.jpg", "cat")]))
        (root / "test/metadata.csv").write_text("file_name,label\nsub/1.jpg,cat\n")
        images = opened(root)
        assert dict(zip(images.keys, images.splits.tolist(), strict=True)) == {
            "train/1.jpg": TRAIN, "train/2.jpg": TRAIN, "validation/1.jpg": VAL, "test/sub/1.jpg": TEST,
        }  # fmt: skip
        assert rows(images)["validation/1.jpg"] == "dog"
        assert len(images.sources) == 3
        assert said(images, "validation/metadata.jsonl", "1 image is not there", "row 2: gone.jpg")
        check_dataset(SPEC, {"path": root})

    def test_one_file_that_names_the_split_folders(self, make_files):
        root = make_files("train/1.jpg", "test/1.jpg", "1.jpg")
        (root / "metadata.jsonl").write_bytes(lines([("train/1.jpg", "a"), ("test/1.jpg", "b"), ("1.jpg", "b")]))
        assert opened(root).splits.tolist() == [TRAIN, TEST, NO_SPLIT]

    def test_files_in_the_splits_beside_one_for_all_are_named(self, folder):
        root = folder()
        (root / "train").mkdir()
        (root / "train/metadata.jsonl").write_bytes(lines(PLAIN))
        assert said(opened(root), "Not read", "train/metadata.jsonl")

    def test_a_file_of_json_lines(self, make_files):
        root = make_files("a.jpg", "b.jpg")
        file = root / "list.jsonl"
        file.write_text('{"image": "a.jpg", "class": 3, "split": "train"}\n{"image": "b.jpg", "class": 10, "split": "val"}\n')
        images = opened(file)
        assert images.classes == ("3", "10")
        assert images.splits.tolist() == [TRAIN, VAL]

    def test_another_field_of_labels(self, folder):
        root = folder(lines(PLAIN, field="kind"))
        assert "no field label" in refused(root).title
        assert "such as kind" in refused(root).hint
        assert rows(opened(root, label="kind")) == dict(PLAIN)
        (root / "metadata.jsonl").unlink()
        (root / "metadata.csv").write_text("file_name,kind\na.jpg,cat\nb.jpg,dog\n")
        assert "no column named label" in refused(root).title
        assert opened(root, label="kind").classes == ("cat", "dog")


class TestRows:
    def test_no_label_is_unlabelled(self, folder):
        images = opened(folder(lines(PLAIN) + b'{"file_name": "d.jpg"}\n', images=["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
        assert rows(images)["d.jpg"] is None
        assert said(images, "1 image has no label")

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ({"file_name": "d.jpg", "label": ["cat"]}, "row 4: its label is neither text nor a number"),
            ({"file_name": 7, "label": "cat"}, "row 4: it names no file"),
            ({"label": "cat"}, "row 4: it names no file"),
        ],
    )
    def test_rows_that_cannot_be_used_are_refused_with_their_numbers(self, folder, line, words):
        assert words in refused(folder(lines(PLAIN) + json.dumps(line).encode())).detail

    def test_two_labels_for_one_image_are_refused(self, folder):
        error = refused(folder(lines([*PLAIN, ("./a.jpg", "dog")])))
        assert error.detail == "a.jpg: row 1 says label 'cat', row 4 says label 'dog'"

    @pytest.mark.parametrize("path", ["../../x.jpg", "/etc/passwd", "\\\\server\\x.jpg", "C:\\x.jpg", "sub\\..\\..\\x.jpg"])
    def test_paths_that_lead_out_are_refused(self, folder, path):
        error = refused(folder(lines([*PLAIN, (path, "dog")])))
        assert "1 file outside" in error.title
        assert error.detail.startswith("row 4: ")

    def test_a_split_folder_cannot_name_the_files_of_another(self, make_files):
        root = make_files("train/1.jpg", "test/1.jpg")
        (root / "train/metadata.jsonl").write_bytes(lines([("1.jpg", "a"), ("../test/1.jpg", "b")]))
        assert "outside" in refused(root).title

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (lines(PLAIN)[:-5], "it ends too early in line 3, column"),
            (lines(PLAIN) + b"{'a': 1}", "in line 4, column 2"),
            (lines(PLAIN) + b"[1]", "Line 4 of metadata.jsonl is no JSON object"),
            (lines(PLAIN) + b"[" * 100_000, "Line 4 of metadata.jsonl cannot be read: it is nested too deep"),
            (lines(PLAIN) + b'{"label": ' + b"9" * 5000 + b"}", "a number in it is too long"),
            (lines(PLAIN) + b'{"label": "\xff"}', "not stored as UTF-8"),
            (b"", "is empty"),
        ],
    )
    def test_broken_files_are_refused_with_the_place(self, folder, content, words):
        assert words in refused(folder(content)).title

    def test_nothing_there(self, tmp_path):
        assert "no metadata.jsonl" in refused(tmp_path).title


class TestRecognise:
    def test_it_wins_over_class_folders(self, make_files):
        root = make_files("train/1.jpg", "test/1.jpg")
        for split in ("train", "test"):
            (root / split / "metadata.jsonl").write_bytes(lines([("1.jpg", "a")]))
        sure = {name: spec.recognise(root) for name, spec in SPECS.items() if spec.recognise}
        assert max(sure, key=sure.get) == "imagefolder"

    def test_class_folders_with_captions_stay_class_folders(self, make_files):
        root = make_files("cat/1.jpg", "dog/1.jpg", **{"metadata.jsonl": b'{"file_name": "cat/1.jpg", "text": "a cat"}\n'})
        assert SPEC.recognise(root) < SPECS["folder"].recognise(root)

    def test_files(self, folder):
        root = folder()
        assert SPEC.recognise(root / "metadata.jsonl") > 0.9
        assert SPEC.recognise(root / "a.jpg") == 0.0
        assert SPEC.recognise(root / "missing.jsonl") == 0.0


near_lines = st.lists(
    st.dictionaries(
        st.sampled_from(["file_name", "label", "split", "group", "x"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from(["a.jpg", "b.jpg", "../c"])
        | st.text()
        | st.lists(st.text()),
    ),
    max_size=6,
).map(lambda records: "\n".join(json.dumps(record) for record in records).encode())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(content=st.binary(max_size=200) | near_lines | near_lines.map(lambda data: data[: len(data) // 2]))
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, content):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(photo)
    (tmp_path / "metadata.jsonl").write_bytes(content)
    assert 0 <= SPEC.recognise(tmp_path) <= 1
    try:
        images = opened(tmp_path)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
    else:
        assert isinstance(images, ImageSet)
        assert {os.path.dirname(images.path(index)) for index in range(len(images))} == {str(tmp_path)}
