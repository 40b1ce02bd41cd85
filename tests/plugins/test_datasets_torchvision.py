"""torchvision's data sets: small ones with files as the official archives have them, one by one; nothing is downloaded."""

import bz2
import gzip
import json
import os
import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from dataset_kinds import said, ways
from PIL import Image

import tlstudio_datasets
from tlstudio.api import NO_SPLIT, TEST, TRAIN, VAL
from tlstudio.testing import check_dataset

SPECS = {spec.name: spec for spec in tlstudio_datasets.register_datasets()}
SPEC = SPECS["torchvision"]
opened, refused = ways(SPEC)
FASHION = Path("/usr/share/datasets/fashion-mnist")


def text(root, name, *lines):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")


def mat(root, name, **content):
    savemat = pytest.importorskip("scipy.io").savemat
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    savemat(root / name, content)


def dtd(root, make):
    make(*(f"dtd/dtd/images/{name}/{name}_{number}.jpg" for name in ("dotted", "banded") for number in (1, 2, 3)), root=root)
    for number, split in enumerate(("train", "val", "test"), 1):
        text(root, f"dtd/dtd/labels/{split}1.txt", *(f"{name}/{name}_{number}.jpg" for name in ("dotted", "banded")))


def food(root, make):
    make(*(f"food-101/images/{name}/{number}.jpg" for name in ("pizza", "sushi") for number in (1, 2)), root=root)
    for number, split in enumerate(("train", "test"), 1):
        text(root, f"food-101/meta/{split}.json", json.dumps({name: [f"{name}/{number}"] for name in ("sushi", "pizza")}))


def pets(root, make):
    names = ("Abyssinian", "great_pyrenees")
    make(*(f"oxford-iiit-pet/images/{name}_{number}.jpg" for name in names for number in (1, 2)), root=root)
    for number, split in enumerate(("trainval", "test"), 1):
        text(root, f"oxford-iiit-pet/annotations/{split}.txt", f"Abyssinian_{number} 1 1 1", f"great_pyrenees_{number} 16 2 9")


def aircraft(root, make):
    base = "fgvc-aircraft-2013b/data"
    make(*(f"{base}/images/{number}.jpg" for number in range(6)), root=root)
    for level, file, names in (
        ("variant", "variants", ("707 320", "A330")),
        ("manufacturer", "manufacturers", ("Boeing", "Airbus")),
    ):
        text(root, f"{base}/{file}.txt", *names)
        for number, split in enumerate(("train", "val", "test")):
            text(root, f"{base}/images_{level}_{split}.txt", f"{2 * number} {names[0]}", f"{2 * number + 1} {names[1]}")


def gtsrb(root, make):
    for folder in ("Training/00000", "Training/00001", "Final_Test/Images"):
        (root / "gtsrb/GTSRB" / folder).mkdir(parents=True)
    for name in ("Training/00000/1", "Training/00001/1", "Final_Test/Images/00000"):
        Image.new("RGB", (9, 7), "red").save(root / "gtsrb/GTSRB" / f"{name}.ppm")
    text(root, "gtsrb/GT-final_test.csv", "Filename;Width;ClassId", "00000.ppm;9;1", "gone.ppm;9;0")


def cars(root, make):
    make("stanford_cars/cars_train/1.jpg", "stanford_cars/cars_train/2.jpg", "stanford_cars/cars_test/1.jpg", root=root)
    rows = np.array([("1.jpg", 1), ("2.jpg", 2)], dtype=[("fname", "O"), ("class", "O")])
    mat(root, "stanford_cars/devkit/cars_train_annos.mat", annotations=rows)
    mat(root, "stanford_cars/cars_test_annos_withlabels.mat", annotations=np.concatenate([rows[:1], rows[:1]]))
    mat(root, "stanford_cars/devkit/cars_meta.mat", class_names=np.array(["Audi", "BMW"], dtype=object))


def flowers(root, make):
    make(*(f"flowers-102/jpg/image_{number:05d}.jpg" for number in range(1, 7)), root=root)
    mat(root, "flowers-102/imagelabels.mat", labels=np.array([1, 2, 1, 2, 1, 2]))
    mat(root, "flowers-102/setid.mat", trnid=np.array([1, 2]), valid=np.array([3, 4]), tstid=np.array([5, 6]))


def svhn(root, make):
    for split in ("train", "test"):
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), np.uint8)
        mat(root, f"{split}_32x32.mat", X=pixels, y=np.array([[10], [1], [2], [10]]))


def stl(root, make):
    (root / "stl10_binary").mkdir()
    text(root, "stl10_binary/class_names.txt", "airplane", "bird")
    text(root, "stl10_binary/unlabeled_X.bin")  # torchvision wants it to be there
    for split in ("train", "test"):
        pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 96, 96), np.uint8)
        (root / f"stl10_binary/{split}_X.bin").write_bytes(pixels.tobytes())
        (root / f"stl10_binary/{split}_y.bin").write_bytes(bytes((1, 2, 1, 2)))


