"""Reads one annotation file of Pascal VOC. Files with a document type are refused: nothing in them is expanded or fetched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from tlstudio_datasets.objects import Box
from tlstudio_datasets.words import encodable

if TYPE_CHECKING:
    from pyexpat import XMLParserType

_MAX_BYTES = 16 * 2**20
_MAX_DEPTH = 100
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class AnnotationError(Exception):
    """The file cannot be used; the message completes the sentence "It is left out because ..."."""


@dataclass(frozen=True)
class Marked:
    """An object: its class, its box (``None`` where the four numbers are not there) and whether it is hard to see."""

    name: str
    box: Box | None
    difficult: bool


@dataclass(frozen=True)
class Annotation:
    """What a file says: the name of its picture, the size of that where it is known, the objects."""

    picture: str
    size: tuple[float, float] | None
    objects: tuple[Marked, ...]


def read_annotation(file: Path) -> Annotation:
    """Read one file.

    Corners are pixels counted from 1, both included, as the devkit of Pascal VOC defines them; boxes here count from 0 and end
    where the next pixel begins.

    Raises:
        AnnotationError: the file is unreadable, too large, no XML, has a document type, or is no annotation.
    """
    collector = _Collector()
    parser = expat.ParserCreate()
    collector.attach(parser)
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise AnnotationError(f"it is larger than {_MAX_BYTES // 2**20} MB")
        parser.Parse(file.read_bytes(), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise AnnotationError(f"it is no proper XML: {reason} in line {error.lineno}, column {error.offset + 1}") from None
    except OSError as error:
        raise AnnotationError(f"it cannot be read ({error.strerror or error})") from None
    except (ValueError, LookupError):
        raise AnnotationError("its encoding is not known") from None
    if collector.top != "annotation":
        raise AnnotationError("it is no annotation of Pascal VOC")
    width, height = (_number(collector.values.get(f"size/{side}")) or 0.0 for side in ("width", "height"))
    return Annotation(
        picture=collector.values.get("filename", ""),
        size=(width, height) if width > 0 and height > 0 else None,
        objects=tuple(_marked(values) for values in collector.objects),
    )


class _Collector:
    """Keeps the text of the elements that matter, by their path below the top element."""

    def __init__(self) -> None:
        self.top = ""
        self.values: dict[str, str] = {}
        self.objects: list[dict[str, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def attach(self, parser: XMLParserType) -> None:
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse

    def _start(self, name: str, _attributes: object) -> None:
        if not self.top:
            self.top = name
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise AnnotationError("it is nested too deep")
        if self._path[1:] == ["object"]:
            self.objects.append({})
        self._text.clear()

    def _end(self, _name: str) -> None:
        path = self._path[1:]
        self._path.pop()
        if path[:1] == ["object"]:
            self.objects[-1].setdefault("/".join(path[1:]), "".join(self._text).strip())
        else:
            self.values.setdefault("/".join(path), "".join(self._text).strip())
        self._text.clear()

    def _refuse(self, *_: object) -> None:
        raise AnnotationError("it has a document type, which could make it read other files or fill the memory")


def _marked(values: dict[str, str]) -> Marked:
    corners = [number for corner in _CORNERS if (number := _number(values.get(f"bndbox/{corner}"))) is not None]
    box = None
    if len(corners) == len(_CORNERS):
        left, top, right, bottom = corners
        box = (left - 1, top - 1, right, bottom)
    return Marked(encodable(values.get("name", "")), box, values.get("difficult") == "1")


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
