"""Options of the data sets, whose modules are imported only when one is opened or looked for: a form needs no more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tlstudio.api import Options

Name = Literal[
    "auto", "Caltech101", "Caltech256", "Country211", "DTD", "EuroSAT", "FGVCAircraft", "FashionMNIST", "Flowers102", "Food101",
    "GTSRB", "Imagenette", "KMNIST", "MNIST", "OxfordIIITPet", "PCAM", "RenderedSST2", "STL10", "SUN397", "SVHN",
    "StanfordCars", "USPS",
]  # fmt: skip
"""The choices of the option ``dataset``."""


class ObjectOptions(Options):
    """Options that all data sets of boxes share."""

    smallest: int = Field(
        1,
        ge=1,
        le=10_000,
        title="Smallest object",
        description="Objects less wide or less high than this are left out (pixels).",
    )


class FolderOptions(Options):
    """Options of ``folder``."""

    path: Path = Field(title="Folder", description="The folder that holds the class folders, or train, val and test folders.")


class CsvOptions(Options):
    """Options of ``csv``."""

    path: Path = Field(title="CSV file", description="Columns: path and label; split and group if you like.")
    root: Path | None = Field(
        None, title="Image folder", description="The folder that paths are relative to; by default that of the CSV file."
    )
    encoding: str = Field("utf-8", title="Encoding", description="How the text is stored; UTF-8 unless you know better.")
    label: str = Field("", title="Label column", description="The name of the column with the labels, where it is not label.")


class ImageFolderOptions(Options):
    """Options of ``imagefolder``."""

    path: Path = Field(
        title="Folder or file", description="The folder with metadata.jsonl or metadata.csv, or such a file of JSON lines."
    )
    label: str = Field("", title="Label field", description="The name of the field with the labels, where it is not label.")


class CocoOptions(ObjectOptions):
    """Options of ``coco``."""

    path: Path = Field(
        title="JSON file or folder", description="A file of COCO annotations, or the folder that has such files."
    )
    images: Path | None = Field(
        None, title="Image folder", description="Where file_name starts from; by default it is looked for near the JSON file."
    )


class VocOptions(ObjectOptions):
    """Options of ``voc``."""

    path: Path = Field(title="Folder", description="The folder with Annotations and JPEGImages, or VOCdevkit around it.")
    difficult: bool = Field(True, title="Difficult objects", description="Whether objects marked as difficult are used too.")


class YoloOptions(ObjectOptions):
    """Options of ``yolo``."""

    path: Path = Field(
        title="Folder or data.yaml", description="The folder with data.yaml, or with images, labels and classes.txt."
    )


class Cifar10Options(Options):
    """Options of ``cifar10``."""

    path: Path = Field(title="Folder", description="cifar-10-batches-py or cifar-10-batches-bin, or the folder around it.")


class Cifar100Options(Options):
    """Options of ``cifar100``."""

    path: Path = Field(title="Folder", description="cifar-100-python or cifar-100-binary, or the folder around it.")
    labels: Literal["fine", "coarse"] = Field(
        "fine", title="Labels", description="The 100 classes (fine), or the 20 groups of five that they form (coarse)."
    )


class MnistOptions(Options):
    """Options of ``mnist``."""

    path: Path = Field(title="Folder", description="The folder with the official files, or the one around raw.")
    names: Literal["auto", "digits", "fashion", "kuzushiji"] = Field(
        "auto", title="Classes", description="What the ten numbers stand for; by default what folder and files tell."
    )
    variant: Literal["auto", "balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = Field(
        "auto", title="EMNIST variant", description="Which of EMNIST's six data sets, where several are in the folder."
    )


class ImageNetOptions(Options):
    """Options of ``imagenet``."""

    path: Path = Field(title="Folder", description="The folder with train and val; for Kaggle's copy the one with ILSVRC.")


class TorchvisionOptions(Options):
    """Options of ``torchvision``."""

    path: Path = Field(
        title="Folder", description="The root in torchvision's sense: the folder around flowers-102, dtd and so on."
    )
    dataset: Name = Field("auto", title="Data set", description="Its name in torchvision; by default what the folder shows.")
    level: Literal["variant", "family", "manufacturer"] = Field(
        "variant", title="Aircraft classes", description="How finely FGVC Aircraft is divided."
    )
    partition: int = Field(1, ge=1, le=10, title="Partition", description="Which of the ten partitions of DTD.")


class DigitsOptions(Options):
    """Options of ``digits``: there are none."""
