"""What torchvision's data sets keep inside: files and labels, or arrays. No image is decoded to find it out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlstudio.api import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Content:
    """One split: labels and class names, and either paths of files or an array ``(N, H, W)`` or ``(N, H, W, 3)``, if any."""

    labels: Sequence[int]
    classes: tuple[str, ...]
    paths: Sequence[str] | None = None
    pixels: NDArray[np.uint8] | None = None


def content(dataset: Any) -> Content:
    """What is in a data set of torchvision.

    Raises:
        AttributeError: this version of torchvision keeps it elsewhere.
    """
    name = type(dataset).__name__
    classes = _classes(dataset)
    if name == "PCAM":
        return Content(_pcam_labels(dataset), classes)
    if name in {"Caltech101", "Caltech256"}:
        return Content(dataset.y, classes, paths=_caltech_paths(dataset))
    for files, labels in (("_image_files", "_labels"), ("_images", "_labels")):
        if hasattr(dataset, files):
            return Content(_whole(getattr(dataset, labels)), classes, paths=[str(path) for path in getattr(dataset, files)])
    for field in ("_samples", "samples"):
        if hasattr(dataset, field):
            pairs = getattr(dataset, field)
            return Content(_whole(label for _, label in pairs), classes, paths=[str(path) for path, _ in pairs])
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return Content(_whole(labels), classes, pixels=_pixels(dataset.data))


def pcam_file(dataset: Any) -> str:
    """The path of the file with the images of a split of PCAM."""
    return str(dataset._base_folder / dataset._FILES[dataset._split]["images"][0])


@dataclass(frozen=True)
class PixmapReader:
    """Reads image files of the formats PPM and PGM, which only GTSRB has; it pickles."""

    root: Path
    keys: tuple[str, ...]

    def __call__(self, index: int) -> Image:
        """The image of one row, RGB."""
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(os.path.join(self.root, self.keys[index]), formats=("PPM",)) as image:
                    return image.convert("RGB")
        except FileNotFoundError:
            raise ImageError("file not found") from None
        except Exception as error:
            raise ImageError("not an image") from error


@dataclass(frozen=True)
class H5Reader:
    """Reads rows of HDF5 files with a field ``x`` of images, one file after the other; it pickles."""

    files: tuple[str, ...]
    counts: tuple[int, ...]

    def __call__(self, index: int) -> Image:
        """The image of one row, RGB."""
        import h5py  # type: ignore[import-not-found]
        from PIL import Image

        for file, count in zip(self.files, self.counts, strict=True):
            if index < count:
                try:
                    with h5py.File(file) as stream:
                        return Image.fromarray(stream["x"][index]).convert("RGB")
                except (OSError, KeyError, TypeError, ValueError) as error:
                    raise ImageError(f"cannot be read ({error})") from None
            index -= count
        raise IndexError(index)


def _whole(values: Any) -> list[int]:
    return [int(value) for value in values]


def _classes(dataset: Any) -> tuple[str, ...]:
    """Class names in label order; of several synonyms the first; none where torchvision has none."""
    if type(dataset).__name__ == "OxfordIIITPet":
        return _pets(dataset)
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None) or ()
    if type(dataset).__name__ == "Caltech256":
        names = [name.partition(".")[2] or name for name in names]
    if type(dataset).__name__ == "MNIST":
        names = [name.partition(" ")[0] for name in names]
    return tuple(str(name if isinstance(name, str) else name[0]) for name in names)


def _pets(dataset: Any) -> tuple[str, ...]:
    """Breeds by label; torchvision lists only those that are there, which moves the others where one is missing."""
    names = {label: image.stem.rpartition("_")[0] for image, label in zip(dataset._images, dataset._labels, strict=True)}
    return tuple(names.get(label, str(label)).replace("_", " ").title() for label in range(max(names, default=-1) + 1))


def _caltech_paths(dataset: Any) -> list[str]:
    large = type(dataset).__name__ == "Caltech256"
    folder = os.path.join(dataset.root, "256_ObjectCategories" if large else "101_ObjectCategories")
    names = (f"{label + 1:03d}_{number:04d}.jpg" if large else f"image_{number:04d}.jpg"
             for label, number in zip(dataset.y, dataset.index, strict=True))  # fmt: skip
    return [os.path.join(folder, dataset.categories[label], name) for label, name in zip(dataset.y, names, strict=True)]


def _pcam_labels(dataset: Any) -> list[int]:
    import h5py

    with h5py.File(dataset._base_folder / dataset._FILES[dataset._split]["targets"][0]) as stream:
        return _whole(stream["y"][:].reshape(-1))


def _pixels(data: Any) -> NDArray[np.uint8]:
    """A uint8 array with the colours last."""
    array = np.asarray(data)
    if array.ndim == 4 and array.shape[1] == 3:
        array = array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array, np.uint8)
