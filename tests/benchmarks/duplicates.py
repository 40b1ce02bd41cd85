"""How many near duplicates are found, how many pairs are false: `python tests/benchmarks/duplicates.py [imagehash's folder]`.

Changed copies of images are put beside the ants and bees and beside CIFAR-10's test set, one change an image. Recall is the
share of copies that are paired with their original; false is the share of all pairs that are neither a copy and its
original nor two originals that show one picture, as judged by eye for all pairs of similarity 0.9 or more: `ONE_PICTURE`.
The hashes of `imagehash` get the same images (where that package is found) and, unlike ours, the distance that suits each set
best: the largest with at most 1 % false pairs. Then the time of the search alone for 60,000 and more made-up pictures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from index import SHARED_DATA, cifar10
from PIL import Image, ImageEnhance, ImageOps

from tlstudio.api import ImageSet, decode
from tlstudio.data.duplicates import near_pairs
from tlstudio.data.looks import LOOK_SIDE
from tlstudio.data.measure import MEASURED, Measures, measure

ONE_PICTURE = """
airplane: 0051 0811, 0164 0505, 0403 0491, 0416 0884, 0472 0763, 0511 0955, 0635 0957, 0734 0981, 0782 0840
automobile: 0231 0277 0281 0318 0337 0365 0415 0547 0603 0834 0945 0974, 0293 0598, 0363 0472, 0436 0529 0696 0697 0759
deer: 0106 0215, 0347 0633, 0718 0995, 0831 0946
dog: 0233 0869, 0269 0595, 0296 0415
frog: 0091 0226, 0161 0781, 0172 0380, 0263 0615, 0278 0306, 0498 0886, 0794 0961
horse: 0236 0547, 0370 0401 0565 0894, 0851 0995
ship: 0174 0565, 0386 0496, 0450 0650
"""


def cut(image: Image.Image, share: float, x: float, y: float) -> Image.Image:
    """Without a share of width and height, ``x`` and ``y`` of that from the left and top, the rest from right and bottom."""
    lost = [max(1, round(side * share)) for side in image.size]
    left, top = round(lost[0] * x), round(lost[1] * y)
    return image.crop((left, top, left + image.width - lost[0], top + image.height - lost[1]))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality 40": lambda image: image,
    "half size": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "cut 5 % centre": lambda image: cut(image, 0.05, 0.5, 0.5),
    "cut 5 % corner": lambda image: cut(image, 0.05, 1, 0),
    "cut 5 % each side": lambda image: cut(image, 0.10, 0.5, 0.5),
    "10 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "10 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "mirrored": ImageOps.mirror,
}


def planted(folder: Path, images: int, into: Path) -> tuple[ImageSet, np.ndarray, np.ndarray]:
    """Originals and copies as one data set, the original of every row, and the change of every row (-1 for none)."""
    (into / "original").symlink_to(folder)
    keys = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    chosen = np.sort(np.random.default_rng(0).permutation(len(keys))[:images])
    (into / "copy").mkdir()
    for number, row in enumerate(chosen):
        name = list(CHANGES)[number % len(CHANGES)]
        copy = CHANGES[name](decode(folder / keys[row]))
        copy.save(into / "copy" / f"{number}.jpg", quality=40 if name == "quality 40" else 90)
    all_keys = (*(f"original/{key}" for key in keys), *(f"copy/{number}.jpg" for number in range(len(chosen))))
    origin = np.concatenate([np.arange(len(keys)), chosen])
    change = np.concatenate([np.full(len(keys), -1), np.arange(len(chosen)) % len(CHANGES)])
    return ImageSet(classes=("x",), keys=all_keys, labels=np.zeros(len(all_keys), np.int32), root=into), origin, change


def judged(images: ImageSet, origin: np.ndarray) -> np.ndarray:
    """A number for each row: equal where the pictures are one."""
    known = {}
    for line in ONE_PICTURE.strip().splitlines():
        name, groups = line.split(": ")
        for group in groups.split(", "):
            names = [f"original/{name}/{number}.jpg" for number in group.split()]
            known.update(dict.fromkeys(names, names[0]))
    first = {key: row for row, key in enumerate(images.keys)}
    same = np.array([first.get(known.get(key, key), row) for row, key in enumerate(images.keys)])
    return same[origin]


def score(a: np.ndarray, b: np.ndarray, same: np.ndarray, origin: np.ndarray, change: np.ndarray) -> tuple[list[float], float]:
    """Recall of each change, and the share of false pairs."""
    met = np.zeros(len(origin), bool)
    met[np.maximum(a, b)[origin[a] == origin[b]]] = True  # copies come after their originals
    false = float((same[a] != same[b]).mean()) if len(a) else 0.0
    return [float(met[change == number].mean()) for number in range(len(CHANGES))], false


def hashes(images: ImageSet, how: str) -> np.ndarray:
    """``(N, 64)`` of -1 and 1."""
    import imagehash

    make = getattr(imagehash, how)
    return np.array([make(images.load(row)).hash.ravel() for row in range(len(images))], np.float32) * 2 - 1


def hash_pairs(bits: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of at most a Hamming distance."""
    found = []
    for start in range(0, len(bits), 2000):
        a, b = np.nonzero(bits[start : start + 2000] @ bits.T >= 64 - 2 * distance - 0.5)
        found.append(np.stack([a + start, b])[:, a + start < b])
    return tuple(np.concatenate(found, axis=1))