def usps(root, make):
    row = " ".join(f"{number}:{number / 128 - 1:.3f}" for number in range(1, 257))
    for name in ("usps.bz2", "usps.t.bz2"):
        (root / name).write_bytes(bz2.compress(f"1 {row}\n10 {row}\n".encode()))


def pcam(root, make):
    h5py = pytest.importorskip("h5py")
    (root / "pcam").mkdir()
    for split in ("train", "valid", "test"):
        base = f"pcam/camelyonpatch_level_2_split_{split}"
        with h5py.File(root / f"{base}_x.h5", "w") as file:
            file["x"] = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), np.uint8)
        with h5py.File(root / f"{base}_y.h5", "w") as file:
            file["y"] = np.array([0, 1, 1, 0], np.uint8).reshape(4, 1, 1, 1)


def folders(*names):
    return lambda root, make: make(*names, root=root)


def sun(root, make):
    make("SUN397/a/abbey/sun_1.jpg", "SUN397/z/zoo/sun_1.jpg", "SUN397/z/zoo/sun_2.jpg", root=root)
    text(root, "SUN397/ClassName.txt", "/a/abbey", "/z/zoo")


def fashion(root, make):
    if not FASHION.is_dir():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    (root / "FashionMNIST/raw").mkdir(parents=True)
    for file in FASHION.glob("*.gz"):
        with gzip.open(file) as packed, (root / "FashionMNIST/raw" / file.stem).open("wb") as plain:
            shutil.copyfileobj(packed, plain)


WORDS = ("train", "valid", "test")
SYNSETS = ("n01440764", "n02102040")
SMALL = {
    "DTD": (dtd, ("banded", "dotted"), [TRAIN] * 2 + [VAL] * 2 + [TEST] * 2),
    "Food101": (food, ("pizza", "sushi"), [TRAIN] * 2 + [TEST] * 2),
    "OxfordIIITPet": (pets, ("Abyssinian", "Great Pyrenees"), [TRAIN] * 2 + [TEST] * 2),
    "FGVCAircraft": (aircraft, ("707 320", "A330"), [TRAIN] * 2 + [VAL] * 2 + [TEST] * 2),
    "GTSRB": (gtsrb, ("0", "1"), [TRAIN] * 2 + [TEST]),
    "StanfordCars": (cars, ("Audi", "BMW"), [TRAIN] * 2 + [TEST]),
    "Flowers102": (flowers, ("pink primrose", "hard-leaved pocket orchid"), [TRAIN] * 2 + [VAL] * 2 + [TEST] * 2),
    "SVHN": (svhn, ("0", "1", "2"), [TRAIN] * 4 + [TEST] * 4),
    "STL10": (stl, ("airplane", "bird"), [TRAIN] * 4 + [TEST] * 4),
    "USPS": (usps, ("0", "9"), [TRAIN] * 2 + [TEST] * 2),
    "PCAM": (pcam, ("normal", "tumour"), [TRAIN] * 4 + [VAL] * 4 + [TEST] * 4),
    "EuroSAT": (folders("eurosat/2750/Forest/1.jpg", "eurosat/2750/River/1.jpg"), ("Forest", "River"), None),
    "SUN397": (sun, ("abbey", "zoo"), None),
    "Caltech101": (
        folders(*(f"caltech101/101_ObjectCategories/{name}/image_0001.jpg" for name in ("ant", "BACKGROUND_Google", "bass"))),
        ("ant", "bass"),
        None,
    ),
    "Caltech256": (
        folders(*(f"caltech256/256_ObjectCategories/{name}/{name[:3]}_0001.jpg" for name in ("001.ak47", "002.flag"))),
        ("ak47", "flag"),
        None,
    ),
    "Country211": (
        folders(*(f"country211/{split}/{name}/1.jpg" for split in WORDS for name in ("AD", "AE"))),
        ("AD", "AE"),
        [TRAIN] * 2 + [VAL] * 2 + [TEST] * 2,
    ),
    "Imagenette": (
        folders(*(f"imagenette2-160/{split}/{name}/1.JPEG" for split in ("train", "val") for name in SYNSETS)),
        ("tench", "English springer"),
        [TRAIN] * 2 + [VAL] * 2,
    ),
    "RenderedSST2": (
        folders(*(f"rendered-sst2/{split}/{name}/1.png" for split in WORDS for name in ("negative", "positive"))),
        ("negative", "positive"),
        [TRAIN] * 2 + [VAL] * 2 + [TEST] * 2,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def forbidden(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", forbidden)


@pytest.fixture
def small(tmp_path, make_files, monkeypatch):
    """Make one of the small data sets; torchvision is told that their checksums are right."""

    def make(name):
        for module in ("svhn", "stl10", "flowers102"):
            monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda path, md5=None: os.path.isfile(path))
        root = tmp_path / "root"
        root.mkdir()
        SMALL[name][0](root, make_files)
        return root

    return make


@pytest.mark.parametrize("name", SMALL)
def test_classes_labels_and_splits(small, name):
    root = small(name)
    _, classes, splits = SMALL[name]
    images = opened(root)
    assert images.classes == classes
    assert (images.splits is None) if splits is None else (images.splits.tolist() == splits)
    assert set(images.labels.tolist()) == set(range(len(classes)))
    assert images.load(0).mode == "RGB"
    assert pickle.loads(pickle.dumps(images)).load(0).tobytes() == images.load(0).tobytes()
    assert all(Path(source).is_file() for source in images.sources)
    sure = {kind: spec.recognise(root) for kind, spec in SPECS.items() if spec.recognise}
    assert max(sure, key=sure.get) == "torchvision"
    check_dataset(SPEC, {"path": root, "dataset": name})


def test_a_label_goes_with_its_image(small):
    images = opened(small("Food101"))
    assert [(key, images.classes[label]) for key, label in zip(images.keys, images.labels, strict=True)] == [
        ("food-101/images/pizza/1.jpg", "pizza"),
        ("food-101/images/sushi/1.jpg", "sushi"),
        ("food-101/images/pizza/2.jpg", "pizza"),
        ("food-101/images/sushi/2.jpg", "sushi"),
    ]


def test_digits_of_svhn_are_the_right_way_round(small):
    images = opened(small("SVHN"))
    expected = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), np.uint8)[..., 1]
    assert np.array_equal(np.asarray(images.load(1)), expected)
    assert [images.classes[label] for label in images.labels[:4]] == ["0", "1", "2", "0"]


