"""What the checks share: how a broken promise is told, and what all records have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tlstudio.api import Options

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def require(condition: object, message: str) -> None:
    """Raise ``AssertionError`` with the message unless the condition holds, also where Python leaves ``assert`` out."""
    if not condition:
        raise AssertionError(message)


def check_record(name: str, title: str, about: str) -> None:
    """What every record says of itself: a short lower-case name, and words for people."""
    require(_NAME.fullmatch(name), f"the name {name!r} should be lower case: letters, digits, '-', '_' and '.'")
    require(title.strip(), f"{name} has no title")
    require(about.strip(), f"{name} has no 'about': one plain sentence that says what it is good for")


def check_options(name: str, options: type[Options], given: Options | Mapping[str, Any] | None) -> Options:
    """Options of the declared class, from an instance, from values by name, or from the defaults."""
    require(isinstance(options, type) and issubclass(options, Options), f"{name}: 'options' should be a subclass of Options")
    if isinstance(given, Options):
        require(isinstance(given, options), f"{name}: the options given are no {options.__name__}")
        return given
    try:
        return options.model_validate(given or {})
    except ValidationError as error:
        raise AssertionError(f"{name}: the options cannot be made from {dict(given or {})}: {error}") from None
