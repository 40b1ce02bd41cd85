"""ImageNet's small files: readable names of synsets, and the labels of validation images that lie in no class folder."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tlstudio.api import DataError
from tlstudio_datasets.json_text import read_json
from tlstudio_datasets.words import encodable, printable

SYNSET = re.compile(r"n[0-9]{8}")
_NAME_FILES = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt", "imagenet_class_index.json")
_KAGGLE = "LOC_val_solution.csv"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_META = "meta.mat"
_TINY = "val_annotations.txt"
_LISTED = "val.txt"
_MAX_BYTES = 64 * 2**20
HINT = (
    "Put LOC_val_solution.csv (from Kaggle) or ILSVRC2012_validation_ground_truth.txt and meta.mat (from the development kit) "
    "beside the folders train and val."
)


def names_of(synsets: Iterable[str], folders: Iterable[Path]) -> tuple[dict[str, str], Path | None]:
    """A readable name for each synset, as the first file of names in the folders says; the ids themselves without one.

    The first of several synonyms is taken; synsets that share it ("crane", bird and machine) get their id added.
    """
    ids = sorted(set(synsets))
    file = _first(folders, _NAME_FILES)
    known = {} if file is None else dict(_names(file))
    names = {synset: known.get(synset, "").split(",")[0].strip() or synset for synset in ids}
    counts: dict[str, int] = {}
    for name in names.values():
        counts[name] = counts.get(name, 0) + 1
    unique = {synset: name if counts[name] == 1 else f"{name} ({synset})" for synset, name in names.items()}
    return unique, file if known else None


def validation_labels(folders: Iterable[Path], synsets: Iterable[str]) -> tuple[Mapping[str, str], tuple[Path, ...], str]:
    """Synset by file name (without suffix) of validation images, the files that say it, and what is in the way if none does.

    Raises:
        DataError: such a file is there but cannot be read.
    """
    folders = list(folders)
    for name, read in ((_KAGGLE, _kaggle), (_TINY, _tiny)):
        file = _first(folders, (name,))
        if file is not None:
            return dict(read(_text(file))), (file,), ""
    truth, meta = _first(folders, (_TRUTH,)), _first(folders, (_META,))
    if truth is not None and meta is not None:
        numbers = _synset_numbers(meta)
        if isinstance(numbers, str):
            return {}, (), numbers
        return dict(_truth(_text(truth), numbers)), (truth, meta), ""
    file = _first(folders, (_LISTED,))
    if file is not None:
        return dict(_listed(_text(file), sorted(set(synsets)))), (file,), ""
    return {}, (), "no file says their labels"


def _first(folders: Iterable[Path], names: Iterable[str]) -> Path | None:
    names = list(names)
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise DataError(f"{printable(file.name)} is too large.", hint="Use the official file.")
        return file.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise DataError(f"{printable(file.name)} cannot be read.", error.strerror or str(error), "Check it.") from None


def _names(file: Path) -> Iterator[tuple[str, str]]:
    """Synset and its synonyms, from lines of both or from Keras' JSON file."""
    if file.suffix == ".json":
        index = read_json(file)
        pairs = index.values() if isinstance(index, dict) else []
        yield from ((str(pair[0]), encodable(str(pair[1]))) for pair in pairs if isinstance(pair, list) and len(pair) == 2)
        return
    for line in _text(file).splitlines():
        synset, _, words = line.strip().replace("\t", " ").partition(" ")
        if SYNSET.fullmatch(synset):
            yield synset, words


def _kaggle(text: str) -> Iterator[tuple[str, str]]:
    """Rows ``ImageId,PredictionString``; the latter begins with the synset, boxes follow."""
    try:
        for row in csv.reader(io.StringIO(text)):
            words = row[1].split() if len(row) > 1 else []
            if words and SYNSET.fullmatch(words[0]):
                yield row[0], words[0]
    except csv.Error as error:
        raise DataError(f"{_KAGGLE} is no proper CSV file.", str(error), HINT) from None


def _tiny(text: str) -> Iterator[tuple[str, str]]:
    """Lines of Tiny ImageNet: file name, synset, box."""
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) > 1 and SYNSET.fullmatch(words[1].strip()):
            yield words[0].rpartition(".")[0], words[1].strip()


def _truth(text: str, numbers: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """One number a line: the synset number of validation image 1, 2, 3, and so on."""
    for image, line in enumerate(text.split(), 1):
        synset = numbers.get(int(line)) if line.isascii() and line.isdigit() and len(line) < 9 else None
        if synset is not None:
            yield f"ILSVRC2012_val_{image:08d}", synset


def _listed(text: str, synsets: list[str]) -> Iterator[tuple[str, str]]:
    """Lines of Caffe's lists: file name, place of the synset in the sorted list."""
    for line in text.splitlines():
        name, _, number = line.strip().rpartition(" ")
        if name and number.isascii() and number.isdigit() and len(number) < 9 and int(number) < len(synsets):
            yield name.rpartition("/")[2].rpartition(".")[0], synsets[int(number)]


def _synset_numbers(meta: Path) -> dict[int, str] | str:
    """Synset by its number in the development kit; a sentence where the package that reads the file is not there."""
    try:
        from scipy.io import loadmat  # type: ignore[import-untyped]
    except ImportError:
        return "reading meta.mat needs the package scipy (pip install scipy)"
    try:
        synsets: Any = loadmat(meta, squeeze_me=True)["synsets"]
        return {int(number): str(wnid) for number, wnid in zip(synsets["ILSVRC2012_ID"], synsets["WNID"], strict=True)}
    except Exception as error:
        raise DataError(f"{printable(meta.name)} is damaged.", str(error), "Unpack the development kit again.") from error
