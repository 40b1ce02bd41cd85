"""ImageNet: synset folders, readable names, and the labels of validation images that lie flat."""

import sys

import numpy as np
import pytest
from dataset_kinds import said, ways
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tlstudio_datasets
from tlstudio.api import NO_SPLIT, TRAIN, VAL, DataError, ImageSet
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["imagenet"]
opened, refused = ways(SPEC)
CRANE, TENCH, MACHINE = "n02012849", "n01440764", "n03126707"
WORDS = f"{CRANE} crane\n{TENCH} tench, Tinca tinca\n{MACHINE} crane\n"
PLAIN = [f"train/{CRANE}/{CRANE}_1.JPEG", f"train/{TENCH}/{TENCH}_1.JPEG", f"train/{MACHINE}/{MACHINE}_9.JPEG"]
FLAT = [f"ILSVRC2012_val_0000000{number}.JPEG" for number in (1, 2, 3)]


def val_rows(images):
    rows = zip(images.keys, images.labels, images.splits, strict=True)
    return {key.rpartition("/")[2]: images.classes[label] for key, label, split in rows if split == VAL}


class TestFolders:
    def test_synset_folders_with_names(self, make_files):
        root = make_files(*PLAIN, f"val/{TENCH}/x.JPEG", **{"LOC_synset_mapping.txt": WORDS.encode()})
        images = opened(root)
        assert images.classes == ("tench", f"crane ({CRANE})", f"crane ({MACHINE})")
        assert images.keys[0] == f"train/{TENCH}/{TENCH}_1.JPEG"
        assert images.splits.tolist() == [TRAIN, TRAIN, TRAIN, VAL]
        assert images.sources == (str(root / "LOC_synset_mapping.txt"),)
        check_dataset(SPEC, {"path": root})

    def test_ids_without_a_file_of_names(self, make_files):
        images = opened(make_files(*PLAIN))
        assert images.classes == (TENCH, CRANE, MACHINE)
        assert said(images, "no file with readable names")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("synset_words.txt", WORDS),
            ("words.txt", WORDS.replace(" crane", "\tcrane").replace(f"{TENCH} ", f"{TENCH}\t")),
            ("imagenet_class_index.json", f'{{"0": ["{TENCH}", "tench"], "1": ["{CRANE}", "crane"]}}'),
        ],
    )
    def test_other_files_of_names(self, make_files, name, text):
        assert "tench" in opened(make_files(*PLAIN, **{name: text.encode()})).classes

    def test_no_splits(self, make_files):
        images = opened(make_files(f"{CRANE}/1.JPEG", f"{TENCH}/1.JPEG"))
        assert images.splits is None

    def test_other_folders_and_loose_images_are_named(self, make_files):
        images = opened(
            make_files(*PLAIN, "train/cats/1.JPEG", "train/loose.JPEG", *(f"train/n0000000{n}/1.JPEG" for n in range(5)))
        )
        assert said(images, "no synsets, left out: cats")
        assert said(images, "1 image lies in train itself")

    def test_the_images_of_tiny_imagenet(self, make_files):
        lines = f"val_0.JPEG\t{TENCH}\t0\t0\t5\t5\nval_1.JPEG\t{CRANE}\t0\t0\t5\t5\n"
        train = [f"train/{synset}/images/{synset}_0.JPEG" for synset in (TENCH, CRANE)]
        root = make_files(*train, "val/images/val_0.JPEG", "val/images/val_1.JPEG", **{"words.txt": WORDS.encode()})
        (root / "val/val_annotations.txt").write_text(lines)
        images = opened(root)
        assert val_rows(images) == {"val_0.JPEG": "tench", "val_1.JPEG": "crane"}
        assert images.classes == ("tench", "crane")

    def test_nothing_there(self, tmp_path, make_files):
        assert "no synset folders" in refused(tmp_path).title
        assert "no synset folders" in refused(tmp_path / "missing").title
        root = make_files(f"train/{TENCH}/text.txt")
        assert "no images" in refused(root).title


