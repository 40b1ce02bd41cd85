"""Turns whatever went wrong into words: a `UserError` as it says, anything else as an unexpected error with its traceback."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from tlstudio import __version__
from tlstudio.api.errors import UserError

_PACKAGES = ("PySide6-Essentials", "torch", "torchvision", "timm", "numpy", "Pillow")


@dataclass(frozen=True, kw_only=True)
class Described:
    """A problem as the window shows it. ``expected``: the user can act on it; otherwise ``detail`` is a traceback."""

    title: str
    detail: str = ""
    hint: str = ""
    expected: bool = True


def describe(error: object) -> Described:
    """A problem in words."""
    if isinstance(error, Described):
        return error
    from tlstudio.api.events import RunFailed
    from tlstudio.safe_io import is_full

    if isinstance(error, UserError):
        return Described(title=error.title, detail=error.detail, hint=error.hint)
    if isinstance(error, RunFailed):
        return Described(title=error.error, detail=error.detail, hint=error.hint, expected=bool(error.hint))
    if not isinstance(error, BaseException):
        return Described(title=str(error))
    if isinstance(error, OSError) and is_full(error):
        return Described(
            title=QCoreApplication.translate("Problems", "The disk is full: nothing more can be saved."),
            detail=str(error),
            hint=QCoreApplication.translate(
                "Problems", "Free some space or choose another workspace. What was saved before is intact."
            ),
        )
    hint = QCoreApplication.translate(
        "Problems", "Nothing that was saved is lost. You can go on working, or send the diagnostics."
    )
    if isinstance(error, MemoryError):
        hint = QCoreApplication.translate("Problems", "There is not enough memory. Close other programs or use smaller images.")
    elif isinstance(error, PermissionError):
        hint = QCoreApplication.translate("Problems", "Check that you may read and write there.")
    text = str(error).strip() or type(error).__name__
    return Described(
        title=QCoreApplication.translate("Problems", "Unexpected error: {text}").format(text=text[:500]),
        detail="".join(traceback.format_exception(error)),
        hint=hint,
        expected=False,
    )


def versions() -> str:
    """Versions and machine, one a line; imports nothing heavy."""
    import platform
    from importlib import metadata

    lines = [
        f"tlstudio {__version__}",
        f"Python {platform.python_version()} ({sys.platform}, {platform.machine()})",
        f"System {platform.system()} {platform.release()}",
    ]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return "\n".join(lines)


def diagnostics(described: Described | None, more: Iterable[str] = ()) -> str:
    """Text to send along with a report: a problem if there is one, versions, and more lines; without the user's name."""
    from tlstudio.registry.diagnostics import without_names

    problem = [] if described is None else [described.title, described.hint, described.detail]
    return without_names("\n\n".join(part for part in (*problem, "\n".join((versions(), *more))) if part))
