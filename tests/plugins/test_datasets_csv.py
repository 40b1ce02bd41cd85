"""CSV files: encodings, delimiters and headers, paths that must stay inside, contradictions, and what is left out and said."""

import os
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlstudio_datasets
from tlstudio.api import NO_SPLIT, TEST, TRAIN, UNLABELLED, VAL, DataError, ImageSet
from tlstudio.testing import check_dataset

SPEC = next(spec for spec in tlstudio_datasets.register_datasets() if spec.name == "csv")
PLAIN = "path,label\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n"


@pytest.fixture
def table(make_files):
    """Write a table beside three images; text or bytes."""

    def write(content, name="labels.csv", images=("a.jpg", "b.jpg", "c.jpg")):
        root = make_files(*images)
        file = root / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


def opened(file, **options):
    return SPEC.open(SPEC.options(path=file, **options))


def refused(file, **options):
    with pytest.raises(DataError) as caught:
        opened(file, **options)
    return caught.value


def rows(images):
    labels = [None if label == UNLABELLED else images.classes[label] for label in images.labels]
    return dict(zip(images.keys, labels, strict=True))


def said(images, *words):
    return any(all(word in note for word in words) for note in images.notes)


class TestText:
    @pytest.mark.parametrize(
        "content",
        [
            PLAIN,
            PLAIN.rstrip("\n"),
            b"\xef\xbb\xbf" + PLAIN.encode(),
            PLAIN.replace("\n", "\r\n"),
            PLAIN.replace("\n", "\n\n"),
            "\n\n" + PLAIN,
            PLAIN.replace(",", ";"),
            PLAIN.replace(",", "\t"),
            PLAIN.replace(",", ", "),
            PLAIN.replace("a.jpg", '"a.jpg"'),
            PLAIN.replace("path,label", '"Path","LABEL"'),
            PLAIN.replace("path", "file"),
            PLAIN.replace("path", "filename"),
            PLAIN.replace("path", "image"),
            PLAIN.replace("path,label", "FilePath,Class"),
            "label,id,path\ncat,1,a.jpg\ndog,2,b.jpg\ncat,3,c.jpg\n",
            "path,label,note\na.jpg,cat\nb.jpg,dog,x,y\nc.jpg,cat,\n",
        ],
    )
    def test_every_style_gives_the_same_data(self, table, content):
        file = table(content)
        images = opened(file)
        assert images.classes == ("cat", "dog")
        assert rows(images) == {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "cat"}
        assert images.splits is None
        assert images.groups is None
        assert images.path(1) == file.parent / "b.jpg"
        assert images.sources == (str(file),)

    def test_data_set_keeps_its_promises(self, table):
        check_dataset(SPEC, {"path": table(PLAIN)})

    def test_commas_and_quotes_inside_values(self, table):
        images = opened(table('path,label\n"a,1.jpg","cat, big"\nb.jpg,"a ""dog"""\n', images=["a,1.jpg", "b.jpg"]))
        assert rows(images) == {"a,1.jpg": "cat, big", "b.jpg": 'a "dog"'}

    def test_commas_in_the_values_of_a_file_with_semicolons(self, table):
        images = opened(table("path;label\na.jpg;cat, big\nb.jpg;dog, small\n"))
        assert images.classes == ("cat, big", "dog, small")

    @pytest.mark.parametrize(
        ("encoding", "label"), [("cp1252", "M\xfcller"), ("cp1252", "caf\xe9"), ("shift_jis", "\u732b\u306e\u5b50")]
    )
    def test_other_encodings_are_refused_and_can_be_named(self, table, encoding, label):
        file = table(PLAIN.replace("dog", label).encode(encoding))
        error = refused(file)
        assert "not stored as UTF-8" in error.title
        assert f"it may be {encoding}" in error.title
        assert "Line 3" in error.detail
        assert label in error.detail
        assert "option encoding" in error.hint
        assert label in opened(file, encoding=encoding).classes

    def test_utf16_is_named(self, table):
        file = table(PLAIN.encode("utf-16"))
        assert "UTF-16" in refused(file).title
        assert len(opened(file, encoding="utf-16")) == 3

    @pytest.mark.parametrize("encoding", ["no-such", "base64", "rot13"])
    def test_an_encoding_that_is_none(self, table, encoding):
        assert "not known" in refused(table(PLAIN), encoding=encoding).title

    def test_a_missing_column_is_named_with_what_is_there(self, table):
        error = refused(table("name,label\na.jpg,cat\n"))
        assert "no column named path" in error.title
        assert "name,label" in error.detail
        assert "path,label" in error.hint
        assert "label" in refused(table("path,kind\na.jpg,cat\n")).title

    def test_no_header(self, table):
        assert "a.jpg,cat" in refused(table("a.jpg,cat\nb.jpg,dog\n")).detail

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", "no column"),
            ("\n\n", "no column"),
            ("path,label\n", "no rows"),
            ("path,label\na.jpg,\nb.jpg,\n", "No row"),
            ("path,label\na.jpg,cat\nb.jpg,cat\n", "one class, 'cat'"),
            ("path,label\n,cat\nb.jpg,dog\n", "rows without a path"),
            ("path,label\na.jpg," + "x" * 200_000, "no proper CSV"),
        ],
    )
    def test_tables_that_cannot_be_used(self, table, content, words):
        error = refused(table(content))
        assert words in error.title
        assert error.hint

    def test_a_missing_file(self, tmp_path):
        assert "does not exist" in refused(tmp_path / "missing.csv").title
        assert "is not a file" in refused(tmp_path).title


