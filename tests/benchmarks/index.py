"""How fast a folder becomes an index: `python tests/benchmarks/index.py [folder]`, CIFAR-10's 60,000 JPEG files by default.

Against what one would write with torchvision and Pillow: `ImageFolder` for the list, then a header read for each file. Both
give every file with its class, width and height; this one its size and time of change as well. Medians of turns taken one after
the other in one run, with warm file caches.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = ROOT.parent / "shared" / "data"
sys.path[:0] = [str(ROOT), str(ROOT / "plugins" / "tlstudio-datasets")]


def cifar10() -> Path:
    """The folder of CIFAR-10's images, unpacked once a machine."""
    folder = Path(tempfile.gettempdir()) / "tlstudio-cifar10-images"
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        with zipfile.ZipFile(SHARED_DATA / "cifar10-images.zip") as archive:
            archive.extractall(unfinished)
        unfinished.rename(folder)
    return folder


def reference(folder: Path) -> int:
    """Torchvision's list and Pillow's headers."""
    from PIL import Image
    from torchvision.datasets import ImageFolder

    sizes = []
    for part in sorted(folder.iterdir()):
        for path, _ in ImageFolder(part).samples:
            with Image.open(path) as image:
                sizes.append(image.size)
    return len(sizes)


def ours(folder: Path) -> int:
    """The same from tlstudio."""
    from tlstudio.data.headers import headers
    from tlstudio_datasets.folder import FolderOptions, open_folder

    return int((headers(open_folder(FolderOptions(path=folder))).width > 0).sum())


def main() -> None:
    """Print the two medians and their ratio."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else cifar10()
    reference(folder), ours(folder)
    seconds: dict[str, list[float]] = {"reference": [], "ours": []}
    for _ in range(5):
        for run in (reference, ours):
            start = time.perf_counter()
            count = run(folder)
            seconds[run.__name__].append(time.perf_counter() - start)
    theirs, mine = (statistics.median(times) for times in seconds.values())
    print(f"{count:,} files: ImageFolder and Pillow {theirs:.2f} s, tlstudio {mine:.2f} s, {theirs / mine:.1f} times as fast")


if __name__ == "__main__":
    main()
