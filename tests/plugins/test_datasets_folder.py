"""Class folders: what counts as a class, a split and an image, what is left out and said, and which errors a person meets."""

import os
import pickle
import random
import sys
import time
from pathlib import Path

import pytest
from dataset_kinds import rows, said, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlstudio_datasets
from tlstudio.api import TEST, TRAIN, VAL
from tlstudio.testing import check_dataset
from tlstudio_datasets.words import lookalike_notes, natural_key, printable

SPEC = next(spec for spec in tlstudio_datasets.register_datasets() if spec.name == "folder")
opened, refused = ways(SPEC)


def split_rows(images):
    return dict(zip(images.keys, images.splits.tolist(), strict=True))


def test_listing_is_quick_and_without_torch(list_plugin):
    listing = list_plugin("tlstudio_datasets")
    assert listing["names"] == [
        "folder",
        "csv",
        "imagefolder",
        "coco",
        "voc",
        "yolo",
        "cifar10",
        "cifar100",
        "mnist",
        "imagenet",
        "torchvision",
        "digits",
    ]
    assert listing["seconds"] < 0.1  # half of it where the machine is not busy


class TestLayouts:
    def test_flat(self, make_files):
        root = make_files("dog/1.jpg", "cat/2.PNG", "cat/1.jpeg")
        images = opened(root)
        assert images.classes == ("cat", "dog")
        assert rows(images) == {"cat/1.jpeg": "cat", "cat/2.PNG": "cat", "dog/1.jpg": "dog"}
        assert images.splits is None
        assert images.path(0) == root / "cat" / "1.jpeg"
        check_dataset(SPEC, {"path": root})

    @pytest.mark.parametrize(
        "names", [("train", "val", "test"), ("Training", "VALIDATION", "Testing"), ("train", "dev", "test")]
    )
    def test_splits(self, make_files, names):
        train, val, test = names
        root = make_files(f"{train}/a/1.jpg", f"{train}/b/1.jpg", f"{val}/a/1.jpg", f"{val}/b/2.jpg", f"{test}/b/3.jpg")
        images = opened(root)
        assert images.classes == ("a", "b")
        splits = {f"{train}/a/1.jpg": TRAIN, f"{train}/b/1.jpg": TRAIN}
        splits |= {f"{val}/a/1.jpg": VAL, f"{val}/b/2.jpg": VAL, f"{test}/b/3.jpg": TEST}
        assert split_rows(images) == splits
        check_dataset(SPEC, {"path": root})

    def test_one_split_alone(self, make_files):
        assert set(split_rows(opened(make_files("train/a/1.jpg", "train/b/1.jpg"))).values()) == {TRAIN}

    def test_two_words_for_one_split(self, make_files):
        images = opened(make_files("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/b/1.jpg"))
        assert list(split_rows(images).values()).count(VAL) == 2

    def test_classes_may_be_called_like_splits(self, make_files):
        images = opened(make_files("train/1.jpg", "car/1.jpg", "train/steam/2.jpg"))
        assert images.classes == ("car", "train")
        assert images.splits is None

    def test_below_a_class_folder_every_depth_counts(self, make_files):
        images = opened(make_files("cat/1.jpg", "cat/2020/may/1.jpg", "dog/x/1.jpg"))
        assert rows(images) == {"cat/1.jpg": "cat", "cat/2020/may/1.jpg": "cat", "dog/x/1.jpg": "dog"}

    def test_a_folder_that_wraps_the_real_one(self, make_files):
        root = make_files("outer/inner/a/1.jpg", "outer/inner/b/1.jpg", "outer/.DS_Store")
        images = opened(root)
        assert images.classes == ("a", "b")
        assert images.load(0).size == (24, 16)
        assert said(images, "outer/inner")

    def test_a_wrapped_folder_with_splits(self, make_files):
        images = opened(make_files("set/train/a/1.jpg", "set/train/b/1.jpg", "set/test/a/1.jpg"))
        assert images.classes == ("a", "b")
        assert set(split_rows(images).values()) == {TRAIN, TEST}

    def test_folders_beside_the_splits_are_left_out(self, make_files):
        images = opened(make_files("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "extra/c/1.jpg"))
        assert images.classes == ("a", "b")
        assert said(images, "beside the splits", "extra")

    def test_images_outside_class_folders_are_left_out(self, make_files):
        images = opened(make_files("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "test/1.jpg", "test/a/1.jpg", "1.jpg"))
        assert len(images) == 4
        assert said(images, "1 image lies in test itself", "left out")
        assert said(images, "1 image lies in no class folder", "left out")

    def test_the_photographs_of_ants_and_bees(self, hymenoptera):
        images = opened(hymenoptera)
        assert images.classes == ("ants", "bees")
        splits = images.splits.tolist()
        assert (splits.count(TRAIN), splits.count(VAL)) == (245, 153)
        check_dataset(SPEC, {"path": hymenoptera})


class TestClasses:
    def test_natural_order(self, make_files):
        root = make_files(*(f"{name}/1.jpg" for name in ["10", "2", "1", "11", "0", "b", "A", "a2", "a10"]))
        assert opened(root).classes == ("0", "1", "2", "10", "11", "A", "a2", "a10", "b")

    @given(st.lists(st.text(max_size=8), unique=True))
    def test_order_is_total(self, names):
        backwards = names[::-1]
        assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)

    def test_a_class_missing_from_val_keeps_the_indices(self, make_files):
        images = opened(make_files("train/a/1.jpg", "train/b/1.jpg", "train/c/1.jpg", "val/a/2.jpg", "val/c/2.jpg"))
        assert images.classes == ("a", "b", "c")
        assert rows(images)["val/c/2.jpg"] == "c"
        assert said(images, "without an image in val", "b")

    def test_a_class_missing_from_train_is_named(self, make_files):
        images = opened(make_files("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/new/1.jpg"))
        assert said(images, "without an image in train", "new")

    def test_a_folder_without_images_is_no_class(self, make_files):
        root = make_files("a/1.jpg", "b/1.jpg", "docs/about.txt")
        (root / "empty").mkdir()
        images = opened(root)
        assert images.classes == ("a", "b")
        assert said(images, "docs, empty")

    def test_a_single_image_is_named(self, make_files):
        assert said(opened(make_files("a/1.jpg", "a/2.jpg", "b/1.jpg")), "single image", "b")

    def test_names_that_look_alike_are_named_and_kept_apart(self, make_files):
        cyrillic = "c\N{CYRILLIC SMALL LETTER A}t"
        images = opened(make_files("cat/1.jpg", "Cat/1.jpg", f"{cyrillic}/1.jpg", "dog/1.jpg"))
        assert len(images.classes) == 4
        assert said(images, "look alike", "'cat'", "'Cat'", repr(cyrillic))

    def test_accents_and_plain_letters_do_not_look_alike(self):
        assert not lookalike_notes(["E", "\N{LATIN CAPITAL LETTER E WITH ACUTE}", "0", "O", "1", "l"])

    def test_composed_and_decomposed_letters_look_alike(self):
        assert lookalike_notes(["\N{LATIN CAPITAL LETTER E WITH ACUTE}", "E\N{COMBINING ACUTE ACCENT}"])


class TestNames:
    ODD = ("a b", "it's", '"quoted"', "100%", "#1", "-dash", "\N{GRINNING FACE}", "\u732b", "\u05d7\u05ea\u05d5\u05dc", "..x")

    def test_odd_names_load(self, make_files):
        odd = [name for name in self.ODD if not name.startswith(".")]
        images = opened(make_files(*(f"{name}/{name}.jpg" for name in odd)))
        assert set(images.classes) == set(odd)
        assert all(images.load(index).size == (24, 16) for index in range(len(images)))

    @pytest.mark.skipif(sys.platform == "win32", reason="not a name there")
    def test_a_line_break_in_a_name_is_shown_escaped(self, make_files):
        error = refused(make_files("a\nb/1.jpg"))
        assert "'a\\nb'" in error.title

    @pytest.mark.skipif(sys.platform != "linux", reason="names are bytes only there")
    def test_undecodable_names_load_and_the_class_is_valid_text(self, make_files):
        root = make_files(os.fsdecode(b"caf\xe9/\xff.jpg"), "b/1.jpg")
        images = opened(root)
        assert images.classes == ("b", "caf\\udce9")
        index = next(at for at, key in enumerate(images.keys) if key.startswith("caf"))
        assert os.fsencode(images.keys[index]) == b"caf\xe9/\xff.jpg"
        assert images.load(index).size == (24, 16)
        assert pickle.loads(pickle.dumps(images)).keys == images.keys

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems fold names")
    def test_nfc_and_nfd_and_capitals_are_files_of_their_own(self, make_files):
        names = ["a/\N{LATIN CAPITAL LETTER E WITH ACUTE}.jpg", "a/E\N{COMBINING ACUTE ACCENT}.jpg", "a/A.jpg", "a/a.jpg"]
        assert set(names) < set(opened(make_files(*names, "b/1.jpg")).keys)

    def test_names_that_windows_reserves_are_kept(self, make_files):
        names = ["CON/1.jpg", "b/NUL.jpg", "b/dot..jpg"]
        assert set(opened(make_files(*names)).keys) == set(names)

    def test_control_characters_are_shown_as_escapes(self):
        assert printable("a\n\u202egpj.exe") == "a\\n\\u202egpj.exe"
        assert printable("\u732b caf\xe9") == "\u732b caf\xe9"


class TestLeftOut:
    def test_system_files_are_ignored_in_one_line(self, make_files):
        root = make_files("a/1.jpg", "b/1.jpg", "a/._1.jpg", "a/Thumbs.db", ".DS_Store", ".ipynb_checkpoints/x/1.jpg")
        make_files("__MACOSX/a/1.jpg", root=root)
        images = opened(root)
        assert images.keys == ("a/1.jpg", "b/1.jpg")
        assert said(images, "Hidden and system files", "5")

    def test_files_that_are_no_images_are_counted(self, make_files):
        images = opened(make_files("a/1.jpg", "b/1.jpg", "a/x.txt", "a/y.txt", "b/z.PDF", "b/README"))
        assert said(images, "4 files that are no images", "2 .txt", "1 .pdf", "1 without suffix")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders there")
    def test_a_pipe_named_like_an_image_does_not_block(self, make_files):
        root = make_files("a/1.jpg", "b/1.jpg")
        os.mkfifo(root / "a" / "2.jpg")
        assert len(opened(root)) == 2

    def test_a_folder_that_cannot_be_read_is_said(self, make_files, monkeypatch):
        root = make_files("a/1.jpg", "b/1.jpg", "b/locked/2.jpg", "c/1.jpg")
        scandir = os.scandir

        def guarded(path):
            if str(path).endswith("locked"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(os, "scandir", guarded)
        images = opened(root)
        assert len(images) == 3
        assert said(images, "Cannot be read", "b/locked (Permission denied)")

    def test_a_root_that_cannot_be_read_is_an_error_that_says_so(self, make_files, monkeypatch):
        root = make_files("a/1.jpg")

        def guarded(_path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", guarded)
        assert "Permission denied" in str(refused(root))
        assert SPEC.recognise(root) <= 0.05


class TestErrors:
    def test_empty_folder(self, tmp_path):
        error = refused(tmp_path)
        assert "no images" in error.title
        assert str(tmp_path) in error.title
        assert "folder of its own" in error.hint

    def test_only_other_files(self, make_files):
        error = refused(make_files("a/1.txt", "b/2.txt"))
        assert "no images" in error.title
        assert "2 .txt" in error.detail

    def test_one_class_is_named(self, make_files):
        root = make_files("cat/1.jpg", "cat/2.jpg")
        (root / "dog").mkdir()
        error = refused(root)
        assert "one class, 'cat'" in error.title
        assert "dog" in error.detail
        assert "at least two" in error.hint

    def test_one_class_in_splits(self, make_files):
        assert "'cat'" in refused(make_files("train/cat/1.jpg", "val/cat/1.jpg")).title

    def test_images_without_class_folders(self, make_files):
        error = refused(make_files("1.jpg", "2.jpg"))
        assert "not sorted into class folders" in error.title
        assert "cat/1.jpg" in error.hint

    def test_not_a_folder(self, tmp_path):
        assert "does not exist" in refused(tmp_path / "missing").title
        (tmp_path / "file").touch()
        assert "is not a folder" in refused(tmp_path / "file").title


class TestRecognise:
    @pytest.mark.parametrize(
        ("names", "low", "high"),
        [
            (["train/a/1.jpg", "val/a/1.jpg"], 0.9, 0.95),
            (["a/1.jpg", "b/1.jpg"], 0.7, 0.9),
            (["wrapper/a/1.jpg", "wrapper/b/1.jpg"], 0.7, 0.9),
            (["a/1.jpg"], 0.3, 0.7),
            (["a/x/1.jpg", "b/x/1.jpg"], 0.2, 0.5),
            (["1.jpg", "2.jpg"], 0.1, 0.3),
            (["a/1.txt"], 0.01, 0.1),
            ([], 0.01, 0.1),
        ],
    )
    def test_how_sure(self, make_files, names, low, high):
        assert low <= SPEC.recognise(make_files(*names)) <= high

    def test_what_is_no_folder(self, tmp_path):
        (tmp_path / "file.jpg").touch()
        assert SPEC.recognise(tmp_path / "file.jpg") == 0.0
        assert SPEC.recognise(tmp_path / "missing") == 0.0
        assert SPEC.recognise(Path("a\0b")) == 0.0


_trees = st.lists(
    st.tuples(st.sampled_from("abAB12"), st.sampled_from(["", "x/", "y/z/"]), st.integers(0, 12)), min_size=1, unique=True
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=_trees, seed=st.integers(0, 1000))
def test_the_order_in_which_the_system_lists_does_not_matter(tree, seed, tmp_path_factory, make_files):
    names = [f"{folder}{folder.isupper()}/{deep}{number}.jpg" for folder, deep, number in tree]
    root = make_files("zero/0.jpg", "one/0.jpg", *names, root=tmp_path_factory.mktemp("tree"))
    plain = opened(root)
    scandir, shuffle = os.scandir, random.Random(seed).shuffle

    class Shuffled:
        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = list(entries)
            shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", Shuffled)
        other = opened(root)
    assert (other.keys, other.classes, other.notes) == (plain.keys, plain.classes, plain.notes)
    assert other.labels.tolist() == plain.labels.tolist()


def test_twenty_thousand_files_are_quick(tmp_path):
    for split, number in (("train", 160), ("test", 40)):
        for label in range(100):
            folder = f"{tmp_path}/{split}/{label}"
            os.makedirs(folder)
            for index in range(number):
                os.close(os.open(f"{folder}/{index:05d}.png", os.O_CREAT))
    start = time.process_time()
    images = opened(tmp_path)
    assert time.process_time() - start < 0.4
    assert len(images) == 20_000
    start = time.process_time()
    assert SPEC.recognise(tmp_path) >= 0.9
    assert time.process_time() - start < 0.05
