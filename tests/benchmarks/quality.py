"""How long a full check takes, and how soon it ends when told to: `python tests/benchmarks/quality.py`.

The ants and bees, then CIFAR-10's 60,000 images: every file read and decoded, then all issues with near duplicates, mirrored
ones too. Machines differ: to compare with, the last line of each gives the bare decoding of the same files in one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from index import SHARED_DATA, cifar10

from tlstudio.api import ImageSet
from tlstudio.data.measure import NOT_MEASURED, Measures, measure
from tlstudio.data.quality import find_issues
from tlstudio_datasets.folder import FolderOptions, open_folder


class Clock:
    """Ends the work after some seconds, and remembers the longest time without a word from it."""

    def __init__(self, limit: float = 1e9) -> None:
        self.limit, self.longest = limit, 0.0
        self.start = self.last = time.perf_counter()

    def __call__(self, done: int, total: int) -> bool:
        """As `Progress`."""
        now = time.perf_counter()
        self.longest, self.last = max(self.longest, now - self.last), now
        return now - self.start < self.limit

    def late(self) -> float:
        """Seconds from the limit until now."""
        return time.perf_counter() - self.start - self.limit


def check(name: str, images: ImageSet) -> None:
    """Measure, judge, then do both again and end them early."""
    splits = images.splits if images.splits is not None else np.full(len(images), -1, np.int8)
    measuring = Clock()
    measures = measure(images, progress=measuring)
    judging = Clock()
    issues = find_issues(images, splits, measures, flips=True, progress=judging)
    seconds = judging.start - measuring.start, time.perf_counter() - judging.start
    print(f"\n{name}: {len(images):,} images in {sum(seconds):.1f} s: measured in {seconds[0]:.1f}, judged in {seconds[1]:.1f}")
    print(f"  longest time between two calls of progress: {measuring.longest:.2f} s measuring, {judging.longest:.2f} s judging")
    print("  " + ", ".join(f"{issue.kind} {len(issue)}" for issue in issues))
    late = [ended(lambda clock: measure(images, progress=clock), seconds[0])]
    late.append(ended(lambda clock: find_issues(images, splits, measures, progress=clock), seconds[1] / 2))
    print(f"  told to end in the middle: over {late[0]:.2f} s later (measuring), {late[1]:.2f} s later (judging)")


def ended(work: Callable[[Clock], object], seconds: float) -> float:
    """How long after its limit a piece of work is over."""
    clock = Clock(seconds / 2)
    result = work(clock)
    if isinstance(result, Measures):
        assert (result.state == NOT_MEASURED).any()
    return max(0.0, clock.late())


def decoding(images: ImageSet) -> None:
    """Print how long the bare decoding takes."""
    start = time.perf_counter()
    for row in range(len(images)):
        images.load(row)
    print(f"  decoding alone, one thread: {time.perf_counter() - start:.1f} s")


def main() -> None:
    """Print everything."""
    for name, folder in (("ants and bees", SHARED_DATA / "hymenoptera"), ("CIFAR-10", Path(cifar10()))):
        images = open_folder(FolderOptions(path=folder))
        check(name, images)
        decoding(images)


if __name__ == "__main__":
    main()