def compare(name: str, folder: Path, copies: int) -> None:
    """Print a table for one data set."""
    with tempfile.TemporaryDirectory() as temporary:
        images, origin, change = planted(folder, copies, Path(temporary))
        same = judged(images, origin)
        start = time.perf_counter()
        measures = measure(images)
        measured = time.perf_counter()
        results = {}
        for title, flips in (("tlstudio", False), ("with mirrored", True)):
            pairs = near_pairs(measures, flips=flips)
            results[title] = score(pairs.first, pairs.second, same, origin, change)
        took = time.perf_counter() - measured
        print(f"\n{name}: {len(images):,} images; measured in {measured - start:.1f} s, searched twice in {took:.1f} s")
        for how in ("phash", "dhash") if has_imagehash() else ():
            bits = hashes(images, how)
            scores = [score(*hash_pairs(bits, distance), same, origin, change) for distance in range(13)]
            best = max((d for d in range(13) if scores[d][1] <= 0.01), default=0)
            results[f"{how} <= {best}"], results[f"{how} <= 10"] = scores[best], scores[10]
    print(f"{'recall, %':18}" + "".join(f"{title:>15}" for title in results))
    for number, kind in enumerate(CHANGES):
        print(f"{kind:18}" + "".join(f"{100 * recall[number]:15.1f}" for recall, _ in results.values()))
    print(f"{'false pairs, %':18}" + "".join(f"{100 * false:15.2f}" for _, false in results.values()))


def has_imagehash() -> bool:
    """Whether `imagehash` can be imported."""
    try:
        import imagehash  # noqa: F401
    except ImportError:
        return False
    return True


def made_up(count: int) -> tuple[Measures, int]:
    """Pictures of random shapes with the spectrum of photographs; each two-hundredth once more, with noise."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.fft.fftfreq(LOOK_SIDE), np.fft.rfftfreq(LOOK_SIDE), indexing="ij")
    fall = np.hypot(x, y) + 1 / LOOK_SIDE
    measures = Measures.empty(count)
    measures.state[:], measures.look[:] = MEASURED, 128
    light = measures.look[:, : LOOK_SIDE**2]
    for start in range(0, count, 10_000):
        part = light[start : start + 10_000]
        waves = np.fft.rfft2(rng.standard_normal((len(part), LOOK_SIDE, LOOK_SIDE))) / fall
        shapes = np.fft.irfft2(waves, (LOOK_SIDE, LOOK_SIDE)).reshape(len(part), -1)
        part[:] = np.clip(128 + 50 * shapes / shapes.std(axis=1, keepdims=True), 0, 255)
    copies = count // 200
    light[-copies:] = np.clip(light[:copies] * 1.05 + rng.normal(0, 6, (copies, LOOK_SIDE**2)), 0, 255)
    return measures, copies


def main() -> None:
    """Print everything."""
    sys.path.extend(sys.argv[1:])
    compare("ants and bees", SHARED_DATA / "hymenoptera", 398)
    compare("CIFAR-10, test", cifar10() / "test", 2000)
    for count in (60_000, 1_000_000):
        measures, copies = made_up(count)
        start = time.perf_counter()
        pairs = near_pairs(measures)
        found = int(((pairs.second - pairs.first) == count - copies).sum())
        print(
            f"\n{count:,} made-up pictures: {time.perf_counter() - start:.0f} s, {found} of {copies} copies, {len(pairs)} pairs"
        )


if __name__ == "__main__":
    main()
