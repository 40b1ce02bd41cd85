"""Finds images that cannot be read, before they cost a run anything."""

from __future__ import annotations

from tlstudio.api.dataset import ImageSet
from tlstudio.data.measure import measure
from tlstudio.data.threads import Progress


def find_unreadable(images: ImageSet, *, progress: Progress | None = None, threads: int | None = None) -> dict[int, str]:
    """Row -> reason for every image that does not decode in full.

    Args:
        progress: ``progress(done, total)`` is called now and then; returning ``False`` ends the check early.
        threads: decoding threads; by default one a core.
    """
    return measure(images, progress=progress, threads=threads).reasons
