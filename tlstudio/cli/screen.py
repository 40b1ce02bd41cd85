"""Opens the window. The terminal knows of it by name only: the two front ends do not import each other.

Nothing of typer in here: on the way to the window there is no time for it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from tlstudio.cli.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def open_window(session: Session, path: str = "", *, demo: bool = False) -> int:
    """Show the window until it is closed; returns the exit status.

    Raises:
        UserError: there is no screen, or Qt cannot start.
    """
    from tlstudio.api.errors import UserError

    if not has_screen():
        raise UserError(
            "There is no screen to open a window on.",
            hint="Train in the terminal: tlstudio train DATA, or tlstudio demo --headless.",
        )
    try:
        run_window = importlib.import_module("tlstudio.gui.app").run_window
    except ImportError as error:
        raise UserError(
            "The window cannot start: a library is missing.",
            detail=str(error),
            hint="In a checkout, python3 tlstudio names what to install. The terminal works without: tlstudio train DATA.",
        ) from error
    given: Path | None = _absolute(path) if path else None
    status = run_window(
        open_path=given,
        demo=demo,
        workspace=session.given_workspace,
        plugins_off=session.plugins_off,
        all_plugins_off=session.all_plugins_off,
    )
    return int(status)


def has_screen() -> bool:
    """Whether a window can be shown: on Linux, whether an X or Wayland server answers or Qt is told where to draw."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return _wayland_answers() or _x_answers(os.environ.get("DISPLAY", ""))


def somebody_can_see() -> bool:
    """Whether a window would be on a screen, and not drawn into memory only."""
    return has_screen() and os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0] not in {"offscreen", "minimal"}


def _wayland_answers() -> bool:
    name = os.environ.get("WAYLAND_DISPLAY", "")
    return bool(name) and _connects(os.path.join(os.environ.get("XDG_RUNTIME_DIR", ""), name))


def _x_answers(display: str) -> bool:
    host, _, screen = display.rpartition(":")
    number = screen.split(".")[0]
    if not number.isdigit():
        return False
    if host in {"", "unix"}:
        socket_path = f"/tmp/.X11-unix/X{number}"  # where X servers have theirs
        return _connects(socket_path) or _connects(f"\0{socket_path}")
    return _connects((host.strip("[]"), 6000 + int(number)))


def _connects(address: str | tuple[str, int]) -> bool:
    import socket

    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(3.0)
            probe.connect(address)
    except OSError:
        return False
    return True


def _absolute(path: str) -> Path:
    from pathlib import Path

    return Path(path).expanduser().absolute()
