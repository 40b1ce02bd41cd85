"""What tests of the kinds of data sets share: opening a path, being refused, what was said, which image has which class."""

from __future__ import annotations

import pytest

from tlstudio.api import UNLABELLED, DataError


def ways(spec):
    """Two functions for a kind: open a path with options, and the `DataError` that opening it raises."""

    def opened(path, **options):
        return spec.open(spec.options(path=path, **options))

    def refused(path, **options):
        with pytest.raises(DataError) as caught:
            opened(path, **options)
        return caught.value

    return opened, refused


def said(images, *words):
    """Whether one of the notes has all of these words."""
    return any(all(word in note for word in words) for note in images.notes)


def rows(images):
    """The class of each key, ``None`` for none."""
    names = [None if label == UNLABELLED else images.classes[label] for label in images.labels]
    return dict(zip(images.keys, names, strict=True))
