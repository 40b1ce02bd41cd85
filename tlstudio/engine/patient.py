"""Cannot save is no end: the run is held, and what could not be written is tried again until it can."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from tlstudio import safe_io
from tlstudio.api.errors import ExitCode, UserError
from tlstudio.api.events import Event, Note, RunPaused
from tlstudio.engine.control import Control
from tlstudio.engine.reading import is_gone

_Result = TypeVar("_Result")
_AGAIN = 30.0  # seconds
_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0


def patiently(action: Callable[[], _Result], folder: Path, control: Control) -> Generator[Event, None, _Result]:
    """Do what writes to a folder; where that fails for want of room or of the drive, hold the run, and try again.

    What the run has learned is kept elsewhere meanwhile, where that is possible (`Control.aside`). It is tried every half a
    minute, and at once when the user says to go on. What was held before stays held.

    Raises:
        UserError: it cannot be written, and the control does not want to wait, or the user has stopped the run meanwhile.
    """
    held, waiting = control.paused, False
    forget: Callable[[], None] | None = None
    while True:
        try:
            result = action()
        except Exception as error:
            told = safe_io.as_user_error(error, folder) or _folder_gone(error, folder)
            if told is None:
                raise
            if not waiting:
                forget = control.aside()
            if not control.waits_for_room or control.wish != "go":
                raise told from error
            control.pause()
            if not waiting:
                yield RunPaused(reason=told.title, hint=told.hint)
                where = " What it has learned is kept on another disk until then." if forget is not None else ""
                yield Note(level="warning", text=f"Held: {told.title} {told.hint} It goes on by itself then.{where}")
            waiting = True
            control.wait(_AGAIN)
        else:
            if forget is not None:
                forget()
            if waiting and not held:
                control.resume()
            return result


def _folder_gone(error: Exception, folder: Path) -> UserError | None:
    """The folder itself is missing: its drive was taken away in order, or it was moved."""
    if not isinstance(error, FileNotFoundError) or folder.is_dir():
        return None
    return UserError(
        f"The folder {folder} is not there any more.", detail=str(error),
        hint="Check that its drive is connected, or move it back.", exit_code=ExitCode.RETRY,
    )  # fmt: skip


def until_back(root: Path, control: Control) -> bool:
    """Hold the run until there is something in a folder again; it is looked for after 1, 2, 4 … and at last every 60 seconds.

    What was held before stays held.

    Returns:
        Whether there is; not where the user ends the run meanwhile.
    """
    held, seconds = control.paused, _FIRST_LOOK
    while control.wish == "go":
        if not is_gone(root, lambda: control.wish != "go"):
            if not held:
                control.resume()
            return True
        control.pause()
        control.wait(seconds)
        seconds = min(_LAST_LOOK, 2.0 * seconds)
    return False