def test_the_levels_of_aircraft(small):
    assert opened(small("FGVCAircraft"), level="manufacturer").classes == ("Boeing", "Airbus")


def test_the_folder_of_the_data_set_itself(small):
    root = small("DTD")
    assert SPEC.recognise(root / "dtd") > 0.9
    assert opened(root / "dtd").keys == opened(root).keys


def test_a_missing_split_and_missing_images_are_said(small):
    root = small("DTD")
    (root / "dtd/dtd/labels/val1.txt").unlink()
    (root / "dtd/dtd/images/dotted/dotted_3.jpg").unlink()
    images = opened(root)
    assert images.splits.tolist() == [TRAIN, TRAIN, TEST]
    assert said(images, "The val part cannot be read", "val1.txt")
    assert said(images, "1 image is not there", "dotted_3.jpg")


def test_paths_that_lead_out_are_refused(small):
    root = small("Food101")
    text(root, "food-101/meta/train.json", json.dumps({"sushi": ["../../../x"], "pizza": ["pizza/1"]}))
    assert "outside" in refused(root).title


def test_damaged_files_are_refused_with_the_reason(small):
    root = small("Food101")
    for split in ("train", "test"):
        text(root, f"food-101/meta/{split}.json", '{"sushi": [')
    error = refused(root)
    assert "torchvision cannot read Food101" in error.title
    assert "The train part cannot be read" in error.detail
    assert "download" not in str(error).replace("when it downloads them", "")


def test_a_missing_package_is_named(small, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    root = Path(small("EuroSAT"))
    (root / "pcam").mkdir()
    (root / "pcam/camelyonpatch_level_2_split_train_x.h5").touch()
    assert "h5py is missing (pip install h5py)" in refused(root, dataset="PCAM").detail


def test_several_data_sets_need_a_choice(small, make_files):
    root = small("EuroSAT")
    dtd(root, make_files)
    assert "DTD, EuroSAT" in refused(root).detail
    assert opened(root, dataset="EuroSAT").splits is None


def test_what_is_not_there(tmp_path):
    assert "DTD is not in" in refused(tmp_path, dataset="DTD").title
    assert os.fspath(Path("dtd/dtd/labels")) in refused(tmp_path, dataset="DTD").detail
    assert "not in" in refused(tmp_path).title
    assert refused(tmp_path, dataset="Caltech101").hint
    assert list(tmp_path.iterdir()) == []  # torchvision would make a folder
    assert SPEC.recognise(tmp_path) == 0.0


def test_fashion_mnist(tmp_path, make_files):
    fashion(tmp_path, make_files)
    images = opened(tmp_path)
    assert len(images) == 70_000
    assert (images.splits == TEST).sum() == 10_000
    assert NO_SPLIT not in images.splits
    assert images.classes[images.labels[0]] == "Ankle boot"
    own = SPECS["mnist"]
    assert np.array_equal(own.open(own.options(path=tmp_path)).load(69_999), images.load(69_999))
    assert own.recognise(tmp_path) > SPEC.recognise(tmp_path)