class TestFlatValidation:
    def test_kaggle(self, make_files):
        base = "ILSVRC/Data/CLS-LOC/"
        solution = (
            f"ImageId,PredictionString\nILSVRC2012_val_00000001,{TENCH} 85 1 499 272\nILSVRC2012_val_00000003,{CRANE} 1 2 3 4\n"
        )
        root = make_files(*(base + name for name in PLAIN), *(f"{base}val/{name}" for name in FLAT), f"{base}test/x.JPEG",
                          **{"LOC_val_solution.csv": solution.encode(), "LOC_synset_mapping.txt": WORDS.encode()})  # fmt: skip
        images = opened(root)
        assert val_rows(images) == {FLAT[0]: "tench", FLAT[2]: f"crane ({CRANE})"}
        assert said(images, "1 validation image left out", "does not name them")
        assert len(images.sources) == 2
        assert SPEC.recognise(root) > 0.95
        check_dataset(SPEC, {"path": root})

    def test_the_development_kit(self, make_files):
        root = devkit(make_files)
        assert val_rows(opened(root)) == {FLAT[0]: TENCH, FLAT[1]: MACHINE, FLAT[2]: CRANE}

    def test_without_scipy_it_says_what_to_do(self, make_files, monkeypatch):
        root = devkit(make_files)
        monkeypatch.setitem(sys.modules, "scipy.io", None)
        images = opened(root)
        assert val_rows(images) == {}
        assert said(images, "3 validation images left out", "pip install scipy", "LOC_val_solution.csv")

    def test_a_damaged_kit(self, make_files):
        root = devkit(make_files)
        (root / "ILSVRC2012_devkit_t12/data/meta.mat").write_bytes(b"text")
        assert "meta.mat is damaged" in refused(root).title

    def test_the_list_of_caffe(self, make_files):
        text = "".join(f"{name} {number}\n" for number, name in enumerate(FLAT))
        root = make_files(*PLAIN, *(f"val/{name}" for name in FLAT), **{"val.txt": text.encode()})
        assert val_rows(opened(root)) == dict(zip(FLAT, (TENCH, CRANE, MACHINE), strict=True))

    def test_no_labels_at_all(self, make_files):
        images = opened(make_files(*PLAIN, *(f"val/{name}" for name in FLAT)))
        assert images.splits.tolist() == [TRAIN] * 3
        assert said(images, "3 validation images left out: no file says their labels")


def devkit(make_files):
    savemat = pytest.importorskip("scipy.io").savemat
    root = make_files(*PLAIN, *(f"val/{name}" for name in FLAT))
    folder = root / "ILSVRC2012_devkit_t12/data"
    folder.mkdir(parents=True)
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    rows = [(1, CRANE, "crane"), (2, TENCH, "tench, Tinca tinca"), (3, MACHINE, "crane"), (1001, "n00000001", "thing")]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=fields)})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("2\n3\n1\n")
    return root


class TestRecognise:
    def test_it_wins_over_class_folders(self, make_files):
        root = make_files(*PLAIN, f"val/{TENCH}/x.JPEG")
        for path in (root, root / "train"):
            sure = {name: spec.recognise(path) for name, spec in SPECS.items() if spec.recognise}
            assert max(sure, key=sure.get) == "imagenet"

    def test_other_class_folders_are_not_meant(self, make_files):
        assert SPEC.recognise(make_files("train/cat/1.jpg", "train/dog/1.jpg", f"train/{TENCH}/1.jpg")) == 0.0


lines = st.builds(
    "{}{}{}".format,
    st.sampled_from([TENCH, CRANE, *(name[:-5] for name in FLAT), "1", "x"]),
    st.sampled_from([" ", "\t", ",", "", '"']),
    st.sampled_from([TENCH, CRANE, "1", "99999999999", "0 1 2 3"]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=5000)
@given(
    content=st.binary(max_size=200) | st.lists(lines).map("\n".join).map(str.encode),
    name=st.sampled_from(["LOC_val_solution.csv", "val_annotations.txt", "val.txt", "words.txt", "imagenet_class_index.json"]),
)
def test_any_content_gives_a_data_set_or_a_data_error(tmp_path, photo, content, name):
    for key in (*PLAIN, f"val/{FLAT[0]}"):
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(photo)
    for file in tmp_path.glob("*.*"):
        file.unlink()
    (tmp_path / name).write_bytes(content)
    try:
        images = opened(tmp_path)
    except DataError as error:
        str(error).encode()  # it can be shown and stored
    else:
        assert isinstance(images, ImageSet)
        assert NO_SPLIT not in images.splits
