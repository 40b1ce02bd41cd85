"""Data sets and label files of the usual shapes: class folders, tables, boxes, and well-known sets from local files."""

from functools import partial
from importlib import import_module
from typing import Any

from tlstudio.api import DatasetSpec, hookimpl
from tlstudio_datasets.options import (
    Cifar10Options,
    Cifar100Options,
    CocoOptions,
    CsvOptions,
    DigitsOptions,
    FolderOptions,
    ImageFolderOptions,
    ImageNetOptions,
    MnistOptions,
    TorchvisionOptions,
    VocOptions,
    YoloOptions,
)

TLSTUDIO_API = 1


def _call(module: str, function: str, *arguments: Any) -> Any:
    """Call a function of a module that is imported no sooner: most data sets are never opened, and each costs at the start."""
    return getattr(import_module(f"tlstudio_datasets.{module}"), function)(*arguments)


_SPECS = (
    DatasetSpec(
        name="folder",
        title="Class folders",
        about="One folder for each class, alone or inside train, val and test folders.",
        options=FolderOptions,
        open=partial(_call, "folder", "open_folder"),
        recognise=partial(_call, "folder", "recognise_folder"),
    ),
    DatasetSpec(
        name="csv",
        title="CSV or TSV file",
        about="A table with the columns path and label, and split and group if you like; images beside it.",
        options=CsvOptions,
        open=partial(_call, "csv_file", "open_csv"),
        recognise=partial(_call, "csv_file", "recognise_csv"),
    ),
    DatasetSpec(
        name="imagefolder",
        title="Hugging Face image folder or JSON lines",
        about="Images with a metadata.jsonl or metadata.csv that has file_name and label, alone or in train and test folders.",
        options=ImageFolderOptions,
        open=partial(_call, "imagefolder", "open_imagefolder"),
        recognise=partial(_call, "imagefolder", "recognise_imagefolder"),
    ),
    DatasetSpec(
        name="coco",
        title="COCO annotations",
        about="Objects from COCO's JSON files: each box is cut out of its picture as an image of its own.",
        options=CocoOptions,
        open=partial(_call, "coco", "open_coco"),
        recognise=partial(_call, "coco", "recognise_coco"),
    ),
    DatasetSpec(
        name="voc",
        title="Pascal VOC annotations",
        about="Objects from XML files in Annotations, pictures in JPEGImages and splits in ImageSets: each box is cut out.",
        options=VocOptions,
        open=partial(_call, "voc", "open_voc"),
        recognise=partial(_call, "voc", "recognise_voc"),
    ),
    DatasetSpec(
        name="yolo",
        title="YOLO annotations",
        about="Objects from text files in labels, with pictures in images, and data.yaml or classes.txt: each box is cut out.",
        options=YoloOptions,
        open=partial(_call, "yolo", "open_yolo"),
        recognise=partial(_call, "yolo", "recognise_yolo"),
    ),
    DatasetSpec(
        name="cifar10",
        title="CIFAR-10",
        about="The official files, python or binary version: 60,000 photographs of 32 x 32 pixels in 10 classes. "
        "Krizhevsky 2009, Learning multiple layers of features from tiny images.",
        options=Cifar10Options,
        open=partial(_call, "cifar", "open_cifar10"),
        recognise=partial(_call, "cifar", "recognise_cifar10"),
    ),
    DatasetSpec(
        name="cifar100",
        title="CIFAR-100",
        about="The official files, python or binary version: 60,000 photographs of 32 x 32 pixels in 100 classes. "
        "Krizhevsky 2009, Learning multiple layers of features from tiny images.",
        options=Cifar100Options,
        open=partial(_call, "cifar", "open_cifar100"),
        recognise=partial(_call, "cifar", "recognise_cifar100"),
    ),
    DatasetSpec(
        name="mnist",
        title="MNIST, Fashion-MNIST, KMNIST, EMNIST",
        about="The official IDX files, packed or not: 28 x 28 pixels. LeCun, Cortes, Burges 1998; Xiao et al. 2017; "
        "Clanuwat et al. 2018; Cohen et al. 2017.",
        options=MnistOptions,
        open=partial(_call, "mnist", "open_mnist"),
        recognise=partial(_call, "mnist", "recognise_mnist"),
    ),
    DatasetSpec(
        name="imagenet",
        title="ImageNet (ILSVRC)",
        about="Synset folders (n01440764) in train and val, or flat validation images with the development kit or Kaggle's "
        "files. Russakovsky et al. 2015.",
        options=ImageNetOptions,
        open=partial(_call, "imagenet", "open_imagenet"),
        recognise=partial(_call, "imagenet", "recognise_imagenet"),
    ),
    DatasetSpec(
        name="torchvision",
        title="torchvision's data sets",
        about="Flowers102, OxfordIIITPet, DTD, EuroSAT, Food101 and more, from local files that lie as torchvision puts them. "
        "Nothing is downloaded. Flowers102, SVHN and StanfordCars need scipy, PCAM needs h5py.",
        options=TorchvisionOptions,
        open=partial(_call, "torchvision_sets", "open_torchvision"),
        recognise=partial(_call, "torchvision_sets", "recognise_torchvision"),
    ),
    DatasetSpec(
        name="digits",
        title="Handwritten digits (sample)",
        about="1,797 handwritten digits of 8 x 8 pixels, there from the start. Optical Recognition of Handwritten Digits, "
        "E. Alpaydin and C. Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0.",
        options=DigitsOptions,
        open=partial(_call, "digits", "open_digits"),
    ),
)


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    """All of them, the most common first."""
    return list(_SPECS)