class TestColumns:
    def test_splits_and_groups(self, table):
        content = "path,label,split,group\na.jpg,cat,Train,p1\nb.jpg,dog,valid,p2\nc.jpg,cat,TESTING,\nd.jpg,dog,,p1\n"
        images = opened(table(content, images=["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
        assert images.splits.tolist() == [TRAIN, VAL, TEST, NO_SPLIT]
        assert images.groups == ("p1", "p2", "c.jpg", "p1")

    def test_empty_columns_count_as_none(self, table):
        images = opened(table("path,label,split,group\na.jpg,cat,,\nb.jpg,dog,,\n"))
        assert (images.splits, images.groups) == (None, None)

    def test_an_unknown_split_is_refused_with_its_rows(self, table):
        error = refused(table("path,label,split\na.jpg,cat,train\nb.jpg,dog,holdout\nc.jpg,cat,trian\n"))
        assert "2 rows" in error.title
        assert error.detail == "row 3: 'holdout'\nrow 4: 'trian'"

    def test_an_empty_label_is_unlabelled(self, table):
        images = opened(table("path,label\na.jpg,cat\nb.jpg,dog\nc.jpg,  \n"))
        assert rows(images)["c.jpg"] is None
        assert said(images, "1 image has no label")

    def test_natural_order_of_classes(self, table):
        assert opened(table("path,label\na.jpg,10\nb.jpg,9\nc.jpg,1\n")).classes == ("1", "9", "10")

    def test_labels_that_look_alike_are_named_and_kept_apart(self, table):
        images = opened(table("path,label\na.jpg,cat\nb.jpg,Cat \nc.jpg,dog\n"))
        assert set(images.classes) == {"cat", "Cat ", "dog"}
        assert said(images, "look alike", "'cat'", "'Cat '")

    def test_a_class_missing_from_val_is_named(self, table):
        images = opened(table("path,label,split\na.jpg,cat,train\nb.jpg,dog,train\nc.jpg,cat,val\n"))
        assert images.classes == ("cat", "dog")
        assert said(images, "without an image in val", "dog")

    def test_another_column_of_labels(self, table):
        file = table("path,kind\na.jpg,cat\nb.jpg,dog\n")
        assert opened(file, label="Kind").classes == ("cat", "dog")
        assert "no column named species" in refused(file, label="species").title


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "../../x.jpg",
            "..",
            "sub/../../x.jpg",
            "..\\x.jpg",
            "/etc/passwd",
            "\\\\server\\share\\x.jpg",
            "//server/share/x.jpg",
            "C:\\x.jpg",
            "c:x.jpg",
            ".",
            "a\0.jpg",
        ],
    )
    def test_paths_that_lead_out_are_refused_and_nothing_is_read(self, table, path, monkeypatch):
        file = table(f"path,label\na.jpg,cat\n{path},dog\nc.jpg,cat\n{path},dog\n")

        def forbidden(*_args, **_kwargs):
            raise AssertionError("a file was looked at")

        monkeypatch.setattr("tlstudio_datasets.table.existing", forbidden)  # the one place that looks at images
        error = refused(file)
        assert "2 files outside" in error.title
        assert error.detail.startswith("row 3: ")
        assert "row 5: " in error.detail
        assert "Nothing was read" in error.hint

    def test_paths_inside_are_brought_to_one_form(self, table):
        content = "path,label\nsub\\b.jpg,dog\n./a.jpg,cat\nsub/../c.jpg,cat\n"
        images = opened(table(content, images=["a.jpg", "sub/b.jpg", "c.jpg"]))
        assert images.keys == ("sub/b.jpg", "a.jpg", "c.jpg")

    def test_an_absolute_path_inside_is_fine(self, table):
        file = table(PLAIN)
        file.write_text(PLAIN.replace("a.jpg", str(file.parent / "a.jpg")))
        assert rows(opened(file))["a.jpg"] == "cat"
        file.write_text(PLAIN.replace("a.jpg", f"{file.parent}/../x.jpg"))
        assert "1 file outside" in refused(file).title

    @pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
    def test_links_that_lead_out_are_refused(self, table, make_files, tmp_path):
        outside = make_files("x.jpg", root=tmp_path / "outside")
        file = table("path,label\na.jpg,cat\nlink.jpg,dog\nfolder/x.jpg,dog\ninner.jpg,cat\n")
        (file.parent / "link.jpg").symlink_to(outside / "x.jpg")
        (file.parent / "folder").symlink_to(outside)
        (file.parent / "inner.jpg").symlink_to("b.jpg")
        error = refused(file)
        assert error.detail == "row 3: link.jpg\nrow 4: folder/x.jpg"

    def test_another_image_folder(self, table, make_files, tmp_path):
        file = table(PLAIN, images=[])
        assert "None of the images" in refused(file).title
        assert "option root" in refused(file).hint
        pictures = make_files("a.jpg", "b.jpg", "c.jpg", root=tmp_path / "pictures")
        assert opened(file, root=pictures).load(0).size == (24, 16)
        assert opened(file, root="../pictures").root == pictures
        assert "does not exist" in refused(file, root="nowhere").title


class TestRows:
    def test_missing_images_are_left_out_with_their_rows(self, table):
        images = opened(table(PLAIN + "gone.jpg,dog\nsub/gone.jpg,cat\n"))
        assert len(images) == 3
        assert said(images, "2 images are not there", "row 5: gone.jpg", "row 6: sub/gone.jpg")

    def test_a_folder_or_a_pipe_is_no_image(self, table):
        file = table(PLAIN + "folder.jpg,dog\n")
        (file.parent / "folder.jpg").mkdir()
        assert said(opened(file), "1 image is not there", "row 5")

    def test_exact_repetitions_are_left_out_with_their_rows(self, table):
        images = opened(table(PLAIN + "a.jpg,cat\n./a.jpg,cat\n"))
        assert len(images) == 3
        assert said(images, "2 rows say again", "5, 6")

    @pytest.mark.parametrize(
        ("second", "words"),
        [
            ("a.jpg,dog,train,p1", "label 'dog'"),
            ("a.jpg,cat,val,p1", "split 'val'"),
            ("a.jpg,cat,train,p2", "group 'p2'"),
            ("./a.jpg,,train,p1", "split 'train'"),
        ],
    )
    def test_contradictions_are_refused_with_both_rows(self, table, second, words):
        error = refused(table(f"path,label,split,group\na.jpg,cat,train,p1\nb.jpg,dog,train,p1\n{second}\n"))
        assert "contradicts itself about 1 image" in error.title
        assert error.detail.startswith("a.jpg: row 2 says label 'cat', split 'train', group 'p1', row 4 says ")
        assert words in error.detail

    def test_two_words_for_one_split_are_no_contradiction(self, table):
        assert len(opened(table("path,label,split\na.jpg,cat,val\nb.jpg,dog,val\na.jpg,cat,valid\n"))) == 2

    def test_blank_lines_count_as_a_spreadsheet_counts_them(self, table):
        error = refused(table("path,label,split\n\na.jpg,cat,train\n\nb.jpg,dog,wrong\n"))
        assert error.detail == "row 5: 'wrong'"

    def test_a_long_list_of_rows_is_cut(self, table):
        lines = "".join(f"../{index}.jpg,cat\n" for index in range(50))
        assert refused(table("path,label\n" + lines)).detail.endswith("row 21: ../19.jpg\nand 30 more")


class TestRecognise:
    @pytest.mark.parametrize(
        ("name", "content", "low", "high"),
        [
            ("x.csv", PLAIN, 0.9, 1.0),
            ("x.CSV", PLAIN.replace(",", ";"), 0.9, 1.0),
            ("x.tsv", PLAIN.replace(",", "\t"), 0.9, 1.0),
            ("x.txt", PLAIN, 0.9, 1.0),
            ("x.csv", "name,kind\n", 0.1, 0.5),
            ("x.csv", "", 0.1, 0.5),
            ("x.csv", b"\xff\xfe\x00", 0.1, 0.5),
            ("x.txt", "some text\n", 0.0, 0.0),
            ("x.jpg", PLAIN, 0.0, 0.0),
        ],
    )
    def test_how_sure(self, table, name, content, low, high):
        assert low <= SPEC.recognise(table(content, name=name)) <= high

    def test_what_is_no_file(self, tmp_path):
        assert SPEC.recognise(tmp_path) == 0.0
        assert SPEC.recognise(tmp_path / "missing.csv") == 0.0
        os.mkdir(tmp_path / "folder.csv")
        assert SPEC.recognise(tmp_path / "folder.csv") == 0.0


cells = st.sampled_from(["a.jpg", "b.jpg", "cat", "dog", "train", "../x", '"', "", " "]) | st.text(max_size=4)
tables = st.builds(
    lambda header, rows, end: end.join([header, *(",".join(row) for row in rows)]).encode(),
    st.sampled_from(["path,label", "label;path", "path\tlabel\tsplit\tgroup", "path,path,label,label", '"path', ""]),
    st.lists(st.lists(cells, max_size=5), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(content=st.binary(max_size=200) | tables, encoding=st.sampled_from(["utf-8", "latin-1", "utf-16", "cp1252"]))
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, content, encoding):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(photo)
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    assert 0 <= SPEC.recognise(file) <= 1
    try:
        images = opened(file, encoding=encoding)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
    else:
        assert isinstance(images, ImageSet)
